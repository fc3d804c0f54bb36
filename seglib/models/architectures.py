"""The architectures: how each name of `seglib.catalogue` is built."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from seglib.models import decoders
from seglib.models.features import Features


@dataclass(frozen=True)
class Decoder:
    """How the decoder of an architecture is built."""

    decode: Callable[[Features, int], Any]
    # Maps that deep supervision classifies, by the encoder's levels: names of layers,
    # or of the encoder's maps.
    auxiliary: Callable[[tuple[int, ...]], list[str]] = lambda _: []


def _first_row(levels: tuple[int, ...]) -> list[str]:
    """Of U-Net++: the nodes of the finest level, but the last, which is classified."""
    return [f"node{levels[0]}_{step}_relu" for step in range(1, len(levels) - 1)]


def _stage_four(_: tuple[int, ...]) -> list[str]:
    """The encoder's map at stride 16."""
    return ["P4"]


DECODERS: dict[str, Decoder] = {
    "compact": Decoder(decoders.build_compact),
    "compact_small": Decoder(partial(decoders.build_compact, width=0.5)),
    "unet": Decoder(decoders.build_unet),
    "unet_plus_plus": Decoder(decoders.build_unet_plus_plus, _first_row),
    "fpn": Decoder(decoders.build_fpn),
    "linknet": Decoder(decoders.build_linknet),
    "pspnet": Decoder(decoders.build_pspnet, _stage_four),
    "deeplab_v3_plus": Decoder(decoders.build_deeplab_v3_plus, _stage_four),
    "segformer": Decoder(decoders.build_segformer),
    "segformer_wide": Decoder(partial(decoders.build_segformer, width=768)),
    "fcn_8": Decoder(partial(decoders.build_fcn, stride=8)),
    "fcn_16": Decoder(partial(decoders.build_fcn, stride=16)),
    "fcn_32": Decoder(partial(decoders.build_fcn, stride=32)),
    "segnet": Decoder(decoders.build_segnet),
    "segnet_plain": Decoder(partial(decoders.build_segnet, indices=False)),
    "bayesian_segnet": Decoder(partial(decoders.build_segnet, dropout=0.5)),
}
