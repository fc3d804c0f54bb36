"""Losses, on any Keras backend: masks of ids and logits in, one number out.

Every loss is a function of sums over pixels or images (`sums`), taken by `value`. Sums
of the parts of a batch add up to those of the batch; so several processes compute the
loss of their whole batch, and its exact gradient.

Ignored pixels, and ids that are no class, count nowhere.
"""

import abc
import math
from collections.abc import Sequence
from typing import Any

import keras

from seglib.loss_formula import Term

_LEAST = 1e-6  # of a denominator: a batch without a pixel that counts has loss 0


class SegmentationLoss(keras.losses.Loss, abc.ABC):
    """What all losses have in common.

    Args:
        ignore_index: id of the pixels that do not count.
        class_weights: one weight a class. Default: 1 each.
    """

    def __init__(
        self,
        *,
        ignore_index: int | None = None,
        class_weights: Sequence[float] | None = None,
    ):
        super().__init__(reduction="none")
        self.ignore_index, self.class_weights = ignore_index, class_weights

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """The loss of a batch.

        Args:
            y_true: masks, int (N, H, W) of ids.
            y_pred: logits, float (N, H, W, num_classes).

        Returns:
            A float32 scalar; 0 where no pixel counts.
        """
        return self.value(self.sums(y_true, y_pred))

    @abc.abstractmethod
    def sums(self, masks: Any, logits: Any) -> tuple[Any, ...]:
        """What the loss is made of: float32 tensors that add up over parts of a batch.

        Args:
            masks, logits: as for `call`.
        """

    def value(self, sums: tuple[Any, ...]) -> Any:
        """The loss, a scalar, from the sums of a whole batch: here of a mean, Σ / n."""
        total, count = sums
        return total / keras.ops.maximum(count, _LEAST)

    def _counted(self, masks: Any, num_classes: int) -> tuple[Any, Any]:
        """Which pixels count, bool, and their ids, int32, which are 0 elsewhere."""
        mask = keras.ops.cast(masks, "int32")
        counted = keras.ops.logical_and(mask >= 0, mask < num_classes)
        if self.ignore_index is not None:
            counted = keras.ops.logical_and(counted, mask != self.ignore_index)
        return counted, keras.ops.where(counted, mask, 0)

    def _weights(self, num_classes: int) -> Any:
        weights = self.class_weights
        return keras.ops.convert_to_tensor(
            [1.0] * num_classes if weights is None else weights, "float32"
        )


class CrossEntropy(SegmentationLoss):
    """Weighted cross-entropy: Σ w·nll / Σ w over the pixels that count.

    So the loss of an image does not depend on how much of it is void.

    Args:
        label_smoothing: this share of each target is spread over all classes.

    Reference: Szegedy et al. 2016, "Rethinking the Inception Architecture for Computer
    Vision", section 7 (label smoothing).
    """

    def __init__(self, *, label_smoothing: float = 0.0, **common: Any):
        super().__init__(**common)
        self.label_smoothing = label_smoothing

    def sums(self, masks: Any, logits: Any) -> tuple[Any, ...]:
        weight, nll = self._weighted(masks, logits)
        return keras.ops.sum(nll * weight), keras.ops.sum(weight)

    def _weighted(self, masks: Any, logits: Any) -> tuple[Any, Any]:
        """Weight and negative log-likelihood of each pixel, float32 (N, H, W)."""
        logits = keras.ops.cast(logits, "float32")
        counted, mask = self._counted(masks, logits.shape[-1])
        weight = keras.ops.cast(counted, "float32")
        if self.class_weights is not None:
            weight = weight * keras.ops.take(self._weights(logits.shape[-1]), mask)
        nll = keras.ops.sparse_categorical_crossentropy(mask, logits, from_logits=True)
        if self.label_smoothing:
            spread = -keras.ops.mean(keras.ops.log_softmax(logits), axis=-1)
            nll = (1 - self.label_smoothing) * nll + self.label_smoothing * spread
        return weight, nll


class Focal(CrossEntropy):
    """Cross-entropy that fades where the prediction is right: Σ w·(1−p)^γ·nll / Σ w.

    Args:
        gamma: 0 is cross-entropy.

    Reference: Lin et al. 2017, "Focal Loss for Dense Object Detection", equation 5;
    the class weights are its α.
    """

    def __init__(self, *, gamma: float = 2.0, **common: Any):
        super().__init__(**common)
        self.gamma = gamma

    def _weighted(self, masks: Any, logits: Any) -> tuple[Any, Any]:
        weight, nll = super()._weighted(masks, logits)
        # 1 − p, never 0, where a power below 1 has no slope.
        wrong = keras.ops.maximum(-keras.ops.expm1(-nll), 1e-7)
        return weight, keras.ops.power(wrong, self.gamma) * nll


