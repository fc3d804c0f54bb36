r"""How fast `verify` opens a dataset: against bare decoding, and keras_segmentation.

    python -m benchmarks.verify path/to/camvid [--peer-python PYTHON]

Both sides of a ratio run in turn, several times, on as many threads; the best time of
each counts. The least that any verification takes is the time to read each file and
decode it, a large JPEG in part. The peer verifies the train split alone, in one thread,
as it does for its users; benchmarks/against_keras_segmentation.py explains its
environment. `--pairs 10000,30000,100000` verifies so many painted pairs of 64×64
instead, each number in a process of its own, whose time and memory are told: its own
peak, and that of the largest of the processes that read files for it.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from benchmarks.tables import add_write_option, show
from seglib.config import DataConfig
from seglib.data.image_io import decode_reduced
from seglib.data.verification.verifier import verify

_ROUNDS = 5
_SETTLED_S = 2.5
_SELF, _CHILDREN = resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN
_COLUMNS = ("", "seconds", "CPU seconds", "files/s", "ratio")
_PAINTED = (*_COLUMNS, "MiB", "MiB of a process")
_TOGETHER = 16  # files, handed to a thread at once
_PEER = """
import sys, time, types, keras
merge = types.ModuleType("keras.layers.merge")
merge.Concatenate, merge.Add = keras.layers.Concatenate, keras.layers.Add
sys.modules["keras.layers.merge"] = merge
from keras_segmentation.data_utils.data_loader import verify_segmentation_dataset
images, masks, classes = sys.argv[1:]
started, used = time.perf_counter(), time.process_time()
verify_segmentation_dataset(images, masks, int(classes))
print("seconds", time.perf_counter() - started, time.process_time() - used)
"""


Seconds = tuple[float, float]  # by the clock, and of all cores together


def main() -> None:
    options = _options()
    with tempfile.TemporaryDirectory() as cache:
        os.environ["SEGLIB_CACHE"] = cache
        if options.painted:
            _measure_painted(options.painted)
            return
        if options.pairs:
            show("verify-pairs", _PAINTED, _painted(options.pairs), options.write)
            return
        config = DataConfig(num_classes=options.classes, ignore_index=options.classes)
        rows = _compare("CamVid", options.data, config, _ROUNDS)
        if options.peer_python:
            rows += _against_peer(options, config)
    show("verify", _COLUMNS, rows, options.write)
    print(f"{os.cpu_count()} cores")


def _painted(counts: Sequence[int]) -> list[list[str]]:
    """Rows of so many painted pairs."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for done, count in zip((0, *counts), counts, strict=False):
            _paint(Path(folder), range(done, count))
            time.sleep(_SETTLED_S)  # a file that was just changed is not cached
            command = [sys.executable, "-m", "benchmarks.verify", "--painted", folder]
            told = subprocess.run(
                command, stdout=subprocess.PIPE, text=True, check=True
            ).stdout
            rows += [
                [f"{count:,} pairs: {row[0]}", *row[1:]] for row in json.loads(told)
            ]
    return rows


def _measure_painted(folder: Path) -> None:
    """Print rows of the tasks on painted pairs, in this process."""
    files = [str(path) for part in sorted(folder.iterdir()) for path in part.iterdir()]
    count = len(files) // 2
    config = DataConfig(num_classes=3, ignore_index=255)
    decoding = _best({"": lambda: _decode([*map(Path, files)])}, 1)[""]
    rows = [["bare decoding", *_cells(decoding, 2 * count), "1.00", "", ""]]
    files.clear()
    for name, fresh in (("`verify`", True), ("`verify` again", False)):
        task = partial(verify, folder, config=config, fresh=fresh)
        seconds = _timed(task)
        rows.append(
            [
                name,
                *_cells(seconds, 2 * count),
                _ratio(decoding, seconds),
                *(f"{_peak_mib(who):,.0f}" for who in (_SELF, _CHILDREN)),
            ]
        )
    print(json.dumps(rows))


def _peak_mib(who: int) -> float:
    return resource.getrusage(who).ru_maxrss / 1024


def _compare(
    name: str, folder: str | Path, config: DataConfig, rounds: int
) -> list[list[str]]:
    """Rows of bare decoding and of verification."""
    files = sorted(
        path
        for part in Path(folder).iterdir()
        if part.is_dir() and part.name.endswith(("_images", "_segmentation"))
        for path in part.iterdir()
    )
    best = _best(
        {
            "bare decoding": lambda: _decode(files),
            "the least": lambda: _decode(files, in_part=True),
            "`verify`": lambda: verify(folder, config=config, fresh=True),
            "`verify` again": lambda: verify(folder, config=config),
        },
        rounds,
    )
    whole = best["bare decoding"]
    return [
        [f"{name}: {task}", *_cells(seconds, len(files)), _ratio(whole, seconds)]
        for task, seconds in best.items()
    ]


