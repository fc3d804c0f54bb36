"""How often the gate promotes a challenger, by how much better it really is.

    python -m benchmarks.gate_power [--comparisons 200] [--images 101]
        [--write docs/results.md]

Simulated pairs of models on a split like CamVid's val: 101 images, 11 classes of its
shares and of usual IoUs; some images are hard for both models, each has luck of its
own. The challenger's true IoU is higher by the same points in every class. Prints the
share of promotions, with the gate's defaults, beside that of "the higher mIoU wins".
"""

import argparse

import numpy as np

from benchmarks.tables import add_write_option, show
from seglib.config import GateConfig
from seglib.evaluation.bootstrap import Comparison, compare
from seglib.evaluation.counts import ImageCounts

PIXELS = 360 * 480
SHARES = np.array([0.17, 0.23, 0.01, 0.29, 0.08, 0.1, 0.012, 0.03, 0.055, 0.008, 0.015])
SKILL = np.array([0.94, 0.8, 0.1, 0.95, 0.83, 0.89, 0.35, 0.55, 0.78, 0.45, 0.7])
BETTER = (0.0, 0.002, 0.005, 0.01, 0.015, 0.02, 0.03, 0.05)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--comparisons", type=int, default=200)
    parser.add_argument("--images", type=int, default=101)
    add_write_option(parser)
    options = parser.parse_args()
    rows = []
    for points in BETTER:
        rng = np.random.default_rng(1)
        pairs = [_pair(rng, options.images, points) for _ in range(options.comparisons)]
        passed = np.mean([promotes(one) for one in pairs])
        higher = np.mean([one.miou.estimate > 0 for one in pairs])
        rows.append([f"{100 * points:.1f} points", f"{passed:.1%}", f"{higher:.1%}"])
    header = ["truly better by", "promoted by the gate", "higher mIoU"]
    show("gate", header, rows, options.write)


def promotes(compared: Comparison) -> bool:
    """What the gate says with its defaults."""
    config = GateConfig()
    lost = compared.lost_classes(config.max_class_drop)
    return compared.is_better(config.min_delta) and not lost


def draw_images(rng: np.random.Generator, count: int = 101) -> tuple[np.ndarray, ...]:
    """Pixels of each class in each image, and how hard it is there for anyone."""
    shape = (count, len(SHARES))
    present = rng.random(shape) < np.clip(SHARES * 40, 0.3, 1)
    sizes = rng.gamma(1.5, SHARES / 1.5, shape) * present * PIXELS
    return sizes.astype(np.int64) + 1, rng.normal(0, 0.8, shape)


def draw_model(
    rng: np.random.Generator, images: tuple[np.ndarray, ...], better: float = 0.0
) -> ImageCounts:
    """A model of CamVid's usual IoUs; `better` is what it gains in every class."""
    union, hardness = images
    skill = np.clip(SKILL + better, 0.01, 0.99)
    own = rng.normal(0, 0.3, union.shape)
    iou = 1 / (1 + np.exp(-(np.log(skill / (1 - skill)) + hardness + own)))
    stems = tuple(f"{i:03}" for i in range(len(union)))
    return ImageCounts(stems, (union * iou).astype(np.int64), union)


def _pair(rng: np.random.Generator, count: int, better: float) -> Comparison:
    images = draw_images(rng, count)
    champion, challenger = draw_model(rng, images), draw_model(rng, images, better)
    return compare(challenger, champion, resamples=1000)


if __name__ == "__main__":
    main()
