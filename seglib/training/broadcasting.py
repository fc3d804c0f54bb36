"""Give every process of a group what process 0 has: weights, numerics, a snapshot."""

import json
from dataclasses import asdict

from seglib.distributed.process_group import ProcessGroup
from seglib.models.model import SegmentationModel
from seglib.training.checkpoints import Snapshot
from seglib.training.precision import Numerics


def broadcast_snapshot(
    snapshot: Snapshot | None, group: ProcessGroup
) -> Snapshot | None:
    """The snapshot of process 0, or its None, in all processes."""
    if group.count == 1:
        return snapshot
    content = group.broadcast(snapshot.to_bytes() if snapshot else b"")
    return Snapshot.from_bytes(content) if content else None


def broadcast_weights(model: SegmentationModel, group: ProcessGroup) -> None:
    """Set a model's weights to those of process 0.

    The same seed need not mean the same weights on every kind of processor.
    """
    if group.count == 1:
        return
    own = Snapshot(facts={}, arrays={"weights": model.network.get_weights()})
    shared = Snapshot.from_bytes(group.broadcast(own.to_bytes()))
    model.network.set_weights(shared.arrays["weights"])


def broadcast_numerics(numerics: Numerics, group: ProcessGroup) -> Numerics:
    """The choice of process 0, in all processes."""
    content = group.broadcast(json.dumps(asdict(numerics)).encode())
    return Numerics(**json.loads(content))