def _against_peer(options: argparse.Namespace, config: DataConfig) -> list[list[str]]:
    """Rows of the peer's verification of the train split, and of ours."""
    images = options.data / "train_images"
    masks = options.data / "train_segmentation"
    count = 2 * len(list(images.iterdir()))
    command = [options.peer_python, "-c", _PEER, str(images), str(masks)]
    with tempfile.TemporaryDirectory() as folder:
        for path in (images, masks):
            (Path(folder) / path.name).symlink_to(path.resolve())
        files = [file for path in (images, masks) for file in path.iterdir()]
        best = {}
        for _ in range(_ROUNDS):
            done = subprocess.run(
                [*command, str(options.classes + 1)],
                env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": ""},
                stdout=subprocess.PIPE,
                text=True,
                check=True,
            )
            clock, used = map(float, done.stdout.split()[-2:])
            tasks: dict[str, Callable[[], object]] = {
                "the least": lambda: _decode(files, in_part=True),
                "`verify`": lambda: verify(folder, config=config, fresh=True),
                "`verify` again": lambda: verify(folder, config=config),
            }
            found = {"keras_segmentation": (clock, used), **_best(tasks, 1)}
            best = {k: min(best.get(k, v), v) for k, v in found.items()}
    peer = best["keras_segmentation"]
    return [
        [f"train split: {task}", *_cells(seconds, count), _ratio(peer, seconds)]
        for task, seconds in best.items()
    ]


def _best(tasks: dict[str, Callable[[], object]], rounds: int) -> dict[str, Seconds]:
    """The least seconds of each task; they take turns."""
    best = dict.fromkeys(tasks, (float("inf"), float("inf")))
    for _ in range(rounds):
        for name, task in tasks.items():
            best[name] = min(best[name], _timed(task))
    return best


def _timed(task: Callable[[], object]) -> Seconds:
    started, used = time.perf_counter(), _cpu_s()
    task()
    return time.perf_counter() - started, _cpu_s() - used


def _cpu_s() -> float:
    """Seconds of all cores, of this process and of those that it has waited for."""
    used = map(resource.getrusage, (_SELF, _CHILDREN))
    return sum(each.ru_utime + each.ru_stime for each in used)


def _decode(files: list[Path], *, in_part: bool = False) -> None:
    """Read and decode every file, as images in colour and masks as they are."""

    def decode(start: int) -> None:
        for path in files[start : start + _TOGETHER]:
            is_mask = path.parent.name.endswith("_segmentation")
            encoded = path.read_bytes()
            if in_part and not is_mask:
                decode_reduced(encoded)
                continue
            flags = cv2.IMREAD_UNCHANGED if is_mask else cv2.IMREAD_COLOR_RGB
            cv2.imdecode(np.frombuffer(encoded, np.uint8), flags)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for _ in pool.map(decode, range(0, len(files), _TOGETHER)):
            pass


def _cells(seconds: Seconds, files: int) -> list[str]:
    return [f"{seconds[0]:.2f}", f"{seconds[1]:.2f}", f"{files / seconds[0]:,.0f}"]


def _ratio(other: Seconds, ours: Seconds) -> str:
    return f"{other[0] / ours[0]:.2f}"


def _paint(folder: Path, numbers: range) -> None:
    """Write pairs of smooth noise with a box; quick to make, no two alike."""
    for part in ("train_images", "train_segmentation"):
        (folder / part).mkdir(exist_ok=True)
    for index in numbers:
        draw = np.random.default_rng(index)
        small = draw.integers(0, 256, (8, 8, 3), np.uint8)
        image = cv2.resize(small, (64, 64), interpolation=cv2.INTER_LINEAR)
        mask = np.zeros((64, 64), np.uint8)
        row, column = draw.integers(0, 40, 2)
        mask[row : row + 20, column : column + 20] = 1 + index % 2
        for part, array in (("train_images", image), ("train_segmentation", mask)):
            cv2.imwrite(str(folder / part / f"{index:08}.png"), array)


def _counts(text: str) -> list[int]:
    return sorted(map(int, text.split(",")))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, nargs="?")
    parser.add_argument("--classes", type=int, default=11)
    parser.add_argument("--pairs", type=_counts, default=[])
    parser.add_argument("--painted", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--peer-python", default="")
    add_write_option(parser)
    options = parser.parse_args()
    if not (options.data or options.pairs or options.painted):
        parser.error("name the folder of a dataset, or --pairs 10000,100000")
    return options


if __name__ == "__main__":
    main()
