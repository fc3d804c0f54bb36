"""The networks of keras.applications as encoders, with Keras's own weights.

The layers are Keras's, so that its weights files fit. The layers before the first
convolution are left out, because the model normalises by itself.
"""

import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import keras
from keras import applications

from seglib.errors import SegError, UsageError
from seglib.models.encoders.encoder import (
    CAFFE,
    HALVES,
    ON_FIRST,
    ON_LAST,
    PLUS_MINUS_ONE,
    TORCH,
    Encoder,
    Normalization,
)
from seglib.models.features import CENTRED
from seglib.models.layers.blocks import BATCH_NORM_MOMENTUM
from seglib.plain_text import first_line

Tap = Callable[[keras.Model], Any]


def _after(layer: str) -> Tap:
    return lambda application: application.get_layer(layer).output


def _before(layer: str) -> Tap:
    return lambda application: application.get_layer(layer).input


def _start(application: keras.Model) -> Any:
    return application.input


def _end(application: keras.Model) -> Any:
    return application.output


def _last_preactivation(stage: int) -> Tap:
    """Of a stage of ResNetV2: its number of blocks depends on the depth."""

    def tap(application: keras.Model) -> Any:
        relu = re.compile(rf"conv{stage}_block\d+_preact_relu")
        blocks = [layer for layer in application.layers if relu.match(layer.name)]
        return blocks[-1].output

    return tap


def _before_downsampling(index: int) -> Tap:
    """The end of a stage of ConvNeXt, whose last addition has no name."""

    def tap(application: keras.Model) -> Any:
        operations = application.operations
        names = [operation.name for operation in operations]
        block = f"{application.name}_downsampling_block_{index}"
        return operations[names.index(block) - 1].output

    return tap


def _taps(tap: Callable[[Any], Tap], *places: Any, first: int = 1, **more: Tap) -> Any:
    return {f"P{n}": tap(place) for n, place in enumerate(places, first)} | more


@dataclass(frozen=True)
class Family:
    """Networks that differ in depth and width alone.

    networks: Keras's constructors, by the names of the encoders.
    offsets: as of an `Encoder`.
    taps: where each level ends; `start`: where the normalised image enters.
    preprocesses: unless it is told not to.
    """

    networks: dict[str, Callable[..., keras.Model]]
    normalization: Normalization
    offsets: dict[str, float]
    taps: dict[str, Tap]
    start: Tap = _start
    pools: bool = False
    preprocesses: bool = False

    def application(
        self, name: str, *, channels: int = 3, weights: str | None = None
    ) -> keras.Model:
        """Keras's network, without its classifier."""
        options = {"include_preprocessing": False} if self.preprocesses else {}
        with warnings.catch_warnings():
            # Keras warns of channels it has no weights for, and of free sizes.
            warnings.filterwarnings("ignore", message="This model usually expects")
            warnings.filterwarnings("ignore", message="`input_shape` is undefined")
            return self.networks[name](
                include_top=False,
                weights=weights,
                input_shape=(None, None, channels),
                **options,
            )

    def encoder(self, application: keras.Model) -> keras.Model:
        """The same layers from the normalised image to the maps."""
        maps = {level: tap(application) for level, tap in self.taps.items()}
        model = keras.Model(self.start(application), maps, name="encoder")
        for layer in model.layers:
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.momentum = BATCH_NORM_MOMENTUM
        return model


def _build(channels: int, *, family: Family, name: str) -> keras.Model:
    return family.encoder(family.application(name, channels=channels))


def _load(model: keras.Model, source: str | Path, *, family: Family, name: str) -> None:
    """Set the weights from "imagenet", which Keras downloads, or from a `notop` file.

    Raises:
        UsageError: the file is not one that Keras wrote for this network.
        SegError: the weights cannot be downloaded.
    """
    try:
        with warnings.catch_warnings():
            # Of layers that the file lacks, Keras only warns.
            warnings.filterwarnings("error", message="Skipping|(.|\n)*could not be")
            donor = family.application(name, weights=str(source))
    except Exception as error:  # whatever Keras raises when it cannot download
        if source == "imagenet":
            raise SegError(
                f"The ImageNet weights of `{name}` cannot be downloaded: {error} "
                "Where there is no network, bring Keras's `notop` file of this network "
                "and give `weights=FILE`."
            ) from error
        if not isinstance(error, OSError | ValueError | KeyError | UserWarning):
            raise
        raise UsageError(
            f"{source}: these weights do not fit the encoder `{name}`: "
            f"{first_line(error)} "
            f"Expected: the `notop` file that Keras provides for {name}."
        ) from error
    model.set_weights(family.encoder(donor).get_weights())


