"""What a plan knows of a dataset: its sizes, classes, and how often each occurs.

The name is nnU-Net's: Isensee et al. 2021, "nnU-Net: a self-configuring method for deep
learning-based biomedical image segmentation", Nature Methods 18.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from seglib.config import DataConfig
from seglib.data.dataset import Dataset, config_options
from seglib.data.image_io import stored_channels
from seglib.data.pairs import spread
from seglib.data.problems import some_of_each
from seglib.data.verification.object_checks import class_objects
from seglib.data.verification.objects import SIDES, Objects
from seglib.data.verification.verifier import examine
from seglib.errors import DatasetError

logger = logging.getLogger(__name__)

MOST_OPENED = 1000  # pairs of a split; more are sampled
_MOST_DECODED = 8  # images whose channels are looked at


@dataclass(frozen=True, kw_only=True)
class Fingerprint:
    """The facts that a plan follows from.

    dataset: with its classes, as training will see them.
    opened: pairs of each split that were opened, all or a sample.
    sizes: int64 (opened training images, 2), height and width in pixels.
    class_pixels: int64 (opened training images, num_classes).
    void_pixels: ignored pixels of the opened training masks.
    channels: of the images, as a network should take them: 3, or 4 where alpha varies.
    stored: (channels, bits a sample) of the image files that were looked at.
    objects: by class, of a sample of the training masks.
    """

    dataset: Dataset
    opened: Mapping[str, int]
    sizes: np.ndarray
    class_pixels: np.ndarray
    void_pixels: int
    channels: int
    stored: frozenset[tuple[int, int]]
    objects: Mapping[int, Objects] = field(default_factory=dict)

    def images(self, split: str) -> int:
        """All images of a split, opened or not."""
        return len(self.dataset.splits.get(split, ()))

    @property
    def size(self) -> tuple[int, int]:
        """The median height and the median width."""
        height, width = np.median(self.sizes, axis=0)
        return round(height), round(width)

    @property
    def thinnest(self) -> tuple[int, int]:
        """Thickness in pixels of the thinnest class, and the class; 32 at most."""
        thickness = ((each.median_side, i) for i, each in self.objects.items())
        return min(thickness, default=(SIDES[-1], 0))

    @property
    def shares(self) -> np.ndarray:
        """Share of each class of the counted pixels, float64 (num_classes,)."""
        return self.class_pixels.sum(0) / self.class_pixels.sum()

    @property
    def presence(self) -> np.ndarray:
        """Share of the images that each class is in, float64 (num_classes,)."""
        return (self.class_pixels > 0).mean(0)

    @property
    def imbalance(self) -> float:
        """How many times as many pixels the largest class has as the smallest.

        Classes without pixels are left out.
        """
        shares = self.shares[self.shares > 0]
        return float(shares.max() / shares.min())

    @property
    def void_share(self) -> float:
        """Share of the pixels of the training masks that is ignored."""
        return self.void_pixels / (self.void_pixels + int(self.class_pixels.sum()))


def take_fingerprint(
    root: Path,
    config: DataConfig | None = None,
    *,
    at_most: int = MOST_OPENED,
    progress: Callable[[int, int], None] | None = None,
) -> Fingerprint:
    """Verify a dataset, or a sample of a large one, and count what is in it.

    Args:
        config: the classes of a folder without a dataset.yaml.
        at_most: pairs of a split that are opened; of more, a random sample, which is
            the same each time.
        progress: called with (pairs opened, all that are to be opened).

    Raises:
        DatasetError: problems that would end a training, too; no train split; or no
            counted pixel in the training masks.
    """
    options: dict[str, Any] = config_options(config or DataConfig())
    verification = examine(root, options, at_most=at_most, progress=progress)
    verification.raise_if_bad()
    for line in some_of_each(verification.warnings):
        logger.warning("%s", line)
    for note in verification.notes:
        if note.kind == "classes-inferred":  # a void id may be among them
            logger.info("%s", note)
    dataset = verification.dataset
    train = dataset.pairs("train")
    facts = verification.pairs["train"]
    counts = np.array([pair.class_pixels for pair in facts], np.int64)
    if not counts.sum():
        raise DatasetError(
            f"{root}: every pixel of the training masks is ignored "
            f"(ignore_index={dataset.ignore_index}). Expected pixels of classes. Check "
            "the masks, and `ignore_index` in dataset.yaml."
        )
    stored = [stored_channels(pair.image) for pair in spread(train, _MOST_DECODED)]
    return Fingerprint(
        dataset=dataset,
        opened={split: len(found) for split, found in verification.pairs.items()},
        sizes=np.array([(pair.height, pair.width) for pair in facts]),
        class_pixels=counts,
        void_pixels=sum(pair.ignored_pixels for pair in facts),
        channels=4 if all(channels == 4 for channels, _ in stored) else 3,
        stored=frozenset(stored),
        objects=class_objects(dataset, verification.inspections["train"])[1],
    )