class Ohem(CrossEntropy):
    """Cross-entropy over the hard pixels of each image (online hard example mining).

    Hard are pixels whose true class has a probability below `threshold`, and in any
    case the hardest `min_kept` of an image.

    Reference: Shrivastava, Gupta and Girshick 2016, "Training Region-based Object
    Detectors with Online Hard Example Mining", here of pixels in place of regions.
    """

    def __init__(
        self, *, min_kept: float = 1 / 16, threshold: float = 0.7, **common: Any
    ):
        super().__init__(**common)
        self.min_kept, self.threshold = min_kept, threshold

    def sums(self, masks: Any, logits: Any) -> tuple[Any, ...]:
        weight, nll = self._weighted(masks, logits)
        pixels = nll.shape[1] * nll.shape[2]
        weight, nll = (keras.ops.reshape(x, (-1, pixels)) for x in (weight, nll))
        hardness = keras.ops.where(weight > 0, nll, -1.0)
        least = max(1, round(self.min_kept * pixels))
        hardest = keras.ops.top_k(hardness, least, sorted=True)[0][:, -1:]
        easy = -math.log(max(self.threshold, 1e-30))
        kept = hardness >= keras.ops.minimum(hardest, easy)
        weight = weight * keras.ops.cast(kept, "float32")
        return keras.ops.sum(nll * weight), keras.ops.sum(weight)


class Tversky(SegmentationLoss):
    """One minus the Tversky index, TP / (TP + α·FP + β·FN), of soft counts of a batch.

    The mean over the classes that occur in the masks of the batch, weighted by the
    class weights. α = β = ½ is the Dice loss, α = β = 1 the Jaccard loss.

    Args:
        alpha, beta: what a false positive and a false negative pixel cost.

    Reference: Salehi, Erdogmus and Gholipour 2017, "Tversky loss function for image
    segmentation using 3D fully convolutional deep networks".
    """

    def __init__(self, *, alpha: float = 0.3, beta: float = 0.7, **common: Any):
        super().__init__(**common)
        self.alpha, self.beta = alpha, beta

    def sums(self, masks: Any, logits: Any) -> tuple[Any, ...]:
        """TP, Σ probabilities and Σ true pixels, (num_classes,) each."""
        probabilities, true = self._planes(masks, logits)
        planes = probabilities * true, probabilities, true
        return tuple(keras.ops.sum(plane, axis=(0, 1, 2)) for plane in planes)

    def value(self, sums: tuple[Any, ...]) -> Any:
        hit, predicted, true = sums
        missed = self.alpha * (predicted - hit) + self.beta * (true - hit)
        index = hit / keras.ops.maximum(hit + missed, _LEAST)
        present = keras.ops.cast(true > 0, "float32")
        weight = present * self._weights(present.shape[0])
        total = keras.ops.maximum(keras.ops.sum(weight), _LEAST)
        return keras.ops.sum(weight * (1 - index)) / total

    def _planes(self, masks: Any, logits: Any) -> tuple[Any, Any]:
        """Probabilities and true classes, float32 (N, H, W, C); 0 in ignored pixels."""
        num_classes = logits.shape[-1]
        counted, mask = self._counted(masks, num_classes)
        counted = keras.ops.cast(counted, "float32")[..., None]
        probabilities = keras.ops.softmax(keras.ops.cast(logits, "float32"))
        true = keras.ops.one_hot(mask, num_classes, dtype="float32")
        return probabilities * counted, true * counted


class Lovasz(Tversky):
    """The Lovász extension of 1 − IoU, over the classes of each image.

    Reference: Berman, Triki and Blaschko 2018, "The Lovász-Softmax loss", algorithm 1
    and equation 12; the mean over images as in its section 3.1.
    """

    value = SegmentationLoss.value

    def sums(self, masks: Any, logits: Any) -> tuple[Any, ...]:
        num_classes = logits.shape[-1]
        pixels = logits.shape[1] * logits.shape[2]
        probabilities, true = (
            keras.ops.transpose(
                keras.ops.reshape(plane, (-1, pixels, num_classes)), (0, 2, 1)
            )
            for plane in self._planes(masks, logits)
        )  # (N, C, pixels)
        errors = keras.ops.abs(true - probabilities)  # 0 in ignored pixels: last
        order = keras.ops.argsort(-errors, axis=-1)
        errors = keras.ops.take_along_axis(errors, order, axis=-1)
        slopes = _jaccard_slopes(keras.ops.take_along_axis(true, order, axis=-1))
        losses = keras.ops.sum(errors * keras.ops.stop_gradient(slopes), axis=-1)
        present = keras.ops.cast(keras.ops.sum(true, axis=-1) > 0, "float32")
        return _sum_over_images(losses, present * self._weights(num_classes))