_EFFICIENTNET = _taps(  # its last convolution serves the classifier alone
    _before, *(f"block{n}a_expand_conv" for n in (2, 3, 4, 6)), "top_conv"
)
_FAMILIES = (
    Family(
        {"vgg16": applications.VGG16, "vgg19": applications.VGG19},
        CAFFE,
        CENTRED,
        _taps(_before, *(f"block{n}_pool" for n in range(1, 6)), first=0, P5=_end),
        pools=True,
    ),
    Family(
        {
            "resnet50": applications.ResNet50,
            "resnet101": applications.ResNet101,
            "resnet152": applications.ResNet152,
        },
        CAFFE,
        ON_FIRST,
        {"P1": _after("conv1_relu")}
        | _taps(_before, *(f"conv{n}_block1_1_conv" for n in (3, 4, 5)), first=2)
        | {"P5": _end},
    ),
    Family(
        {
            "resnet50v2": applications.ResNet50V2,
            "resnet101v2": applications.ResNet101V2,
            "resnet152v2": applications.ResNet152V2,
        },
        PLUS_MINUS_ONE,
        ON_FIRST,
        # The last block of a stage halves: take what enters it.
        _taps(_after, "conv1_conv", "conv2_block3_preact_relu")
        | _taps(_last_preactivation, 3, 4, first=3, P5=_end),
    ),
    Family(
        {"mobilenet": applications.MobileNet},
        PLUS_MINUS_ONE,
        ON_LAST,
        _taps(_after, *(f"conv_pw_{n}_relu" for n in (1, 3, 5, 11)), P5=_end),
    ),
    Family(
        {"mobilenetv2": applications.MobileNetV2},
        PLUS_MINUS_ONE,
        ON_LAST,
        _taps(_before, *(f"block_{n}_expand" for n in (1, 3, 6, 13)), "Conv_1"),
    ),
    Family(
        {"mobilenetv3_small": applications.MobileNetV3Small},
        PLUS_MINUS_ONE,
        ON_LAST,
        _taps(
            _before,
            "expanded_conv_depthwise_pad",
            *(f"expanded_conv_{n}_expand" for n in (1, 3, 8)),
            "conv_1",
        ),
        preprocesses=True,
    ),
    Family(
        {"mobilenetv3_large": applications.MobileNetV3Large},
        PLUS_MINUS_ONE,
        ON_LAST,
        _taps(_before, *(f"expanded_conv_{n}_expand" for n in (1, 3, 6, 12)), "conv_1"),
        preprocesses=True,
    ),
    Family(
        {
            "efficientnetb0": applications.EfficientNetB0,
            "efficientnetb1": applications.EfficientNetB1,
            "efficientnetb2": applications.EfficientNetB2,
            "efficientnetb3": applications.EfficientNetB3,
            "efficientnetb4": applications.EfficientNetB4,
            "efficientnetb5": applications.EfficientNetB5,
            "efficientnetb6": applications.EfficientNetB6,
            "efficientnetb7": applications.EfficientNetB7,
        },
        TORCH,
        ON_LAST,
        _EFFICIENTNET,
        start=_before("stem_conv_pad"),
    ),
    Family(
        {
            "efficientnetv2b0": applications.EfficientNetV2B0,
            "efficientnetv2b1": applications.EfficientNetV2B1,
            "efficientnetv2b2": applications.EfficientNetV2B2,
            "efficientnetv2b3": applications.EfficientNetV2B3,
        },
        TORCH,
        ON_LAST,
        _EFFICIENTNET,
        preprocesses=True,
    ),
    Family(
        {
            "efficientnetv2s": applications.EfficientNetV2S,
            "efficientnetv2m": applications.EfficientNetV2M,
            "efficientnetv2l": applications.EfficientNetV2L,
        },
        HALVES,
        ON_LAST,
        _EFFICIENTNET,
        preprocesses=True,
    ),
    Family(
        {
            "densenet121": applications.DenseNet121,
            "densenet169": applications.DenseNet169,
            "densenet201": applications.DenseNet201,
        },
        TORCH,
        # 3×3 pooling with padding (1, 1) first, then average pooling of 2×2.
        {"P1": 0.0, "P2": 0.0, "P3": 2.0, "P4": 6.0, "P5": 14.0},
        _taps(_after, "conv1_relu", "pool2_relu", "pool3_relu", "pool4_relu", P5=_end),
    ),
    Family(
        {
            "convnext_tiny": applications.ConvNeXtTiny,
            "convnext_small": applications.ConvNeXtSmall,
            "convnext_base": applications.ConvNeXtBase,
        },
        TORCH,
        CENTRED,
        _taps(_before_downsampling, 0, 1, 2, first=2, P5=_end),
        preprocesses=True,
    ),
)

ENCODERS = {
    name: Encoder(
        build=partial(_build, family=family, name=name),
        normalization=family.normalization,
        offsets=family.offsets,
        levels=tuple(int(level[1:]) for level in family.taps),
        pools=family.pools,
        load=partial(_load, family=family, name=name),
        needs_download=True,
    )
    for family in _FAMILIES
    for name in family.networks
}
