"""Backbones of keras-hub as encoders, with the weights of its presets.

An encoder has the name of its preset. Presets keep their configuration in a download;
here it is data, so that a network is built, and an artifact loaded, without a network.
keras-hub is the extra `hub`: it is imported when such an encoder is built.
"""

import importlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import keras
import numpy as np

from seglib.errors import SegError, UsageError
from seglib.models.encoders.encoder import (
    ON_FIRST,
    TORCH,
    Encoder,
    Normalization,
)
from seglib.models.encoders.keras_hub_presets import (
    CSP_RESNET,
    DARKNET,
    HGNETS,
    efficientnet,
    resnet,
)
from seglib.models.layers.blocks import BATCH_NORM_MOMENTUM
from seglib.plain_text import first_line

OWN = (
    "imagenet",
    "pretrained",
)  # the weights of the preset that an encoder is named by
_CONVERTERS = ("image_converter.json", "preprocessor.json")


@dataclass(frozen=True, kw_only=True)
class BackboneFamily:
    """Presets of one class of keras-hub.

    backbone: the class.
    presets: the arguments of each.
    taps: where each level ends: a name of the pyramid's, or the last layer whose name
        matches.
    offsets: as of an `Encoder`.
    """

    backbone: str
    presets: Mapping[str, Mapping[str, Any]]
    taps: Mapping[str, str]
    offsets: dict[str, float]
    size: str = "image_shape"  # the argument that leaves the image's size open

    def build(self, name: str, channels: int) -> keras.Model:
        """The backbone, with random weights."""
        maker = getattr(require_keras_hub(f"`{name}`").models, self.backbone)
        size = {self.size: (None, None, channels)}
        return maker(**self.presets[name], **size)

    def encoder(self, backbone: keras.Model) -> keras.Model:
        """The same layers from the normalised image to the maps."""
        pyramid = getattr(backbone, "pyramid_outputs", None) or backbone.output
        maps = {}
        for level, tap in self.taps.items():
            layers = [x for x in backbone.layers if re.fullmatch(tap, x.name)]
            maps[level] = layers[-1].output if layers else pyramid[tap]
        model = keras.Model(backbone.inputs[0], maps, name="encoder")
        for layer in model.layers:
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.momentum = BATCH_NORM_MOMENTUM
        return model


def require_keras_hub(what: str) -> ModuleType:
    """The package keras-hub, which is imported now.

    Raises:
        SegError: it is not installed.
    """
    try:
        return importlib.import_module("keras_hub")
    except ImportError as error:
        raise SegError(
            f"{what} needs keras-hub, which is not installed ({error}). Install it "
            "with: pip install 'seglib[hub]'."
        ) from error


def preset_weights(preset: str, what: str) -> Any:
    """A backbone or task of keras-hub with the weights of a preset or a local folder.

    Args:
        preset: a name that keras-hub knows, or the path of a preset's folder.
        what: the class of `keras_hub.models`.

    Raises:
        SegError: it cannot be downloaded, or is no preset.
    """
    hub = require_keras_hub(f"The preset `{preset}`")
    maker = getattr(hub.models, what)
    try:
        return maker.from_preset(preset, load_weights=True)
    except Exception as error:  # whatever requests, Kaggle and Keras raise
        raise _not_there(maker, preset, error) from error


def _not_there(maker: Any, preset: str, error: Exception) -> SegError:
    if Path(preset).exists():
        return UsageError(
            f"{preset}: not a preset of keras-hub's {maker.__name__}: "
            f"{first_line(error)} Expected: the folder that keras-hub downloads, with "
            "config.json and model.weights.h5."
        )
    source = maker.presets.get(preset, {}).get("kaggle_handle", "Kaggle")
    return SegError(
        f"The preset `{preset}` of keras-hub cannot be downloaded from {source}: "
        f"{first_line(error)} Where there is no network, bring the preset's folder and "
        "give `weights=FOLDER`."
    )


