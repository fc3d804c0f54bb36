"""Checks of a compiled pipeline."""
