"""Checkpoints: a training that is killed and started again resumes where it was.

A checkpoint is one file that ends in its own checksum. It lies under the content key of
its training, so that no training resumes from the checkpoint of another.
"""

from seglib.training.checkpoints.manager import Checkpoints, forget
from seglib.training.checkpoints.snapshot import Snapshot, restore, values

__all__ = ["Checkpoints", "Snapshot", "forget", "restore", "values"]