def _build(channels: int, *, family: BackboneFamily, name: str) -> keras.Model:
    return family.encoder(family.build(name, channels))


def _load(
    model: keras.Model, source: str | Path, *, family: BackboneFamily, name: str
) -> None:
    """Set the weights from the encoder's preset, or from the folder of one.

    Raises:
        UsageError: the preset is another network.
        SegError: it cannot be downloaded.
    """
    preset = name if source in OWN else str(source)
    donor = family.encoder(preset_weights(preset, family.backbone))
    refuse_misfit(model.weights, donor.weights, preset=preset, name=name)
    model.set_weights([np.asarray(weight) for weight in donor.weights])


def refuse_misfit(
    mine: Sequence[Any], given: Sequence[Any], *, preset: str, name: str
) -> None:
    """Raise a UsageError unless both are lists of weights of the same shapes."""
    pairs = [*zip(mine, given, strict=False), (mine[-1], given[-1])]
    for ours, theirs in pairs:
        if ours.shape != theirs.shape or len(mine) != len(given):
            raise UsageError(
                f"{preset}: these weights do not fit the encoder `{name}`: expected "
                f"{len(mine)} tensors and {ours.path} of shape {tuple(ours.shape)}. "
                f"Received: {len(given)} tensors and {theirs.path} of shape "
                f"{tuple(theirs.shape)}. Give the folder of the preset `{name}`."
            )


def preset_pixels(source: str | Path, *, backbone: str, name: str) -> Normalization:
    """The normalisation that a preset states, in a file beside its weights."""
    preset = name if source in OWN else str(source)
    hub = require_keras_hub(f"The preset `{preset}`")
    maker = getattr(hub.models, backbone)
    try:
        converter = hub.layers.ImageConverter.from_preset(preset)
    except Exception as error:
        if Path(preset).is_dir() and not any(
            (Path(preset) / file).exists() for file in _CONVERTERS
        ):
            return TORCH  # of all ImageNet presets; this folder says nothing
        raise _not_there(maker, preset, error) from error
    return normalization_of(converter)


def normalization_of(converter: Any) -> Normalization:
    """`x * scale + offset` of keras-hub's ImageConverter as `(x - mean) / scale`."""
    factors = np.broadcast_to(1.0 if converter.scale is None else converter.scale, 3)
    offsets = np.broadcast_to(0.0 if converter.offset is None else converter.offset, 3)
    return Normalization(
        tuple(float(number) for number in -offsets / factors),
        tuple(float(number) for number in 1 / factors),
    )


