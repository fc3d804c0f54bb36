"""The steps: each reads and writes folders, and knows nothing of who calls it.

Steps never import each other, and nothing else in the library imports a step.
"""
