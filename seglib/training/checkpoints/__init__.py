"""Checkpoints: a training that is killed and started again resumes where it was.

A checkpoint is one file that ends in its own checksum. It lies under the content key of
its training, so that no training resumes from the checkpoint of another.
"""

from seglib.training.checkpoints.key import content_key
from seglib.training.checkpoints.manager import Checkpoints, forget
from seglib.training.checkpoints.snapshot import Snapshot, restore, values
from seglib.training.checkpoints.validation import require_state

__all__ = [
    "Checkpoints",
    "Snapshot",
    "content_key",
    "forget",
    "require_state",
    "restore",
    "values",
]
