"""Uncertainty of a model with dropout, from several sampled predictions."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from seglib.arguments import checked
from seglib.data.samples import Sample
from seglib.errors import UsageError
from seglib.inference.predictor import entropy
from seglib.models.model import SegmentationModel, opened_model


@dataclass(frozen=True)
class Uncertainty:
    """Of every pixel of an image (H, W).

    `probabilities` float32 (H, W, num_classes) are the mean over the samples,
    `prediction` their most probable class. `entropy` (nats) is that of the mean: all
    doubt; `disagreement` (nats) is what of it the samples' differences make up, the
    mutual information: doubt that more training data would remove.
    """

    prediction: np.ndarray
    probabilities: np.ndarray
    entropy: np.ndarray
    disagreement: np.ndarray


@checked
def predict_uncertainty(
    model: SegmentationModel | str | Path, image: Sample, *, samples: int = 20
) -> Uncertainty:
    """Predict an image `samples` times with dropout on, and compare.

    Args:
        model: a model, or the folder of one.
        image: as for `SegmentationModel.predict`.

    Raises:
        UsageError: the model has no dropout in its decoder.

    Reference: Kendall, Badrinarayanan and Cipolla 2017, "Bayesian SegNet", section 3;
    Houlsby et al. 2011, "Bayesian Active Learning", equation 2.
    """
    if samples < 2:
        raise UsageError(f"`samples` must be at least 2. Received: samples={samples}.")
    model = opened_model(model)
    sampler = SegmentationModel(_with_dropout_on(model.network), model.contract)
    total = entropies = np.zeros(())
    for _ in range(samples):
        probabilities = sampler.predict_probabilities(image)
        total = total + probabilities
        entropies = entropies + entropy(probabilities)
    mean = (total / samples).astype(np.float32)
    total_doubt = entropy(mean)
    return Uncertainty(
        prediction=mean.argmax(-1).astype(model.contract.mask_dtype),
        probabilities=mean,
        entropy=total_doubt,
        disagreement=np.maximum(total_doubt - entropies / samples, 0),
    )


@keras.saving.register_keras_serializable("seglib")
class SamplingDropout(keras.layers.Dropout):
    """Dropout that is also on at prediction."""

    def call(self, inputs: Any, *, training: bool = False) -> Any:
        return super().call(inputs, training=True)


def _with_dropout_on(network: keras.Model) -> keras.Model:
    """A copy whose decoder samples; encoder and statistics stay as trained."""
    found = []

    def replace(layer: Any) -> Any:
        if type(layer) is keras.layers.Dropout:
            found.append(layer.name)
            return SamplingDropout.from_config(layer.get_config())
        return layer.__class__.from_config(layer.get_config())

    copy = keras.models.clone_model(network, clone_function=replace)
    if not found:
        raise UsageError(
            f"`{network.name}` has no dropout to sample. Use `bayesian_segnet`, "
            "`fcn_8`, `deeplab_v3_plus` or another model with dropout."
        )
    copy.set_weights(network.get_weights())
    return copy
