"""The architectures, by name, on any encoder, at any size."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import keras

from seglib.artifact import Contract, SegmentationModel
from seglib.config import ModelConfig
from seglib.data.format import Dataset, default_class_names, default_palette
from seglib.data.images import read_image
from seglib.errors import UsageError, unknown
from seglib.models.decoders import build_compact, build_fcn, build_unet
from seglib.models.encoders import ENCODERS, Features, load_weights
from seglib.models.layers import CropLike, PadToMultiple

STRIDE = 32  # of the deepest features


@dataclass(frozen=True)
class Architecture:
    """A decoder and the encoder that it takes where none is named."""

    decode: Callable[[Features, int], Any]
    encoder: str
    summary: str


ARCHITECTURES: dict[str, Architecture] = {
    "compact": Architecture(
        build_compact, "compact", "light pyramid made for CPUs; the default"
    ),
    "unet": Architecture(build_unet, "plain", "U-Net with same padding"),
    "fcn_8": Architecture(
        partial(build_fcn, stride=8), "plain", "FCN-8: scores of strides 32, 16 and 8"
    ),
    "fcn_16": Architecture(
        partial(build_fcn, stride=16), "plain", "FCN-16: scores of strides 32 and 16"
    ),
    "fcn_32": Architecture(
        partial(build_fcn, stride=32), "plain", "FCN-32: scores of stride 32 alone"
    ),
}


def build_model(
    name: str,
    *,
    num_classes: int,
    image_size: tuple[int, int],
    channels: int = 3,
    encoder: str | None = None,
    weights: str | None = None,
    class_names: tuple[str, ...] = (),
    palette: tuple[tuple[int, int, int], ...] = (),
    ignore_index: int | None = None,
) -> SegmentationModel:
    """Build a model by name, ready to train.

    Args:
        name: a key of `ARCHITECTURES`.
        num_classes: classes, background counted, the ignored id not.
        image_size: (height, width) in pixels at which the network sees its images;
            any image is resized to it, and its logits back, by the model itself.
        channels: of the image: 1 grey, 3 RGB, 4 RGBA.
        encoder: a key of `ENCODERS`. Default: the architecture's own.
        weights: "imagenet" for a pretrained encoder. Default: random.
        class_names, palette, ignore_index: kept in the model's contract. Default:
            those of the dataset that it is trained on.

    Raises:
        UsageError: an unknown name, or values that do not fit together.
    """
    if name not in ARCHITECTURES:
        raise unknown("model", name, ARCHITECTURES)
    encoder = encoder or ARCHITECTURES[name].encoder
    if encoder not in ENCODERS:
        raise unknown("encoder", encoder, ENCODERS)
    if num_classes < 2:
        raise UsageError(
            "`num_classes` must be at least 2: background counts as a class. "
            f"Received: num_classes={num_classes}."
        )
    contract = Contract(
        architecture=name,
        encoder=encoder,
        num_classes=num_classes,
        image_size=_checked_size(image_size),
        channels=channels,
        mean=ENCODERS[encoder].mean,
        scale=ENCODERS[encoder].scale,
        class_names=class_names or default_class_names(num_classes),
        palette=palette or default_palette(num_classes),
        ignore_index=ignore_index,
    )
    network = build_network(contract)
    if weights:
        load_weights(network, encoder, weights, channels)
    return SegmentationModel(network, contract)


def build_from_config(config: ModelConfig, dataset: Dataset) -> SegmentationModel:
    """Build the model that a config describes for a dataset's classes."""
    size = (config.image_height, config.image_width)
    if not config.image_height:
        first = next(iter(dataset.splits.values()))[0]
        height, width = read_image(first.image, channels=config.channels).shape[:2]
        size = (height, width)
    return build_model(
        config.architecture,
        num_classes=dataset.num_classes,
        image_size=size,
        channels=config.channels,
        encoder=config.encoder or None,
        weights=config.weights or None,
        class_names=dataset.class_names,
        palette=dataset.palette,
        ignore_index=dataset.ignore_index,
    )


def build_network(contract: Contract, *, precision: str = "float32") -> keras.Model:
    """The bare network: image (N, H, W, C) → logits float32 (N, H, W, classes).

    Images are 0 … 255.

    H and W are free; sizes that do not divide by the stride are padded and cropped
    inside. Normalisation is inside, too.
    """
    previous = keras.config.dtype_policy()
    keras.config.set_dtype_policy(
        "mixed_bfloat16" if precision == "bfloat16" else "float32"
    )
    try:
        images = keras.Input((None, None, contract.channels), name="image")
        x = keras.layers.Rescaling(
            1 / contract.scale, -contract.mean / contract.scale, name="normalize"
        )(images)
        x = PadToMultiple(STRIDE, name="pad")(x)
        features = ENCODERS[contract.encoder].build(x)
        decode = ARCHITECTURES[contract.architecture].decode
        logits = decode(features, contract.num_classes)
        logits = CropLike(name="crop")(logits, images)
        logits = keras.layers.Activation("linear", dtype="float32", name="logits")(
            logits
        )
        return keras.Model(images, logits, name=contract.architecture)
    finally:
        keras.config.set_dtype_policy(previous)


def _checked_size(image_size: tuple[int, int]) -> tuple[int, int]:
    height, width = image_size
    if height < 16 or width < 16:
        raise UsageError(
            "`image_size` must be (height, width), each at least 16 pixels. "
            f"Received: image_size={image_size}."
        )
    return int(height), int(width)
