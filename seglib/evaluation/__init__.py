"""Scores: pure functions of counts and arrays."""
