"""What it costs to train in several processes instead of one.

    python -m benchmarks.processes [--architecture compact] [--steps 20] [--processes 2]
        [--write docs/results.md]

One process on as many cores as there are processes, against as many processes on a core
each; every step is one of the same batch of 8 random images at 192×256. On one machine
that can only be slower: what is seen is the price of adding up gradients, losses and
the statistics of batch normalisation, and of deciding together on every step. The row
`Keras's synchronized` shows those statistics as Keras adds them up.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from typing import Any

from benchmarks.tables import add_write_option, show
from benchmarks.training_step import compiled, random_batch
from seglib.distributed.cluster import Cluster
from seglib.distributed.launcher import free_ports
from seglib.environment import TF_CONFIG

BATCH = 8


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--architecture", default="compact")
    parser.add_argument("--encoder", help="default: the architecture's own")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--keras", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--cores", help=argparse.SUPPRESS)
    add_write_option(parser)
    options = parser.parse_args()
    if options.cores:
        os.sched_setaffinity(0, map(int, options.cores.split(",")))
        print(json.dumps(measure(options)))
        return
    rows = {
        "one process": (1, []),
        f"{options.processes} processes": (options.processes, []),
        "Keras's synchronized": (options.processes, ["--keras"]),
    }
    best: dict[str, list[float]] = {}
    for _ in range(options.rounds):
        for name, (count, extra) in rows.items():
            times = _measure_apart(options.processes, count, extra)
            best[name] = list(map(min, best.get(name, times), times))
    first = best["one process"][0]
    lines = [
        [name, f"{step:.0f}", f"{step / first:.2f}", f"{agree:.2f}"]
        for name, (step, agree) in best.items()
    ]
    show("processes", ["", "ms a step", "ratio", "ms to agree"], lines, options.write)


def measure(options: argparse.Namespace) -> tuple[float, float]:
    """Milliseconds of a step, and of deciding on one: medians."""
    import keras

    from seglib.distributed import join
    from seglib.hardware import keep_freed_memory

    group = join()
    keep_freed_memory()
    keras.utils.set_random_seed(1)

    def prepare(network: Any) -> None:
        for layer in network._flatten_layers():
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.synchronized = options.keras
        if not options.keras:
            group.share_batch_statistics(network)

    network, loss, miou = compiled(options, prepare=prepare)
    group.share_steps(network, loss=loss, metric=miou)
    images, masks = random_batch(BATCH // group.count)
    taken, agreed = [], []
    for _ in range(options.steps + 3):  # the first ones compile
        started = time.perf_counter()
        network.train_on_batch(images, masks)
        taken.append(time.perf_counter() - started)
    for _ in range(50):
        started = time.perf_counter()
        group.sum([1.0, 2.0, 3.0])
        agreed.append(time.perf_counter() - started)
    return 1e3 * statistics.median(taken[3:]), 1e3 * statistics.median(agreed)


def _measure_apart(cores: int, count: int, extra: list[str]) -> list[float]:
    """Start `count` processes on as many cores, and take what the first one says."""
    available = sorted(os.sched_getaffinity(0))[:cores]
    workers = tuple(f"127.0.0.1:{port}" for port in free_ports(count))
    running = []
    for index in range(count):
        own = available if count == 1 else [available[index]]
        environment = {
            **os.environ,
            "TF_CPP_MIN_LOG_LEVEL": "3",
            TF_CONFIG: Cluster(workers, index).to_json(),
        }
        command = [sys.executable, *sys.argv, *extra]
        command += ["--cores", ",".join(map(str, own))]
        running.append(
            subprocess.Popen(
                command, env=environment, stdout=subprocess.PIPE, text=True
            )
        )
    told = [process.communicate()[0] for process in running]
    if any(process.returncode for process in running):
        sys.exit("A process failed; its message is above.")
    step, agree = json.loads(told[0].splitlines()[-1])
    return [step, agree]


if __name__ == "__main__":
    main()