class Boundary(Tversky):
    """One minus the F₁ score of soft boundaries, over the classes of each image.

    Boundary pixels of masks and predictions match within a tolerance; where a mask
    borders on ignored pixels is no boundary.

    Args:
        width: pixels of a boundary.
        tolerance: pixels.

    Reference: Bokhovkin and Burnaev 2019, "Boundary Loss for Remote Sensing Imagery
    Semantic Segmentation", equations 2 to 6.
    """

    value = SegmentationLoss.value

    def __init__(self, *, width: float = 1, tolerance: float = 2, **common: Any):
        super().__init__(**common)
        self.width, self.tolerance = round(width), round(tolerance)

    def sums(self, masks: Any, logits: Any) -> tuple[Any, ...]:
        num_classes = logits.shape[-1]
        counted, _ = self._counted(masks, num_classes)
        ignored = 1 - keras.ops.cast(counted, "float32")[..., None]
        inside = 1 - _widened(ignored, self.width)
        predicted, true = (
            inside * (_widened(1 - plane, self.width) - (1 - plane))
            for plane in self._planes(masks, logits)
        )
        precision = _share(predicted, _widened(true, self.tolerance))
        recall = _share(true, _widened(predicted, self.tolerance))
        score = 2 * precision * recall / keras.ops.maximum(precision + recall, _LEAST)
        has_boundary = keras.ops.sum(true, axis=(1, 2)) > 0
        weight = keras.ops.cast(has_boundary, "float32") * self._weights(num_classes)
        return _sum_over_images(1 - score, weight)


class WeightedSum(SegmentationLoss):
    """Losses, each times its factor."""

    def __init__(self, losses: Sequence[tuple[float, SegmentationLoss]]):
        super().__init__()
        self._losses = losses

    def sums(self, masks: Any, logits: Any) -> tuple[Any, ...]:
        return tuple(loss.sums(masks, logits) for _, loss in self._losses)

    def value(self, sums: tuple[Any, ...]) -> Any:
        parts = zip(self._losses, sums, strict=True)
        return sum(factor * loss.value(own) for (factor, loss), own in parts)


def build_loss(
    terms: Sequence[Term],
    *,
    ignore_index: int | None = None,
    class_weights: Sequence[float] | None = None,
) -> SegmentationLoss:
    """Build the loss that a configuration states.

    Args:
        terms: of `seglib.loss_formula.parse_loss`.
        ignore_index: id of the pixels that do not count.
        class_weights: one weight a class. Default: 1 each.
    """
    common: dict[str, Any] = {
        "ignore_index": ignore_index,
        "class_weights": class_weights,
    }
    losses = [
        (term.factor, _BUILDERS[term.name](**term.options, **common)) for term in terms
    ]
    if len(losses) == 1 and losses[0][0] == 1:
        return losses[0][1]
    return WeightedSum(losses)


def _dice(**common: Any) -> Tversky:
    """Milletari, Navab and Ahmadi 2016, "V-Net", without its squares."""
    return Tversky(alpha=0.5, beta=0.5, **common)


def _jaccard(**common: Any) -> Tversky:
    """Rahman and Wang 2016, "Optimizing Intersection-Over-Union in Deep Neural …"."""
    return Tversky(alpha=1.0, beta=1.0, **common)


_BUILDERS = {
    "cross_entropy": CrossEntropy,
    "focal": Focal,
    "ohem": Ohem,
    "dice": _dice,
    "jaccard": _jaccard,
    "tversky": Tversky,
    "lovasz": Lovasz,
    "boundary": Boundary,
}


def _jaccard_slopes(true: Any) -> Any:
    """Slopes of 1 − IoU along pixels (..., P) sorted by their error, largest first."""
    found = keras.ops.cumsum(true, axis=-1)
    total = found[..., -1:]
    union = total + keras.ops.cumsum(1 - true, axis=-1)
    loss = 1 - (total - found) / keras.ops.maximum(union, _LEAST)
    return keras.ops.concatenate(
        [loss[..., :1], loss[..., 1:] - loss[..., :-1]], axis=-1
    )


def _sum_over_images(losses: Any, weight: Any) -> tuple[Any, Any]:
    """Sum the images' weighted means of losses (N, C), and count the images."""
    total = keras.ops.sum(weight, axis=-1)
    mean = keras.ops.sum(losses * weight, axis=-1) / keras.ops.maximum(total, _LEAST)
    images = keras.ops.cast(total > 0, "float32")
    return keras.ops.sum(mean * images), keras.ops.sum(images)


def _widened(planes: Any, pixels: int) -> Any:
    """The largest value (N, H, W, C) within some pixels along each axis."""
    size = 2 * pixels + 1
    return keras.ops.max_pool(planes, size, strides=1, padding="same")


def _share(boundary: Any, near: Any) -> Any:
    """The share of a boundary that lies near another: (N, C)."""
    both = keras.ops.sum(boundary * near, axis=(1, 2))
    return both / keras.ops.maximum(keras.ops.sum(boundary, axis=(1, 2)), _LEAST)
