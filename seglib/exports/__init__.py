"""Formats in which a model is served: one module a format."""
