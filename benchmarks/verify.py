r"""How fast `verify` opens a dataset: against bare decoding, and keras_segmentation.

    python -m benchmarks.verify path/to/camvid [--peer-python PYTHON]

Both sides of a ratio run in turn, several times, on as many threads; the best time of
each counts. The peer verifies the train split alone, in one thread, as it does for its
users; its environment is explained in benchmarks/against_keras_segmentation.py.
`--pairs N` adds painted pairs of 64×64 instead, and the memory that they take.
"""

import argparse
import os
import resource
import subprocess
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np

from benchmarks.tables import add_write_option, show
from seglib.config import DataConfig
from seglib.data.verification.verifier import verify

_ROUNDS = 5
_PEER = """
import sys, time, types, keras
merge = types.ModuleType("keras.layers.merge")
merge.Concatenate, merge.Add = keras.layers.Concatenate, keras.layers.Add
sys.modules["keras.layers.merge"] = merge
from keras_segmentation.data_utils.data_loader import verify_segmentation_dataset
images, masks, classes = sys.argv[1:]
started = time.perf_counter()
verify_segmentation_dataset(images, masks, int(classes))
print("seconds", time.perf_counter() - started)
"""


def main() -> None:
    options = _options()
    rows = []
    if options.pairs:
        with tempfile.TemporaryDirectory() as folder:
            _paint(Path(folder), options.pairs)
            config = DataConfig(num_classes=3, ignore_index=255)
            rows += _compare(f"{options.pairs:,} painted pairs", folder, config, 1)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"at most {peak:.0f} MiB of memory")
    else:
        config = DataConfig(num_classes=options.classes, ignore_index=options.classes)
        rows += _compare("CamVid", options.data, config, _ROUNDS)
        if options.peer_python:
            rows += _against_peer(options, config)
    show("verify", ("", "seconds", "files/s", "ratio"), rows, options.write)
    print(f"{os.cpu_count()} cores")


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
            "decoding": lambda: _decode(files),
            "seglib": lambda: verify(folder, config=config),
        },
        rounds,
    )
    ratio = best["decoding"] / best["seglib"]
    return [
        [f"{name}: bare decoding", *_cells(best["decoding"], len(files)), "1"],
        [f"{name}: `verify`", *_cells(best["seglib"], len(files)), f"{ratio:.2f}"],
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
        times = {"peer": float("inf"), "ours": float("inf")}
        for _ in range(_ROUNDS):
            done = subprocess.run(
                [*command, str(options.classes + 1)],
                env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": ""},
                stdout=subprocess.PIPE,
                text=True,
                check=True,
            )
            seconds = float(done.stdout.split()[-1])
            times["peer"] = min(times["peer"], seconds)
            ours = _timed(lambda: verify(folder, config=config))
            times["ours"] = min(times["ours"], ours)
    ratio = times["peer"] / times["ours"]
    return [
        ["train split: keras_segmentation", *_cells(times["peer"], count), "1"],
        ["train split: `verify`", *_cells(times["ours"], count), f"{ratio:.1f}"],
    ]


def _best(tasks: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """The least seconds of each task; they take turns."""
    best = dict.fromkeys(tasks, float("inf"))
    for _ in range(rounds):
        for name, task in tasks.items():
            best[name] = min(best[name], _timed(task))
    return best


def _timed(task: Callable[[], object]) -> float:
    started = time.perf_counter()
    task()
    return time.perf_counter() - started


def _decode(files: list[Path]) -> None:
    """Read and decode every file, as images in colour and masks as they are."""

    def decode(path: Path) -> None:
        is_mask = path.parent.name.endswith("_segmentation")
        flags = cv2.IMREAD_UNCHANGED if is_mask else cv2.IMREAD_COLOR_RGB
        cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), flags)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for _ in pool.map(decode, files):
            pass


def _cells(seconds: float, files: int) -> list[str]:
    return [f"{seconds:.2f}", f"{files / seconds:,.0f}"]


def _paint(folder: Path, count: int) -> None:
    """Write pairs of noise with a box; quick to make, no two alike."""
    draw = np.random.default_rng(0)
    for part in ("train_images", "train_segmentation"):
        (folder / part).mkdir()
    for index in range(count):
        small = draw.integers(0, 256, (8, 8, 3), np.uint8)
        image = cv2.resize(small, (64, 64), interpolation=cv2.INTER_LINEAR)
        mask = np.zeros((64, 64), np.uint8)
        row, column = draw.integers(0, 40, 2)
        mask[row : row + 20, column : column + 20] = 1 + index % 2
        for part, array in (("train_images", image), ("train_segmentation", mask)):
            cv2.imwrite(str(folder / part / f"{index:08}.png"), array)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, nargs="?")
    parser.add_argument("--classes", type=int, default=11)
    parser.add_argument("--pairs", type=int, default=0)
    parser.add_argument("--peer-python", default="")
    add_write_option(parser)
    options = parser.parse_args()
    if not options.data and not options.pairs:
        parser.error("name the folder of a dataset, or --pairs N")
    return options


if __name__ == "__main__":
    main()
