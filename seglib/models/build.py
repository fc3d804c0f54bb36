"""Models from names, from configs, from contracts, and from one's own layers."""

import dataclasses
from os import PathLike
from typing import Any

import keras

from seglib.arguments import checked
from seglib.catalogue import resolve
from seglib.config import MAX_CLASSES, ModelConfig
from seglib.data.dataset import (
    Dataset,
    default_class_names,
    default_palette,
    model_image_size,
)
from seglib.data.pairs import IMAGE, Inputs
from seglib.errors import UsageError
from seglib.models.architectures import DECODERS
from seglib.models.contract import CUSTOM, Contract
from seglib.models.encoders import ENCODERS
from seglib.models.layers.blocks import Channels, Normalize
from seglib.models.layers.resampling import CropLike, PadToMultiple
from seglib.models.layers.upsampling import ResizeLike
from seglib.models.model import SegmentationModel
from seglib.models.weights import load_weights, normalization_of


@checked
def build_model(
    name: str,
    *,
    num_classes: int,
    image_size: tuple[int, int],
    channels: int = 3,
    others: Inputs | None = None,
    encoder: str | None = None,
    weights: str | PathLike[str] | None = None,
    weights_sha256: str | None = None,
    class_names: tuple[str, ...] = (),
    palette: tuple[tuple[int, int, int], ...] = (),
    ignore_index: int | None = None,
) -> SegmentationModel:
    """Build a model by name, ready to train.

    Args:
        name: a key of `ARCHITECTURES`, or of `NAMES`, which stand for an architecture
            on a certain encoder.
        num_classes: classes, background counted, the ignored id not.
        image_size: (height, width) in pixels at which the network sees its images;
            any image is resized to it, and its logits back, by the model itself.
        channels: of the image: 1 grey, 3 RGB, 4 RGBA, or more.
        others: name and channels of further input images of each sample, such as
            {"depth": 1}. Pretrained weights see the image at first, and learn to use
            the others.
        encoder: a key of `ENCODERS`. Default: the architecture's own.
        weights: "imagenet" for a pretrained encoder, "ade20k" or "cityscapes" for
            SegFormer, a model's folder, or a file of weights; what is elsewhere is
            brought by `seglib.fetch_weights`. Default: random.
        weights_sha256: hexadecimal digest that the file, or the model, must have.
        class_names, palette, ignore_index: kept in the model's contract. Default:
            those of the dataset that it is trained on.

    Raises:
        UsageError: an unknown name, or values that do not fit together.
    """
    architecture, encoder = resolve(name, encoder)
    inputs = {IMAGE: channels, **(others or {})}
    normalization = normalization_of(encoder, weights, inputs)
    contract = Contract(
        architecture=architecture,
        encoder=encoder,
        image_size=_size(image_size),
        inputs=inputs,
        mean=normalization.mean,
        scale=normalization.scale,
        channel_order=normalization.channel_order,
        **_classes(num_classes, class_names, palette, ignore_index),
    )
    model = SegmentationModel(build_network(contract), contract)
    if weights:
        digest = load_weights(model, weights, sha256=weights_sha256)
        origin = f"{weights} (sha256 {digest})" if digest else str(weights)
        model.contract = dataclasses.replace(contract, first_weights=origin)
    return model


def build_from_config(
    config: ModelConfig, dataset: Dataset, *, weights: str | PathLike[str] | None = None
) -> SegmentationModel:
    """Build the model that a config describes for a dataset's classes.

    Args:
        weights: what `config.weights` names, where it has been fetched.
    """
    return build_model(
        config.architecture,
        num_classes=dataset.num_classes,
        image_size=model_image_size(config, dataset),
        channels=config.channels,
        others=dataset.others,
        encoder=config.encoder or None,
        weights=weights or config.weights or None,
        weights_sha256=config.weights_sha256 or None,
        class_names=dataset.class_names,
        palette=dataset.palette,
        ignore_index=dataset.ignore_index,
    )


@checked
def build_custom(
    inputs: Any,
    outputs: Any,
    *,
    image_size: tuple[int, int] | None = None,
    class_names: tuple[str, ...] = (),
    palette: tuple[tuple[int, int, int], ...] = (),
    ignore_index: int | None = None,
) -> SegmentationModel:
    """A model of one's own Keras layers, with every method of the others.

    Args:
        inputs: `keras.Input` of an image (H, W, C) in 0 … 255; whatever the layers
            need of normalisation is part of them. A list of several: the image, and
            then those that a dataset has by the names of these inputs.
        outputs: logits (N, h, w, num_classes), without softmax; at another size than
            the image's they are stretched to it.
        image_size: (height, width) at which the network sees its images. Default:
            that of `inputs`, where it is fixed.
        class_names, palette, ignore_index: as for `build_model`.

    Raises:
        UsageError: tensors that do not fit.
    """
    given = list(inputs) if isinstance(inputs, list | tuple) else [inputs]
    for tensor in given:
        _check_tensor("inputs", tensor, "channels")
    num_classes = _checked_outputs(outputs)
    fixed = tuple(given[0].shape[1:3])
    image_size = _checked_size(given, image_size)
    if tuple(outputs.shape[1:3]) != fixed or None in fixed:
        outputs = ResizeLike(name="to_image")(outputs, given[0])
    outputs = keras.layers.Activation("linear", dtype="float32", name="logits")(outputs)
    names = {IMAGE: given[0].shape[3]}
    names |= {tensor.name: tensor.shape[3] for tensor in given[1:]}
    channels = sum(names.values())
    several = len(given) > 1
    network = keras.Model(given if several else given[0], outputs, name=CUSTOM)
    if several:
        network = _with_joined_inputs(network)
    contract = Contract(
        architecture=CUSTOM,
        encoder=CUSTOM,
        image_size=image_size,
        inputs=names,
        mean=(0.0,) * channels,
        scale=(1.0,) * channels,
        channel_order="rgb",
        **_classes(num_classes, class_names, palette, ignore_index),
    )
    return SegmentationModel(network, contract)


