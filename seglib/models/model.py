"""The model artifact: a folder with a network and its contract.

`model.keras` (network and weights), `contract.json` (its input and the meaning of its
ids), and, after training, `history.json`, `settings.yaml` and `curves.png`. Prediction,
evaluation and export need nothing else.
"""

import dataclasses
import logging
import warnings
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import keras
import numpy as np
from markupsafe import Markup

from seglib.arguments import checked
from seglib.data.dataset import (
    Dataset,
    default_class_names,
    default_palette,
    usual_image_size,
)
from seglib.data.pairs import describe
from seglib.data.samples import Sample, read_sample
from seglib.drawing import notebook
from seglib.errors import SegError, UsageError
from seglib.hardware import require_memory
from seglib.models.contract import (
    CONTRACT,
    NETWORK,
    Contract,
    read_contract,
    require_fit,
)
from seglib.models.encoders.keras_hub import require_keras_hub
from seglib.models.layers.upsampling import resize_bilinear
from seglib.storage.atomic_write import whole_folder

logger = logging.getLogger(__name__)

HISTORY, SETTINGS = "history.json", "settings.yaml"  # of the training
CONFIDENCE_STEP = 4  # pixels
CONFIDENCE_LEVELS = 65535


@keras.saving.register_keras_serializable("seglib")
class ServedGraph(keras.Model):
    """Resizes to the network's size, runs it, and resizes the logits back.

    The one graph of prediction, validation, evaluation and export, so that all see the
    same pixels. Input: (N, H, W, C) in 0 … 255, any size, any dtype;
    output: logits float32 (N, H, W, num_classes).
    """

    def __init__(
        self, network: keras.Model, image_size: tuple[int, int], **kwargs: Any
    ):
        super().__init__(**kwargs)
        self.network = network
        self.image_size = image_size
        # Images come in many sizes; XLA would compile the graph for each.
        self.jit_compile = False

    def call(self, images: Any, *, training: bool = False) -> Any:
        _, height, width, _ = keras.ops.shape(images)
        x = keras.ops.cast(images, "float32")
        x = keras.ops.image.resize(
            x, self.image_size, interpolation="bilinear", antialias=True
        )
        logits = self.network(x, training=training)
        return resize_bilinear(logits, height, width)


class ClassIds(keras.Model):
    """The most probable class of each pixel of images (N, H, W, C): ids (N, H, W).

    It is found on the device, from which come one or two bytes a pixel then instead of
    a logit a class.
    """

    def __init__(self, served: ServedGraph, dtype: str):
        super().__init__()
        self.served, self._ids = served, dtype
        self.jit_compile = False  # see `ServedGraph`

    def call(self, images: Any, *, training: bool = False) -> Any:
        logits = self.served(images, training=training)
        return keras.ops.cast(keras.ops.argmax(logits, axis=-1), self._ids)


class IdsAndConfidences(ClassIds):
    """The ids of `ClassIds`, and how probable the model holds some of them.

    Of every `CONFIDENCE_STEP`th pixel of every `CONFIDENCE_STEP`th row the largest
    probability, uint16 (N, h, w) in 1 / `CONFIDENCE_LEVELS`: whole numbers, whose sums
    are exact, and a sixteenth of the work.
    """

    def call(self, images: Any, *, training: bool = False) -> tuple[Any, Any]:
        logits = self.served(images, training=training)
        ids = keras.ops.cast(keras.ops.argmax(logits, axis=-1), self._ids)
        some = logits[:, ::CONFIDENCE_STEP, ::CONFIDENCE_STEP]
        largest = keras.ops.max(keras.ops.softmax(some, axis=-1), axis=-1)
        levels = keras.ops.round(largest * CONFIDENCE_LEVELS)
        return ids, keras.ops.cast(levels, "uint16")


