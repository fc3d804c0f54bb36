"""Semantic segmentation from a pinned dataset to a gated, served model."""
