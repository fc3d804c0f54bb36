"""The steps: each reads and writes folders, and knows nothing of its caller.

Steps never import each other, and nothing else in the library imports a step.
"""
