"""Conversion of datasets from and to the formats of labelling tools."""
