"""`python -m seglib.cli`."""

from seglib.cli.main import main

if __name__ == "__main__":
    main()
