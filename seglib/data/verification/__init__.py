"""Verification of a dataset: its pairs, its masks and its splits."""
