"""What a training step costs, and what each choice of the trainer saves.

    python -m benchmarks.training_step [--architecture compact] [--steps 20]

Every variant runs in a process of its own; the table gives CPU and wall seconds a step,
and each as a ratio to the first row. The bare step repeats one batch of random images;
the row `seglib.train` loads and augments painted scenes besides, in threads.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

CLASSES = 8  # of the painted scenes
SIZE = (192, 256)
TRAIN = "seglib.train"
VARIANTS = {
    "bare compiled step": {},
    "memory given back": {"keep_memory": False},
    "Keras's kernels": {"fast_kernels": False},
    "bfloat16": {"precision": "bfloat16"},
    "bfloat16, Keras's": {"precision": "bfloat16", "fast_kernels": False},
    TRAIN: {},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--architecture", default="compact")
    parser.add_argument("--encoder", default="efficientnet_lite0")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--only", choices=VARIANTS, action="append")
    parser.add_argument("--variant", choices=VARIANTS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.variant:
        run = measure_train if options.variant == TRAIN else measure
        print(json.dumps(run(options, **VARIANTS[options.variant])))
        return
    names = options.only or list(VARIANTS)
    rows = {name: _measure_apart(name) for name in names}
    first = rows[names[0]]
    print(f"{'':20} {'CPU s':>8} {'ratio':>6} {'wall s':>8} {'ratio':>6}")
    for name, (cpu, wall) in rows.items():
        print(
            f"{name:20} {cpu:8.3f} {cpu / first[0]:6.2f} {wall:8.3f} "
            f"{wall / first[1]:6.2f}"
        )


def measure(
    options: argparse.Namespace,
    *,
    keep_memory: bool = True,
    fast_kernels: bool = True,
    precision: str = "float32",
) -> tuple[float, float]:
    """CPU and wall seconds of a step of batch 8 at 192×256."""
    from seglib.hardware import keep_freed_memory
    from seglib.training.fast_kernels import use_fast_kernels

    if keep_memory:
        keep_freed_memory()
    network, *_ = compiled(options, precision=precision)
    if fast_kernels:
        use_fast_kernels(network)
    batch = random_batch(8)
    network.make_train_function()

    def step() -> float:
        return float(network.train_function(iter([batch]))["loss"])

    for _ in range(2):
        step()
    wall, cpu = time.perf_counter(), _cpu_seconds()
    for _ in range(options.steps):
        step()
    return (
        (_cpu_seconds() - cpu) / options.steps,
        (time.perf_counter() - wall) / options.steps,
    )


def compiled(
    options: argparse.Namespace,
    *,
    precision: str = "float32",
    prepare: Callable[[Any], None] = lambda _network: None,
) -> tuple[Any, Any, Any]:
    """A network compiled as a training compiles it, its loss and its metric."""
    from seglib.config import TrainConfig
    from seglib.evaluation.metrics import MeanIoU
    from seglib.models import build_model, build_network
    from seglib.training.losses import CrossEntropy
    from seglib.training.optimizer import build_optimizer

    contract = build_model(
        options.architecture,
        num_classes=CLASSES,
        image_size=SIZE,
        encoder=options.encoder or None,
    ).contract
    network = build_network(contract, precision=precision)
    prepare(network)
    loss, miou = CrossEntropy(), MeanIoU(CLASSES)
    optimizer = build_optimizer(TrainConfig(), network)
    network.compile(optimizer, loss, metrics=[miou], jit_compile=False)
    return network, loss, miou


def random_batch(number: int) -> tuple[Any, Any]:
    """Images and masks that are equal in every process."""
    import numpy as np

    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (number, *SIZE, 3)).astype(np.uint8)
    return images, rng.integers(0, CLASSES, (number, *SIZE)).astype(np.int32)


def measure_train(options: argparse.Namespace) -> tuple[float, float]:
    """The same of a whole training, without its first steps and its validation."""
    from seglib.config import TrainConfig
    from seglib.data.dataset import with_splits
    from seglib.data.verification.loading import load_dataset
    from seglib.models import build_model
    from seglib.steps.train import train
    from tools.sample_scenes import write_sample_dataset

    readings: list[tuple[float, float]] = []
    with tempfile.TemporaryDirectory() as folder:
        counts = {"train": 32, "val": 1, "test": 0}
        write_sample_dataset(Path(folder), counts=counts)
        data = load_dataset(Path(folder))
        model = build_model(
            options.architecture,
            num_classes=data.num_classes,
            image_size=SIZE,
            encoder=options.encoder or None,
            ignore_index=data.ignore_index,
        )
        train(
            model,
            with_splits(data, {"train": data.splits["train"]}),
            config=TrainConfig(
                epochs=1, steps_per_epoch=options.steps + 10, precision="float32"
            ),
            progress=lambda *_: readings.append((_cpu_seconds(), time.perf_counter())),
        )
    first, last = readings[9], readings[-1]
    cpu, wall = (b - a for a, b in zip(first, last, strict=True))
    return cpu / options.steps, wall / options.steps


def _measure_apart(variant: str) -> tuple[float, float]:
    done = subprocess.run(
        [sys.executable, *sys.argv, "--variant", variant],
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        stdout=subprocess.PIPE,
        check=True,
    )
    cpu, wall = json.loads(done.stdout.splitlines()[-1])
    return cpu, wall


def _cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    main()
