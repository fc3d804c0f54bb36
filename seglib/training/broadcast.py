"""What the processes of a training have in common: state that the first one gives."""

from seglib.distributed.process_group import Processes
from seglib.models.model import SegmentationModel
from seglib.training.checkpoints import Snapshot


def share(snapshot: Snapshot | None, processes: Processes) -> Snapshot | None:
    """The snapshot that the first process has, or has not, in all of them."""
    if processes.count == 1:
        return snapshot
    content = processes.from_first(snapshot.to_bytes() if snapshot else b"")
    return Snapshot.from_bytes(content) if content else None


def share_weights(model: SegmentationModel, processes: Processes) -> None:
    """Give a model the weights that it has in the first process.

    The same seed need not mean the same weights on every kind of processor.
    """
    if processes.count == 1:
        return
    own = Snapshot(facts={}, arrays={"weights": model.network.get_weights()})
    shared = share(own, processes)
    assert shared
    model.network.set_weights(shared.arrays["weights"])
