"""Datasets of two folders: their verification, batches and pictures."""

from seglib.compat.keras_segmentation.data_utils import data_loader, visualize_dataset

__all__ = ["data_loader", "visualize_dataset"]
