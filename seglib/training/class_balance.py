"""How often each class occurs in the training masks, and what a pixel of it weighs."""

from dataclasses import dataclass

import numpy as np

from seglib.config import TrainConfig
from seglib.data.class_totals import ClassTotals, count_classes
from seglib.data.loader import PairSource
from seglib.data.views import RareViews
from seglib.errors import SegError, UsageError

_TEMPERATURE = 0.1  # the smaller, the more the rarest class is favoured


@dataclass(frozen=True)
class ClassBalance:
    """How often the classes occur in the training masks, without ignored pixels.

    totals: sums over all masks.
    by_image: int64 (images, num_classes), pixels; None where nobody asked for them.
    """

    totals: ClassTotals
    by_image: np.ndarray | None = None

    @classmethod
    def of(
        cls,
        source: PairSource,
        *,
        num_classes: int,
        ignore_index: int | None,
        by_image: bool,
    ) -> "ClassBalance":
        """The balance of a source; its masks are read unless their sums are known.

        Args:
            source: of the training pairs.
            num_classes: of the model.
            ignore_index: id of ignored pixels.
            by_image: whether views of rare classes will be drawn.

        Raises:
            SegError: as `count`; or the known sums are those of other classes.
        """
        totals = source.class_totals
        if totals is None or by_image:
            return cls.count(source, num_classes=num_classes, ignore_index=ignore_index)
        if len(totals.pixels) != num_classes:
            raise SegError(
                f"The shards have {len(totals.pixels)} classes, the model has "
                f"{num_classes}. Make the shards again from this dataset."
            )
        return cls(totals)

    @classmethod
    def count(
        cls, source: PairSource, *, num_classes: int, ignore_index: int | None
    ) -> "ClassBalance":
        """Count the pixels of all training masks; fills the source's cache.

        Raises:
            SegError: a mask holds an id that is neither a class nor ignored.
        """
        pixels = np.zeros((len(source), num_classes), np.int64)
        for index in range(len(source)):
            pixels[index] = count_classes(
                source[index][1], num_classes=num_classes, ignore_index=ignore_index
            )
        return cls(ClassTotals.of(pixels), pixels)

    def weights(self, config: TrainConfig) -> np.ndarray:
        """One weight a class, float64 (num_classes,), as `class_weights` says.

        Raises:
            UsageError: as `require_weights`.
        """
        if config.class_weights == "none":
            return np.ones(len(self.totals.pixels))
        if config.class_weights == "median_frequency":
            return self.median_frequency()
        if config.class_weights == "power":
            return class_weights(self.totals.pixels, config.class_weight_power)
        return np.array(require_weights(config, len(self.totals.pixels)))

    def median_frequency(self) -> np.ndarray:
        """The median frequency over that of a class, float64 (num_classes,).

        A class's frequency is its share of the pixels of those images that it is in.
        A class without pixels weighs 1.

        Reference: Eigen and Fergus 2015, "Predicting Depth, Surface Normals and
        Semantic Labels with a Common Multi-Scale Convolutional Architecture",
        arXiv:1411.4734.
        """
        around = self.totals.surroundings
        known = around > 0
        weights = np.ones(len(known))
        frequency = self.totals.pixels[known] / around[known]
        if frequency.size:
            weights[known] = np.median(frequency) / frequency
        return weights

    def rare_views(self, source: PairSource, share: float) -> RareViews | None:
        """Views that show rare classes more often; None for a share of 0.

        A class is drawn by exp((1 − f) / T) of its share f of all pixels; one without
        pixels never.

        Reference: Hoyer, Dai and Van Gool 2022, "DAFormer: Improving Network
        Architectures and Training Strategies for Domain-Adaptive Semantic
        Segmentation", arXiv:2111.14887 (rare class sampling).
        """
        if not share or self.by_image is None:
            return None
        pixels = self.totals.pixels
        frequency = pixels / max(1, pixels.sum())
        powers = np.where(frequency > 0, np.exp(-frequency / _TEMPERATURE), 0.0)
        chances = powers / max(powers.sum(), np.finfo(float).tiny)
        return RareViews(source.__getitem__, self.by_image, chances, share)


def require_weights(config: TrainConfig, num_classes: int) -> list[float]:
    """The numbers of `class_weights`, one a class; none where it is a word.

    Raises:
        UsageError: not one number a class.
    """
    if config.class_weights.isidentifier():
        return []
    numbers = [float(number) for number in config.class_weights.split(",")]
    if len(numbers) != num_classes:
        raise UsageError(
            f"`class_weights` must be one number for each of the {num_classes} "
            f"classes, in the order of their ids. Received: {len(numbers)} numbers. Or "
            "use `power`, `median_frequency` or `none`."
        )
    return numbers


def class_weights(class_pixels: np.ndarray, power: float) -> np.ndarray:
    """Weights (1 / pixel share) ** power, scaled so that the average pixel weighs 1.

    Args:
        class_pixels: int64 (num_classes,), counted pixels of each class.
        power: 0 gives equal weights, 1 makes every class weigh the same in sum.

    Returns:
        float64 (num_classes,). A class without pixels gets weight 1.

    Example:
        >>> class_weights(np.array([75, 25]), 1.0).round(3).tolist()
        [0.667, 2.0]
    """
    share = class_pixels / max(1, class_pixels.sum())
    present = share > 0
    weights = np.ones(len(share))
    weights[present] = share[present] ** -power
    weights[present] /= (weights[present] * share[present]).sum()
    return weights
