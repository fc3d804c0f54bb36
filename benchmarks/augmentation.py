r"""How many images a second each augmentation policy makes, and the peer's `aug_all2`.

    python -m benchmarks.augmentation path/to/camvid --peer-python PYTHON

PYTHON is that of an environment for keras_segmentation's augmentation, which is made
of imgaug and needs an old NumPy, but no TensorFlow:

    uv venv --python 3.11 peer
    uv pip install --python peer/bin/python 'numpy<1.24' 'opencv-python-headless<4.10' \
        imgaug imageio six
    uv pip install --python peer/bin/python --no-deps keras-segmentation

Both alter the same decoded frames with their masks, in one thread, by turns; the time
is the thread's own, so that other work on the machine matters less. Without
`--peer-python` the table has no ratios.
"""

import argparse
import json
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from rich.console import Console
from rich.table import Table

FRAMES = 32
PEER_POLICY = "aug_all2"
# What the peer's Python runs: its module alone, as the package imports Keras.
PEER = r"""
import glob, importlib.util, json, sys, time, warnings
warnings.simplefilter("ignore")
import cv2
cv2.setNumThreads(1)
root, policy, frames, seconds = sys.argv[1], sys.argv[2], *map(float, sys.argv[3:])
package = importlib.util.find_spec("keras_segmentation").submodule_search_locations[0]
spec = importlib.util.spec_from_file_location(
    "augmentation", package + "/data_utils/augmentation.py")
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
read = lambda part: [cv2.imread(path, 1) for path in sorted(
    glob.glob(root + "/train_" + part + "/*"))[:int(frames)]]
pairs = list(zip(read("images"), (mask[..., :1] for mask in read("segmentation"))))
work = lambda i: module.augment_seg(*pairs[i % len(pairs)], augmentation_name=policy)
work(0)
start, done = time.process_time(), 0
while time.process_time() - start < seconds:
    work(done)
    done += 1
print(json.dumps(done / (time.process_time() - start)))
"""


def main() -> None:
    from seglib.policies import policies

    options = _options()
    pairs = _pairs(options.camvid)
    peer: list[float] = []
    ours: dict[str, list[float]] = {name: [] for name in policies()}
    for _ in range(options.rounds):
        if options.peer_python:
            peer.append(_peer(options))
        for name, rates in ours.items():
            rates.append(_rate(_work(name, pairs), options.seconds))
    reference = float(np.median(peer)) if peer else float("nan")
    title = f"{pairs[0][1].shape[0]}×{pairs[0][1].shape[1]}, one thread"
    table = Table("policy", "images/s", f"× {PEER_POLICY} of the peer", title=title)
    if peer:
        name = f"keras_segmentation: {PEER_POLICY}"
        table.add_row(name, f"{reference:.0f}", "1.0", end_section=True)
    for name, rates in ours.items():
        rate = float(np.median(rates))
        table.add_row(name, f"{rate:.0f}", f"{rate / reference:.1f}" if peer else "")
    Console().print(table)


def _pairs(camvid: Path) -> list[tuple[np.ndarray, np.ndarray]]:
    from seglib.data.pairs import read_pair
    from seglib.data.verification.loading import load_dataset

    dataset = load_dataset(camvid, num_classes=11, ignore_index=11)
    return [read_pair(pair, {"image": 3}) for pair in dataset.pairs("train")[:FRAMES]]


def _work(
    name: str, pairs: list[tuple[np.ndarray, np.ndarray]]
) -> Callable[[int], object]:
    from seglib.data.augmentation.augmenter import Augmenter
    from seglib.data.views import RareViews

    counts = [np.bincount(mask.reshape(-1), minlength=12)[:11] for _, mask in pairs]
    chances = np.sum(counts, 0) > 0
    others = RareViews(
        pairs.__getitem__, np.stack(counts), chances / chances.sum(), share=1.0
    )
    augmenter, rng = Augmenter(name, 11), np.random.default_rng(0)
    return lambda i: augmenter(*pairs[i % len(pairs)], rng, others.draw_pair)


def _rate(work: Callable[[int], object], seconds: float) -> float:
    cv2.setNumThreads(1)
    work(0)
    start, done = time.process_time(), 0
    while time.process_time() - start < seconds:
        work(done)
        done += 1
    return done / (time.process_time() - start)


def _peer(options: argparse.Namespace) -> float:
    given = (options.camvid, PEER_POLICY, str(FRAMES), str(options.seconds * 4))
    one_thread = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "PYTHONPATH": ""}
    done = subprocess.run(
        [options.peer_python, "-c", PEER, *given],
        env={**os.environ, **one_thread},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return float(json.loads(done.stdout.splitlines()[-1]))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("camvid", type=Path)
    parser.add_argument("--peer-python")
    parser.add_argument("--seconds", type=float, default=1, help="a policy and round")
    parser.add_argument("--rounds", type=int, default=3)
    return parser.parse_args()


if __name__ == "__main__":
    main()
