"""The command line: `seglib COMMAND --help` explains each step."""