def _with_joined_inputs(network: keras.Model) -> keras.Model:
    """The same network for one image in which its inputs are joined."""
    height, width = network.inputs[0].shape[1:3]
    total = sum(tensor.shape[3] for tensor in network.inputs)
    image = keras.Input((height, width, total), name="image")
    parts, start = [], 0
    for tensor in network.inputs:
        parts.append(Channels(start, tensor.shape[3])(image))
        start += tensor.shape[3]
    return keras.Model(image, network(parts), name=network.name)


def build_network(contract: Contract, *, precision: str = "float32") -> keras.Model:
    """The bare network: image (N, H, W, C) → logits float32 (N, H, W, classes).

    Images are 0 … 255. H and W are free; sizes that do not divide by the stride are
    padded and cropped inside. Normalisation is inside, too. The layer "encoder" is a
    model of its own.
    """
    previous = keras.config.dtype_policy()
    policy = precision if precision == "float32" else f"mixed_{precision}"
    keras.config.set_dtype_policy(policy)
    try:
        encoder = ENCODERS[contract.encoder]
        images = keras.Input((None, None, contract.channels), name="image")
        x = Normalize(
            contract.mean,
            contract.scale,
            reverse=contract.channel_order == "bgr",
            name="normalize",
        )(images)
        x = PadToMultiple(encoder.stride, name="pad")(x)
        features = encoder.features(encoder.build(contract.channels), x)
        decode = DECODERS[contract.architecture].decode
        logits = decode(features, contract.num_classes)
        logits = CropLike(name="crop")(logits, images)
        logits = keras.layers.Activation("linear", dtype="float32", name="logits")(
            logits
        )
        return keras.Model(images, logits, name=contract.architecture)
    finally:
        keras.config.set_dtype_policy(previous)


def copy_network(model: SegmentationModel, *, precision: str) -> keras.Model:
    """A second network with the same weights, to train in another number format.

    Raises:
        UsageError: 16 bits of a network of one's own layers, whose formats are its
            maker's.
    """
    if model.contract.architecture != CUSTOM:
        network = build_network(model.contract, precision=precision)
    elif precision == "float32":
        network = keras.models.clone_model(model.network)
    else:
        raise UsageError(
            f"`precision` must be float32 for a network of one's own layers. Received: "
            f"precision={precision!r}."
        )
    network.set_weights(model.network.get_weights())
    return network


def _check_tensor(name: str, tensor: Any, last: str) -> None:
    shape = tuple(getattr(tensor, "shape", ()))
    if len(shape) != 4 or shape[3] is None:
        raise UsageError(
            f"`{name}` must be a Keras tensor (N, height, width, {last}). "
            f"Received: {tensor!r}."
        )


def _checked_outputs(outputs: Any) -> int:
    _check_tensor("outputs", outputs, "num_classes")
    history = getattr(outputs, "_keras_history", None)
    activation = getattr(getattr(history, "operation", None), "activation", None)
    if activation in (keras.activations.softmax, keras.activations.sigmoid):
        raise UsageError(
            "`outputs` must be logits; the loss and predict apply the softmax. "
            f"Received: the output of a layer with activation="
            f"{activation.__name__!r}. Leave it out."
        )
    return outputs.shape[3]


def _classes(
    num_classes: int,
    class_names: tuple[str, ...],
    palette: tuple[tuple[int, int, int], ...],
    ignore_index: int | None,
) -> dict[str, Any]:
    """A contract's part on classes; names and colours are numbered by default."""
    if not 2 <= num_classes <= MAX_CLASSES:  # before so many are made up
        raise UsageError(
            f"`num_classes` must be at least 2 (background counts as a class), and at "
            f"most {MAX_CLASSES}. Received: num_classes={num_classes}."
        )
    return {
        "num_classes": num_classes,
        "class_names": tuple(class_names) or default_class_names(num_classes),
        "palette": tuple((r, g, b) for r, g, b in palette)
        or default_palette(num_classes),
        "ignore_index": ignore_index,
    }


def _checked_size(
    inputs: list[Any], image_size: tuple[int, int] | None
) -> tuple[int, int]:
    """The size given, or that of the inputs; all of them must have one size."""
    sizes = {tuple(tensor.shape[1:3]) for tensor in inputs}
    if len(sizes) > 1:
        raise UsageError(
            "`inputs` must all be of one size: the files of a sample are. Received: "
            f"{sorted(map(str, sizes))}."
        )
    (fixed,) = sizes
    if image_size is None and None in fixed:
        raise UsageError(
            "`image_size` is needed, because `inputs` leaves it open. Received: "
            f"inputs of shape {tuple(inputs[0].shape)}. Give image_size=(height, "
            "width)."
        )
    return _size(image_size or fixed)


def _size(image_size: tuple[int, int]) -> tuple[int, int]:
    height, width = image_size
    return int(height), int(width)
