"""How well `verify --model` finds masks that are known to be wrong.

    python -m benchmarks.label_noise path/to/camvid [--minutes 4] [--share 0.05]

A share of the training masks is damaged: shifted, two classes swapped in a region, or
a class erased. A network is trained on all of them for some minutes and ranks them;
the masks ranked first, as many as were damaged, should be those. A random order finds
the damaged share of them, with an AUROC of 0.5.
"""

import argparse
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from benchmarks.camvid import open_camvid, train_for
from benchmarks.tables import add_write_option, show
from seglib.data.dataset import Dataset
from seglib.data.image_io import encode_png, read_mask
from seglib.models import build_from_config
from seglib.steps.review import review

_SHIFT = 0.06  # of the width, at least; at most twice that
_LEAST_SHARE = 0.01  # of the pixels, of a class that is erased or swapped

Draw = np.random.Generator


def main() -> None:
    options = _options()
    data, _ = open_camvid(options.data, options.config)
    rows = []
    for seed in range(options.seeds):
        with tempfile.TemporaryDirectory() as folder:
            damaged = damage(data, Path(folder), share=options.share, seed=seed)
            noisy, settings = open_camvid(Path(folder), options.config)
            model = build_from_config(settings.model, noisy)
            trained = train_for(model, noisy, settings.train, options.minutes)
            only_train = replace(noisy, splits={"train": noisy.splits["train"]})
            found = review(model, only_train)
        ranked = [each.mask.stem for each in found.masks]
        reported = {problem.path.stem for problem in found.problems}
        name = f"seed {seed}, {trained.steps} steps, mIoU {trained.miou:.3f}"
        rows += _rows(name, ranked, reported, damaged)
    chance = f"{options.share:.2f}"
    rows.append(["random order", "", "0.500", chance, chance, ""])
    header = ("", "masks", "AUROC", "found among as many", "among twice", "reported")
    show("label-noise", header, rows, options.write)


def area_under_roc(ranked: Sequence[bool]) -> float:
    """Share of the pairs of a true and a false one of which the true one comes first.

    Args:
        ranked: whether each is true, in the order of the ranking.
    """
    order = np.asarray(ranked, bool)
    ahead = np.cumsum(order)[~order].sum()
    return float(ahead / (order.sum() * (~order).sum()))


def _rows(
    name: str, ranked: Sequence[str], reported: set[str], damaged: Mapping[str, str]
) -> list[list[str]]:
    """A row of all damaged masks, and one of each kind of damage."""
    groups = {name: set(damaged)}
    for kind in _DAMAGES:
        groups[f"… {kind}"] = {stem for stem, each in damaged.items() if each == kind}
    rows = []
    for title, wanted in groups.items():
        known = [stem for stem in ranked if stem in wanted or stem not in damaged]
        found = [
            len(wanted & set(ranked[:n])) for n in (len(damaged), 2 * len(damaged))
        ]
        auroc = area_under_roc([stem in wanted for stem in known])
        shares = [f"{count / len(wanted):.2f}" for count in found]
        told = f"{len(wanted & reported)}"
        told += f" and {len(reported - set(damaged))} others" if title == name else ""
        rows.append([title, f"{len(wanted)}", f"{auroc:.3f}", *shares, told])
    return rows


def damage(data: Dataset, out: Path, *, share: float, seed: int) -> dict[str, str]:
    """Copy a dataset with a share of its training masks damaged.

    Returns:
        The damage by the stem of each damaged pair.
    """
    draw = np.random.default_rng(seed)
    for split in data.splits:
        for part in ("images", "segmentation"):
            shutil.copytree(data.root / f"{split}_{part}", out / f"{split}_{part}")
    pairs = data.pairs("train")
    chosen = draw.permutation(len(pairs))[: round(share * len(pairs))]
    damaged = {}
    for place, index in enumerate(sorted(chosen.tolist())):
        name = list(_DAMAGES)[place % len(_DAMAGES)]
        mask = read_mask(pairs[index].mask)
        wrong = _DAMAGES[name](mask, draw, data.num_classes)
        path = out / "train_segmentation" / pairs[index].mask.name
        path.write_bytes(encode_png(wrong))
        damaged[pairs[index].stem] = name
    return damaged


def _shift(mask: np.ndarray, draw: Draw, _num_classes: int) -> np.ndarray:
    """Move a mask sideways and repeat its edge."""
    least = _SHIFT * mask.shape[1]
    by = int(draw.uniform(least, 2 * least)) * int(draw.choice([-1, 1]))
    columns = np.clip(np.arange(mask.shape[1]) - by, 0, mask.shape[1] - 1)
    return mask[:, columns]


def _swap(mask: np.ndarray, draw: Draw, num_classes: int) -> np.ndarray:
    """Exchange two classes in a quarter of the image."""
    height, width = mask.shape
    top = int(draw.integers(0, height // 2 + 1))
    left = int(draw.integers(0, width // 2 + 1))
    wrong = mask.copy()
    region = wrong[top : top + height // 2, left : left + width // 2]
    counts = np.bincount(region.ravel(), minlength=num_classes)[:num_classes]
    one, other = np.argsort(-counts, kind="stable")[:2]
    was_one, was_other = region == one, region == other
    region[was_one], region[was_other] = other, one
    return wrong


def _erase(mask: np.ndarray, draw: Draw, num_classes: int) -> np.ndarray:
    """Give the pixels of a class the id of the nearest pixel of another."""
    counts = np.bincount(mask.ravel(), minlength=num_classes)[:num_classes]
    counts[counts.argmax()] = 0
    classes = np.flatnonzero(counts >= _LEAST_SHARE * mask.size)
    gone = (mask == draw.choice(classes)).astype(np.uint8)
    _, nearest = cv2.distanceTransformWithLabels(
        gone, cv2.DIST_L2, 3, labelType=cv2.DIST_LABEL_PIXEL
    )
    ids = np.zeros(nearest.max() + 1, mask.dtype)
    ids[nearest[gone == 0]] = mask[gone == 0]
    return ids[nearest]


_DAMAGES: dict[str, Callable[[np.ndarray, Draw, int], np.ndarray]] = {
    "shifted": _shift,
    "swapped": _swap,
    "erased": _erase,
}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--config", type=Path, default=Path("configs/camvid-cpu.yaml"))
    parser.add_argument("--minutes", type=float, default=4)
    parser.add_argument("--share", type=float, default=0.05, help="of masks damaged")
    parser.add_argument("--seeds", type=int, default=1, help="trainings")
    add_write_option(parser)
    return parser.parse_args()


if __name__ == "__main__":
    main()
