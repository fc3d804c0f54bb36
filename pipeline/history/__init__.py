"""Runs of the past: compared, and made once more."""
