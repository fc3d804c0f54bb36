"""What the components do: parameters → configuration → step, with its events.

A task whose outcome is cached has a module of its own: a local run's cache is keyed by
the code that the component's task imports.
"""
