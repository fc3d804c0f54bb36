"""The networks of keras.applications as encoders, with Keras's own weights.

The layers are Keras's, so that its weights files fit. The layers before the first
convolution are left out, because the model normalises by itself.
"""

import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras

from seglib.errors import SegError, UsageError
from seglib.models.layers.blocks import BATCH_NORM_MOMENTUM
from seglib.plain_text import first_line

Tap = Callable[[keras.Model], Any]


def build(name: str, channels: int) -> keras.Model:
    """Build an encoder with random weights.

    Args:
        name: of a network of keras.applications, in small letters.
        channels: of the image.

    Returns:
        A model from a normalised image float32 (N, H, W, channels) to its maps {"P1" …
        "P5"}, each (N, H / 2**level, W / 2**level, C); some start at P0 or P2.
    """
    return _encoder(name, _application(name, channels=channels, weights=None))


def load(name: str, model: keras.Model, source: str | Path) -> None:
    """Set an encoder's ImageNet weights.

    Args:
        name: the same as for `build`.
        model: of `build`.
        source: "imagenet", downloaded by Keras, or the path of its `notop` file.

    Raises:
        UsageError: the file is not one that Keras wrote for this network.
        SegError: the weights cannot be downloaded.
    """
    if source == "imagenet":
        donor = _downloaded(name)
    else:
        donor = _from_file(name, Path(source))
    model.set_weights(_encoder(name, donor).get_weights())


def _encoder(name: str, application: keras.Model) -> keras.Model:
    start, taps = _TAPS[_family(name)]
    maps = {level: tap(application) for level, tap in taps.items()}
    model = keras.Model(start(application), maps, name="encoder")
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = BATCH_NORM_MOMENTUM
    return model


def _application(name: str, *, channels: int, weights: str | None) -> keras.Model:
    constructor = _CONSTRUCTORS[name]
    options: dict[str, Any] = {}
    if name.startswith(("mobilenetv3", "efficientnetv2", "convnext")):
        options["include_preprocessing"] = False
    with warnings.catch_warnings():
        # Keras warns of channels it has no weights for, and of free sizes.
        warnings.filterwarnings("ignore", message="This model usually expects")
        warnings.filterwarnings("ignore", message="`input_shape` is undefined")
        return constructor(
            include_top=False,
            weights=weights,
            input_shape=(None, None, channels),
            **options,
        )


def _downloaded(name: str) -> keras.Model:
    try:
        return _application(name, channels=3, weights="imagenet")
    except Exception as error:  # what Keras raises when it cannot download
        raise SegError(
            f"The ImageNet weights of `{name}` cannot be downloaded: {error} "
            "Where there is no network, bring Keras's `notop` file of this network "
            "and give `weights=FILE`."
        ) from error


def _from_file(name: str, path: Path) -> keras.Model:
    try:
        with warnings.catch_warnings():
            # Of layers that the file lacks, Keras only warns.
            warnings.filterwarnings("error", message="Skipping|(.|\n)*could not be")
            return _application(name, channels=3, weights=str(path))
    except (OSError, ValueError, KeyError, UserWarning) as error:
        raise UsageError(
            f"{path}: these weights do not fit the encoder `{name}`: "
            f"{first_line(error)} "
            f"Expected: the `notop` file that Keras provides for {name}."
        ) from error


def _family(name: str) -> str:
    if name.startswith(("efficientnetb", "efficientnetv2", "convnext", "densenet")):
        return re.sub(r"(b\d|[sml]|\d+|_\w+)$", "", name)
    if name.startswith("resnet"):
        return "resnetv2" if name.endswith("v2") else "resnet"
    return name


def _after(layer: str) -> Tap:
    return lambda application: application.get_layer(layer).output


def _before(layer: str) -> Tap:
    return lambda application: application.get_layer(layer).input


def _end(application: keras.Model) -> Any:
    return application.output


def _start(application: keras.Model) -> Any:
    return application.input


def _before_downsampling(index: int) -> Tap:
    """The end of a stage of ConvNeXt, whose last addition has no name."""

    def tap(application: keras.Model) -> Any:
        operations = application.operations
        names = [operation.name for operation in operations]
        block = f"{application.name}_downsampling_block_{index}"
        return operations[names.index(block) - 1].output

    return tap


