"""What a checkpoint costs: its size, how long training waits, and the processor's time.

    python -m benchmarks.checkpoints [--place PLACE] [--times 5]
        [--write docs/results.md]

PLACE is a folder or s3://bucket/prefix; the default is a folder of the temporary ones.
The share is that of a minute, which is how often a checkpoint is written.
"""

import argparse
import tempfile
import time

from benchmarks.tables import add_write_option, show

HEADER = (
    "model",
    "parameters",
    "checkpoint",
    "training waits",
    "CPU time, of a minute",
    "read back",
)
MODELS = (
    ("compact", "compact"),
    ("compact", "efficientnet_lite0"),
    ("vgg_unet", None),
)
_MINUTE_S = 60


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--place")
    parser.add_argument("--times", type=int, default=5)
    add_write_option(parser)
    options = parser.parse_args()
    rows = []
    for name, encoder in MODELS:
        with tempfile.TemporaryDirectory() as folder:
            row = measure(name, encoder, options.place or folder, options.times)
        own = encoder in (None, name)
        rows.append([f"`{name}`" if own else f"`{name}` on `{encoder}`", *row])
    show("checkpoints", HEADER, rows, options.write)


def measure(name: str, encoder: str | None, place: str, times: int) -> tuple[str, ...]:
    """One row of the table: the best of several."""
    import numpy as np

    from seglib.config import TrainConfig
    from seglib.models import build_model
    from seglib.training.checkpoints import Checkpoints, Snapshot, values
    from seglib.training.losses import CrossEntropy
    from seglib.training.optimizer import build_optimizer

    network = build_model(
        name, num_classes=11, image_size=(64, 96), encoder=encoder
    ).network
    optimizer = build_optimizer(TrainConfig(), network)
    network.compile(optimizer, CrossEntropy())
    network.train_on_batch(np.zeros((1, 64, 96, 3)), np.zeros((1, 64, 96), np.int32))
    best = network.get_weights()

    def take() -> Snapshot:
        arrays = {
            "network": values(network.variables),
            "optimizer": values(optimizer.variables),
            "best": best,
        }
        return Snapshot(facts={"step": 1}, arrays=arrays)

    waits, cpu, reads = [], [], []
    for _ in range(times):
        checkpoints = Checkpoints(place, resume=False)
        checkpoints.open("benchmark")
        with checkpoints:
            before, started = time.process_time(), time.perf_counter()
            checkpoints.write(take)
            waits.append(time.perf_counter() - started)
        cpu.append(time.process_time() - before)
        started = time.perf_counter()
        Checkpoints(place).open("benchmark")
        reads.append(time.perf_counter() - started)
        checkpoints.remove()
    return (
        f"{network.count_params() / 1e6:.1f} M",
        f"{len(take().to_bytes()) / 1e6:.0f} MB",
        f"{1000 * min(waits):.0f} ms",
        f"{1000 * min(cpu):.0f} ms, {min(cpu) / _MINUTE_S:.1%}",
        f"{1000 * min(reads):.0f} ms",
    )


if __name__ == "__main__":
    main()
