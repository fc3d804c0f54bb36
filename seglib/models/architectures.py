"""The architectures, by name, and the tutorial's names for some combinations."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from seglib.errors import UsageError, unknown
from seglib.models import decoders
from seglib.models.encoders import ENCODERS
from seglib.models.features import Features


@dataclass(frozen=True)
class Architecture:
    """A decoder, and its encoder if none is named."""

    decode: Callable[[Features, int], Any]
    encoder: str
    summary: str
    levels: tuple[int, ...] = ()  # that its encoder must have
    needs_pools: bool = False  # of 2×2 maxima in its encoder
    # Maps that deep supervision classifies, by the encoder's levels: names of layers,
    # or of the encoder's maps.
    auxiliary: Callable[[tuple[int, ...]], list[str]] = lambda _: []


def _first_row(levels: tuple[int, ...]) -> list[str]:
    """Of U-Net++: the nodes of the finest level, but the last, which is classified."""
    return [f"node{levels[0]}_{step}_relu" for step in range(1, len(levels) - 1)]


def _stage_four(_: tuple[int, ...]) -> list[str]:
    """The encoder's map at stride 16."""
    return ["P4"]


ARCHITECTURES: dict[str, Architecture] = {
    "compact": Architecture(
        decoders.build_compact,
        "compact",
        "light pyramid made for CPUs; the default",
        levels=(1, 2, 3, 4, 5),
    ),
    "compact_small": Architecture(
        partial(decoders.build_compact, width=0.5),
        "compact_small",
        "half as wide, for the smallest machines",
        levels=(1, 2, 3, 4, 5),
    ),
    "unet": Architecture(decoders.build_unet, "plain", "U-Net with same padding"),
    "unet_plus_plus": Architecture(
        decoders.build_unet_plus_plus,
        "plain",
        "U-Net++: densely joined levels",
        auxiliary=_first_row,
    ),
    "fpn": Architecture(
        decoders.build_fpn,
        "efficientnet_lite0",
        "pyramid of one width, all levels summed",
        levels=(2, 3, 4, 5),
    ),
    "linknet": Architecture(
        decoders.build_linknet,
        "efficientnet_lite0",
        "U-Net that adds: narrow and cheap",
    ),
    "pspnet": Architecture(
        decoders.build_pspnet,
        "vanilla",
        "averages of the image's regions",
        levels=(3, 5),
        auxiliary=_stage_four,
    ),
    "deeplab_v3_plus": Architecture(
        decoders.build_deeplab_v3_plus,
        "efficientnet_lite0",
        "atrous convolutions of several rates",
        levels=(2, 5),
        auxiliary=_stage_four,
    ),
    "segformer": Architecture(
        decoders.build_segformer,
        "mit_b0",
        "transformer encoder, linear decoder",
        levels=(2, 3, 4, 5),
    ),
    "segformer_wide": Architecture(
        partial(decoders.build_segformer, width=768),
        "mit_b2",
        "SegFormer-B2 … B5, whose decoder is wider",
        levels=(2, 3, 4, 5),
    ),
    "fcn_8": Architecture(
        partial(decoders.build_fcn, stride=8),
        "plain",
        "scores of strides 32, 16 and 8",
        levels=(3, 4, 5),
    ),
    "fcn_16": Architecture(
        partial(decoders.build_fcn, stride=16),
        "plain",
        "scores of strides 32 and 16",
        levels=(4, 5),
    ),
    "fcn_32": Architecture(
        partial(decoders.build_fcn, stride=32),
        "plain",
        "scores of stride 32",
        levels=(5,),
    ),
    "segnet": Architecture(
        decoders.build_segnet,
        "vanilla",
        "unpools by the encoder's maxima",
        needs_pools=True,
    ),
    "segnet_plain": Architecture(
        partial(decoders.build_segnet, indices=False),
        "vanilla",
        "SegNet that interpolates",
    ),
    "bayesian_segnet": Architecture(
        partial(decoders.build_segnet, dropout=0.5),
        "vanilla",
        "SegNet with dropout, for predict_uncertainty",
        needs_pools=True,
    ),
}

# keras_segmentation's names, each an architecture and its encoder.
NAMES: dict[str, tuple[str, str]] = {
    "fcn_8_vgg": ("fcn_8", "vgg16"),
    "fcn_8_resnet50": ("fcn_8", "resnet50"),
    "fcn_8_mobilenet": ("fcn_8", "mobilenet"),
    "fcn_16_vgg": ("fcn_16", "vgg16"),
    "fcn_16_resnet50": ("fcn_16", "resnet50"),
    "fcn_16_mobilenet": ("fcn_16", "mobilenet"),
    "fcn_32_vgg": ("fcn_32", "vgg16"),
    "fcn_32_resnet50": ("fcn_32", "resnet50"),
    "fcn_32_mobilenet": ("fcn_32", "mobilenet"),
    "unet_mini": ("unet", "mini"),
    "vgg_unet": ("unet", "vgg16"),
    "resnet50_unet": ("unet", "resnet50"),
    "mobilenet_unet": ("unet", "mobilenet"),
    "vgg_pspnet": ("pspnet", "vgg16"),
    "resnet50_pspnet": ("pspnet", "resnet50"),
    "mobilenet_pspnet": ("pspnet", "mobilenet"),
    "pspnet_50": ("pspnet", "resnet50"),
    "pspnet_101": ("pspnet", "resnet101"),
    "vgg_segnet": ("segnet", "vgg16"),
    "resnet50_segnet": ("segnet_plain", "resnet50"),  # which have no 2×2 maxima
    "mobilenet_segnet": ("segnet_plain", "mobilenet"),
}


def resolve(name: str, encoder: str | None) -> tuple[str, str]:
    """The architecture and encoder that a model's name stands for.

    Raises:
        UsageError: an unknown name, or two that do not go together.
    """
    if name in NAMES:
        architecture, fixed = NAMES[name]
        if encoder not in (None, fixed):
            raise UsageError(
                f"`{name}` is `{architecture}` on the encoder `{fixed}`. Received: "
                f"encoder={encoder!r}. Use the model `{architecture}` for another."
            )
        return architecture, fixed
    if name not in ARCHITECTURES:
        raise unknown("model", name, [*ARCHITECTURES, *NAMES])
    architecture, encoder = name, encoder or ARCHITECTURES[name].encoder
    if encoder not in ENCODERS:
        raise unknown("encoder", encoder, ENCODERS)
    _check_fit(architecture, encoder)
    return architecture, encoder


def fitting_encoders(architecture: str) -> list[str]:
    """Names of the encoders that an architecture can be built on."""
    needs = ARCHITECTURES[architecture]
    return [
        name
        for name, encoder in ENCODERS.items()
        if set(needs.levels) <= set(encoder.levels)
        and (encoder.pools or not needs.needs_pools)
    ]


def _check_fit(architecture: str, encoder: str) -> None:
    fitting = fitting_encoders(architecture)
    if encoder in fitting:
        return
    needs, has = ARCHITECTURES[architecture], ENCODERS[encoder]
    missing = [2**level for level in needs.levels if level not in has.levels]
    problem = (
        f"needs features at stride {', '.join(map(str, missing))}"
        if missing
        else "needs an encoder that halves by 2×2 maximum pooling"
    )
    other = "" if missing else " Or use `segnet_plain`, which takes any encoder."
    raise UsageError(
        f"`{architecture}` {problem}; the encoder `{encoder}` has none. Use one of: "
        f"{', '.join(fitting)}.{other}"
    )
