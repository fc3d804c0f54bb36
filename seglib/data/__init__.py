"""Datasets on disk: their format, their checks, and the sample scenes."""