_CONSTRUCTORS: dict[str, Callable[..., keras.Model]] = {
    "vgg16": keras.applications.VGG16,
    "vgg19": keras.applications.VGG19,
    "resnet50": keras.applications.ResNet50,
    "resnet101": keras.applications.ResNet101,
    "resnet152": keras.applications.ResNet152,
    "resnet50v2": keras.applications.ResNet50V2,
    "resnet101v2": keras.applications.ResNet101V2,
    "resnet152v2": keras.applications.ResNet152V2,
    "mobilenet": keras.applications.MobileNet,
    "mobilenetv2": keras.applications.MobileNetV2,
    "mobilenetv3_small": keras.applications.MobileNetV3Small,
    "mobilenetv3_large": keras.applications.MobileNetV3Large,
    "efficientnetb0": keras.applications.EfficientNetB0,
    "efficientnetb1": keras.applications.EfficientNetB1,
    "efficientnetb2": keras.applications.EfficientNetB2,
    "efficientnetb3": keras.applications.EfficientNetB3,
    "efficientnetb4": keras.applications.EfficientNetB4,
    "efficientnetb5": keras.applications.EfficientNetB5,
    "efficientnetb6": keras.applications.EfficientNetB6,
    "efficientnetb7": keras.applications.EfficientNetB7,
    "efficientnetv2b0": keras.applications.EfficientNetV2B0,
    "efficientnetv2b1": keras.applications.EfficientNetV2B1,
    "efficientnetv2b2": keras.applications.EfficientNetV2B2,
    "efficientnetv2b3": keras.applications.EfficientNetV2B3,
    "efficientnetv2s": keras.applications.EfficientNetV2S,
    "efficientnetv2m": keras.applications.EfficientNetV2M,
    "efficientnetv2l": keras.applications.EfficientNetV2L,
    "densenet121": keras.applications.DenseNet121,
    "densenet169": keras.applications.DenseNet169,
    "densenet201": keras.applications.DenseNet201,
    "convnext_tiny": keras.applications.ConvNeXtTiny,
    "convnext_small": keras.applications.ConvNeXtSmall,
    "convnext_base": keras.applications.ConvNeXtBase,
}

_EFFICIENTNET = {
    "P1": _before("block2a_expand_conv"),
    "P2": _before("block3a_expand_conv"),
    "P3": _before("block4a_expand_conv"),
    "P4": _before("block6a_expand_conv"),
    "P5": _before("top_conv"),  # which only the classifier needs
}
_VGG_LEVELS = {f"P{n}": _before(f"block{n + 1}_pool") for n in range(5)}

# Where the normalised image enters, and where each level ends.
_TAPS: dict[str, tuple[Tap, dict[str, Tap]]] = {
    "vgg16": (_start, {**_VGG_LEVELS, "P5": _end}),
    "vgg19": (_start, {**_VGG_LEVELS, "P5": _end}),
    "resnet": (
        _start,
        {
            "P1": _after("conv1_relu"),
            "P2": _before("conv3_block1_1_conv"),
            "P3": _before("conv4_block1_1_conv"),
            "P4": _before("conv5_block1_1_conv"),
            "P5": _end,
        },
    ),
    "resnetv2": (  # the last block of a stage halves: take what enters it
        _start,
        {
            "P1": _after("conv1_conv"),
            "P2": _after("conv2_block3_preact_relu"),
            "P3": lambda a: _last_preactivation(a, 3),
            "P4": lambda a: _last_preactivation(a, 4),
            "P5": _end,
        },
    ),
    "mobilenet": (
        _start,
        {
            "P1": _after("conv_pw_1_relu"),
            "P2": _after("conv_pw_3_relu"),
            "P3": _after("conv_pw_5_relu"),
            "P4": _after("conv_pw_11_relu"),
            "P5": _end,
        },
    ),
    "mobilenetv2": (
        _start,
        {
            "P1": _before("block_1_expand"),
            "P2": _before("block_3_expand"),
            "P3": _before("block_6_expand"),
            "P4": _before("block_13_expand"),
            "P5": _before("Conv_1"),
        },
    ),
    "mobilenetv3_small": (
        _start,
        {
            "P1": _before("expanded_conv_depthwise_pad"),
            "P2": _before("expanded_conv_1_expand"),
            "P3": _before("expanded_conv_3_expand"),
            "P4": _before("expanded_conv_8_expand"),
            "P5": _before("conv_1"),
        },
    ),
    "mobilenetv3_large": (
        _start,
        {
            "P1": _before("expanded_conv_1_expand"),
            "P2": _before("expanded_conv_3_expand"),
            "P3": _before("expanded_conv_6_expand"),
            "P4": _before("expanded_conv_12_expand"),
            "P5": _before("conv_1"),
        },
    ),
    "efficientnet": (_before("stem_conv_pad"), _EFFICIENTNET),
    "efficientnetv2": (_start, _EFFICIENTNET),
    "densenet": (
        _start,
        {
            "P1": _after("conv1_relu"),
            "P2": _after("pool2_relu"),
            "P3": _after("pool3_relu"),
            "P4": _after("pool4_relu"),
            "P5": _end,
        },
    ),
    "convnext": (
        _start,
        {
            "P2": _before_downsampling(0),
            "P3": _before_downsampling(1),
            "P4": _before_downsampling(2),
            "P5": _end,
        },
    ),
}


def _last_preactivation(application: keras.Model, stage: int) -> Any:
    """Of ResNetV2's stage: its number of blocks depends on the depth."""
    pattern = re.compile(rf"conv{stage}_block(\d+)_preact_relu")
    blocks = [
        match for layer in application.layers if (match := pattern.match(layer.name))
    ]
    return application.get_layer(max(blocks, key=lambda m: int(m[1]))[0]).output
