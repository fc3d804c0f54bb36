"""Checkpoints: a training that is killed and started again goes on where it was.

A checkpoint is one file that ends in its own checksum. It lies under the content key of
its training, so that a training never goes on from the checkpoint of another.
"""

from seglib.training.checkpoints.fitting import require_state
from seglib.training.checkpoints.key import content_key
from seglib.training.checkpoints.manager import Checkpoints, forget
from seglib.training.checkpoints.snapshot import Snapshot, restore, values

__all__ = [
    "Checkpoints",
    "Snapshot",
    "content_key",
    "forget",
    "require_state",
    "restore",
    "values",
]
