"""Fixing of datasets: what has one right answer, in a copy."""
