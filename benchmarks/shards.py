"""Training data as shards: packing, reading from S3, and what streaming costs.

    python -m benchmarks.shards [--pairs 20000] [--steps 200] [--write docs/results.md]

Painted pairs of 64×64 lie as single objects, and packed, in SeaweedFS on loopback. The
first rows read all of them: as single objects by the reader that fetches datasets, and
as shards, with their checks and without. The last rows load training batches, from
memory and from the stream; `peak` is the memory of that process after a tenth of the
steps and at the end. It ends with exit code 1 where a bar is missed.
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
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import boto3
import cv2
import numpy as np

from benchmarks.seaweedfs import environment, seaweedfs
from benchmarks.tables import add_write_option, show
from seglib.data.shards.index import read_shard_index
from seglib.data.shards.memory import READERS, ShardMemory
from seglib.steps.pack import pack
from seglib.storage.remotes import open_remote

BUCKET = "datasets"
SINGLE, SHARDS = f"s3://{BUCKET}/single", f"s3://{BUCKET}/shards"
FASTER_THAN_SINGLE, SHARE_OF_RAW = 5.0, 0.8  # the bars
_CLASSES, _SIDE, _BATCH = 5, 64, 32
_ROUNDS = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=20_000)
    parser.add_argument("--steps", type=int, default=1_000)
    parser.add_argument("--loads", choices=["memory", "stream"], help=argparse.SUPPRESS)
    add_write_option(parser)
    options = parser.parse_args()
    if options.loads:
        print(json.dumps(load(options.loads, options.steps)))
        return
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        with seaweedfs(root / "server") as address:
            os.environ |= environment(address)
            boto3.client("s3").create_bucket(Bucket=BUCKET)
            paint(root / "data", options.pairs)
            rows, passed = measure(root / "data", options)
    show("shards", ("", "seconds", "pairs/s", "ratio"), rows, options.write)
    sys.exit(not passed)


def paint(root: Path, count: int) -> None:
    """Pairs of smooth noise and of blocks of ids, and their dataset.yaml."""
    draw = np.random.default_rng(0)
    for part in ("images", "segmentation"):
        (root / f"train_{part}").mkdir(parents=True)
    (root / "dataset.yaml").write_text(f"num_classes: {_CLASSES}\n")
    for number in range(count):
        small = draw.integers(0, 256, (16, 16, 3), dtype=np.uint8)
        image = cv2.resize(small, (_SIDE, _SIDE))
        blocks = draw.integers(0, _CLASSES, (8, 8), dtype=np.uint8)
        mask = cv2.resize(blocks, (_SIDE, _SIDE), interpolation=cv2.INTER_NEAREST)
        cv2.imwrite(str(root / "train_images" / f"{number:07}.jpg"), image)
        cv2.imwrite(str(root / "train_segmentation" / f"{number:07}.png"), mask)


def measure(
    data: Path, options: argparse.Namespace
) -> tuple[list[tuple[str, ...]], bool]:
    files = [path for path in data.rglob("*") if path.suffix in (".jpg", ".png")]
    single = open_remote(SINGLE)
    with ThreadPoolExecutor(8) as pool:
        keys = [path.relative_to(data).as_posix() for path in files]
        list(pool.map(single.write, keys, files))
    began = time.perf_counter()
    pack(data, SHARDS)
    packing_s = time.perf_counter() - began
    index = read_shard_index(SHARDS)
    shards = open_remote(SHARDS)
    names = [shard.name for shard in index.shards]

    def read_raw() -> None:
        with ThreadPoolExecutor(READERS) as pool:
            list(pool.map(lambda name: sum(map(len, shards.chunks(name))), names))

    def read_checked() -> None:
        memory = ShardMemory(shards, index.shards, parts=2)
        for place in range(len(names)):
            memory.expect(0, range(place, min(place + READERS, len(names))))
            memory.sample(place, 0)

    def read_single() -> None:
        found = sum(1 for _ in single.small(keys))
        if found != len(keys):
            raise SystemExit(f"Expected {len(keys)} objects. Received: {found}.")

    ways: dict[str, Callable[[], None]] = {
        "single objects": read_single,
        "shards, no checks": read_raw,
        "shards": read_checked,
    }
    seconds = {name: _best(read) for name, read in ways.items()}
    single_s, raw_s, checked_s = (seconds[name] for name in ways)
    pairs = options.pairs
    rows = [
        ("packing", f"{packing_s:.1f}", f"{pairs / packing_s:,.0f}", ""),
        *(
            (f"reading: {name}", f"{s:.2f}", f"{pairs / s:,.0f}", f"{single_s / s:.1f}")
            for name, s in seconds.items()
        ),
    ]
    loaded = {way: _load_apart(way, options.steps) for way in ("memory", "stream")}
    for way, found in loaded.items():
        rate = options.steps * _BATCH / found["seconds"]
        ratio = loaded["memory"]["seconds"] / found["seconds"]
        peak = f"; peak {found['first_mib']:.0f} → {found['peak_mib']:.0f} MiB"
        name = f"loading from {'memory' if way == 'memory' else 'the stream'}{peak}"
        rows.append((name, f"{found['seconds']:.2f}", f"{rate:,.0f}", f"{ratio:.2f}"))
    bars = {
        "times single objects": (single_s / checked_s, FASTER_THAN_SINGLE),
        "of the raw rate": (raw_s / checked_s, SHARE_OF_RAW),
    }
    for name, (received, expected) in bars.items():
        print(f"{received:.2f} {name}; bar: {expected}")
    return rows, all(received >= expected for received, expected in bars.values())


def _best(read: Callable[[], None]) -> float:
    seconds = []
    for _ in range(_ROUNDS):
        began = time.perf_counter()
        read()
        seconds.append(time.perf_counter() - began)
    return min(seconds)


def _load_apart(way: str, steps: int) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.shards", "--loads", way]
    done = subprocess.run(
        [*command, "--steps", str(steps)], stdout=subprocess.PIPE, text=True, check=True
    )
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def load(way: str, steps: int) -> dict[str, float]:
    """Seconds of loading batches, and the peaks of memory."""
    from seglib.config import TrainConfig
    from seglib.data import loader
    from seglib.data.shards import ShardSource

    source = ShardSource(SHARDS, inputs={"image": 3})
    if way == "stream":
        source.stream(print)
    else:
        source.keep_decoded(print)
        for index in range(len(source)):
            source[index]
    config = TrainConfig(batch_size=_BATCH, crop_height=_SIDE, crop_width=_SIDE)
    batches = iter(
        loader.training_batches(
            source, config=config, image_size=(_SIDE, _SIDE), ignore_index=None
        )
    )
    next(batches)
    began = time.perf_counter()
    for _ in islice(batches, max(1, steps // 10)):
        pass
    first_mib = _peak_mib()
    for _ in islice(batches, steps - max(1, steps // 10)):
        pass
    seconds = time.perf_counter() - began
    return {"seconds": seconds, "first_mib": first_mib, "peak_mib": _peak_mib()}


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
