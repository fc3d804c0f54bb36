"""Prediction beyond one forward pass."""