_PYRAMID = {f"P{level}": f"P{level}" for level in range(2, 6)}
FAMILIES = (
    BackboneFamily(
        backbone="ResNetBackbone",
        presets={
            f"resnet_{depth}_imagenet": resnet(depth)
            for depth in ("18", "50", "101", "152")
        }
        | {
            f"resnet_vd_{name}_imagenet": resnet(name.split("_")[0], "_vd")
            for name in (
                *("18", "34", "50", "50_ssld", "50_ssld_v2", "50_ssld_v2_fix"),
                *("101", "101_ssld", "152", "200"),
            )
        },
        taps={"P1": r"conv\d_relu", **_PYRAMID},
        offsets=ON_FIRST,
    ),
    BackboneFamily(
        backbone="ResNetBackbone",
        presets={
            f"resnet_v2_{depth}_imagenet": resnet(depth, use_pre_activation=True)
            for depth in ("50", "101")
        },
        taps={"P1": "conv1_conv", **_PYRAMID, "P5": "post_relu"},
        offsets=ON_FIRST,
    ),
    BackboneFamily(
        backbone="CSPNetBackbone",
        presets={
            "csp_darknet_53_ra_imagenet": {
                **DARKNET,
                "stage_type": "csp",
                "bottle_ratio": (0.5, 1.0),
                "block_ratio": (1.0, 0.5),
                "expand_ratio": (2.0, 1.0),
                "down_growth": True,
            },
            "darknet_53_imagenet": {
                **DARKNET,
                "stage_type": "dark",
                "bottle_ratio": (0.5,),
                "block_ratio": (1.0,),
                "expand_ratio": (1.0,),
            },
        },
        taps={f"P{level}": f"P{level + 1}" for level in range(1, 6)},  # one too many
        offsets=ON_FIRST,
    ),
    BackboneFamily(
        backbone="CSPNetBackbone",
        presets={
            "csp_resnet_50_ra_imagenet": {
                **CSP_RESNET,
                "stackwise_num_filters": (128, 256, 512, 1024),
                "bottle_ratio": (0.5,),
                "block_ratio": (1.0,),
                "expand_ratio": (2.0,),
            },
            "csp_resnext_50_ra_imagenet": {
                **CSP_RESNET,
                "stackwise_num_filters": (256, 512, 1024, 2048),
                "bottle_ratio": (1.0,),
                "block_ratio": (0.5,),
                "expand_ratio": (1.0,),
                "groups": 32,
            },
        },
        taps={"P1": "csp_stem_activation_0", **_PYRAMID},
        offsets=ON_FIRST,
    ),
    BackboneFamily(
        backbone="DenseNetBackbone",
        presets={
            f"densenet_{depth}_imagenet": {"stackwise_num_repeats": repeats}
            for depth, repeats in {
                "121": (6, 12, 24, 16),
                "169": (6, 12, 32, 32),
                "201": (6, 12, 48, 32),
            }.items()
        },
        taps={"P1": "conv1_relu", **_PYRAMID},
        # Padded on the right; then 2×2 averages between the levels.
        offsets={"P1": 1.0, "P2": 3.0, "P3": 5.0, "P4": 9.0, "P5": 17.0},
    ),
    BackboneFamily(
        backbone="EfficientNetBackbone",
        presets={
            f"efficientnet_{name}_imagenet": efficientnet(*scaling)
            for name, scaling in {
                "b0_ra": (1.0, 1.0),
                "b0_ra4_e3600_r224": (1.0, 1.0),
                "b1_ft": (1.0, 1.1),
                "b1_ra4_e3600_r240": (1.0, 1.1),
                "b2_ra": (1.1, 1.2),
                "b3_ra2": (1.2, 1.4),
                "b4_ra2": (1.4, 1.8),
                "b5_sw": (1.6, 2.2),
                "b5_sw_ft": (1.6, 2.2),
            }.items()
        }
        | {
            "efficientnet_lite0_ra_imagenet": efficientnet(
                1.0, 1.0, 0, activation="relu6"
            )
        },
        taps={"P1": "P1", **_PYRAMID},
        offsets=ON_FIRST,
        size="input_shape",
    ),
    BackboneFamily(
        backbone="HGNetV2Backbone",
        presets={
            f"hgnetv2_{name}": HGNETS[name[:2]]
            for name in (
                "b4_ssld_stage2_ft_in1k",
                "b5_ssld_stage1_in22k_in1k",
                "b5_ssld_stage2_ft_in1k",
                "b6_ssld_stage1_in22k_in1k",
                "b6_ssld_stage2_ft_in1k",
            )
        },
        taps={f"P{level + 1}": f"stage{level}" for level in range(1, 5)},
        # The stem's 2×2 convolutions look to the right.
        offsets={f"P{level}": 1.0 for level in range(2, 6)},
    ),
)

ENCODERS = {
    name: Encoder(
        build=partial(_build, family=family, name=name),
        normalization=TORCH,
        offsets=family.offsets,
        levels=tuple(int(level[1:]) for level in family.taps),
        load=partial(_load, family=family, name=name),
        pixels=partial(preset_pixels, backbone=family.backbone, name=name),
        extra="hub",
    )
    for family in FAMILIES
    for name in family.presets
}
