"""Datasets on disk: their format, their verification, augmentation and loading."""