class SegmentationModel:
    """A network together with its contract."""

    def __init__(self, network: keras.Model, contract: Contract):
        self.network = network
        self.contract = contract
        self._has_warned = False
        self.served = ServedGraph(network, contract.image_size)
        self._class_ids = ClassIds(self.served, contract.mask_dtype.name)
        self._confidences = IdsAndConfidences(self.served, contract.mask_dtype.name)

    def __repr__(self) -> str:
        return f"SegmentationModel({self._told()})"

    def _repr_html_(self) -> str:
        """For notebooks: the contract, and the classes."""
        contract = self.contract
        facts = {
            "inputs": describe(contract.inputs),
            "trained from": contract.first_weights or "random weights",
            "ignored id": "none"
            if contract.ignore_index is None
            else str(contract.ignore_index),
        }
        return notebook.card(
            "Model",
            self._told(),
            *(Markup("<div>{}: {}</div>").format(*fact) for fact in facts.items()),
            notebook.class_list(contract.class_names, contract.palette),
        )

    def _told(self) -> str:
        """Encoder, size and number of classes in a line."""
        contract = self.contract
        height, width = contract.image_size
        parameters = self.network.count_params()
        return (
            f"{contract.architecture} on {contract.encoder}, {height}×{width} pixels, "
            f"{contract.num_classes} classes, {parameters:,} parameters"
        )

    def adopt_classes(self, data: Dataset) -> None:
        """Copy names, colours, ignored id and image size of a dataset to the contract.

        Values given when the model was built stay; the size is that of the last
        training's images.

        Raises:
            UsageError: the dataset has another number of classes.
            DatasetError: it lacks one of the model's inputs.
        """
        contract = self.contract
        data.check_inputs(contract.inputs)
        if data.num_classes != contract.num_classes:
            raise UsageError(
                f"The model has num_classes={contract.num_classes}, the dataset "
                f"{data.root} has {data.num_classes}. Build the model with the latter."
            )
        changes: dict[str, Any] = {}
        if contract.class_names == default_class_names(contract.num_classes):
            changes["class_names"] = data.class_names
        if contract.palette == default_palette(contract.num_classes):
            changes["palette"] = data.palette
        if contract.ignore_index is None:
            changes["ignore_index"] = data.ignore_index
        if size := usual_image_size(data.splits.get("train", ())):
            changes["trained_size"] = size
        self.contract = dataclasses.replace(contract, **changes)

    def predict(self, image: Sample) -> np.ndarray:
        """Classify every pixel of an image.

        An image of any size is stretched to the network's, as in training, evaluation
        and every export. `seglib.Predictor` cuts large ones into tiles instead.

        Args:
            image: uint8 array (H, W, channels), or (H, W) if grey, RGB order; or the
                path of an image file, or a PIL image, which is read as a file of its
                mode is; or, for a model of several inputs, a list of those in the
                order of `contract.inputs`, or their arrays joined.

        Returns:
            Class ids (H, W), uint8, or uint16 beyond 256 classes.

        Raises:
            SegError: of another type, shape or dtype; a file that cannot be read; or
                too large an image for the memory.
        """
        logits = self.predict_logits(image)
        return logits.argmax(-1).astype(self.contract.mask_dtype)

    def predict_probabilities(self, image: Sample) -> np.ndarray:
        """Softmax of the logits: float32 (H, W, num_classes)."""
        logits = self.predict_logits(image)
        shifted = np.exp(logits - logits.max(-1, keepdims=True))
        return shifted / shifted.sum(-1, keepdims=True)

    def predict_logits(self, image: Sample) -> np.ndarray:
        """Logits float32 (H, W, num_classes) at the image's own size."""
        array = read_sample(image, self.contract.inputs)
        if self.contract.is_large(array.shape) and not self._has_warned:
            self._has_warned = True
            logger.warning(
                "An image of %d×%d pixels is shrunk to the network's %d×%d. It is more "
                "than twice as large as those of the training: `seglib.Predictor(model)"
                ".predict(image)` cuts it into tiles.",
                *(*array.shape[:2], *self.contract.image_size),
            )
        return self.predict_logits_batch(array[None])[0]

    def predict_batch(self, images: np.ndarray) -> np.ndarray:
        """Class ids (N, H, W) of images uint8 (N, H, W, channels) of one size."""
        require_memory(images.shape, self.contract.num_classes)
        return self._class_ids.predict_on_batch(images)

    def predict_with_confidences(
        self, images: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """As `predict_batch`, and the confidences of `IdsAndConfidences`."""
        require_memory(images.shape, self.contract.num_classes)
        ids, confidences = self._confidences.predict_on_batch(images)
        return ids, confidences

    def save(
        self, path: str | Path, *, extra_files: Mapping[str, bytes] | None = None
    ) -> Path:
        """Write the artifact as a folder, atomically.

        Args:
            extra_files: contents by name, written beside the network.

        Raises:
            SegError: the place cannot be written, or holds something else.
        """
        path = Path(path)
        with whole_folder(path, what="model", marker=CONTRACT) as beside:
            self.network.save(beside / NETWORK)
            (beside / CONTRACT).write_text(self.contract.to_json(), encoding="utf-8")
            for name, content in (extra_files or {}).items():
                (beside / name).write_bytes(content)
        return path

    def predict_logits_batch(self, images: np.ndarray) -> np.ndarray:
        """Logits float32 (N, H, W, num_classes) of images uint8 of one size."""
        require_memory(images.shape, self.contract.num_classes)
        return self.served.predict_on_batch(images)


@checked
def opened_model(model: SegmentationModel | str | Path) -> SegmentationModel:
    """A model, or that of a folder."""
    return model if isinstance(model, SegmentationModel) else load_model(model)


@checked
def load_model(path: str | Path) -> SegmentationModel:
    """Load a model artifact.

    Raises:
        SegError: no such folder, or one that does not hold a model of ours.
    """
    # Importing the layers registers them, so that Keras can rebuild the network.
    import seglib.models.encoders.mix_transformer
    import seglib.models.layers.blocks
    import seglib.models.layers.resampling
    import seglib.models.layers.upsampling  # noqa: F401

    path = Path(path)
    contract = read_contract(path)
    _import_custom_layers(path / NETWORK)
    network = _load_network(path / NETWORK)
    require_fit(contract, network, path)
    return SegmentationModel(network, contract)


def _import_custom_layers(path: Path) -> None:
    """Import keras-hub where the network has layers of its own kinds."""
    with suppress(OSError, KeyError, zipfile.BadZipFile), zipfile.ZipFile(path) as file:
        if b'"keras_hub>' in file.read("config.json"):
            require_keras_hub(f"{path}: a network of which some layers are keras-hub's")


def _load_network(path: Path) -> Any:
    if not zipfile.is_zipfile(path):
        raise SegError(
            f"{path}: damaged, or not whole: expected a network as Keras saves it, a "
            f"zip archive. Received: {path.stat().st_size:,} bytes of something else. "
            "Restore the file, or train again."
        )
    try:
        with warnings.catch_warnings():
            # Where a group of weights is missing, Keras only warns.
            warnings.filterwarnings("error", "(?s).*freshly-initialized weights")
            return keras.saving.load_model(path, compile=False)
    except Exception as error:  # whatever Keras and HDF5 make of damaged bytes
        reason = " ".join(str(error).split())[:300].rstrip(".")
        raise SegError(
            f"{path}: cannot be loaded: {reason or type(error).__name__}. Restore the "
            "file, or train again."
        ) from error
