"""Deep supervision: inner maps of a network are classified, too, while it learns."""

from typing import Any

import keras

from seglib.errors import UsageError
from seglib.models.architectures import DECODERS
from seglib.models.contract import CUSTOM, Contract
from seglib.models.encoders import ENCODERS
from seglib.models.layers.resampling import CropLike
from seglib.models.layers.upsampling import ResizeLike


def with_auxiliary(network: keras.Model, contract: Contract) -> keras.Model:
    """The same layers in a model that classifies inner maps beside the last one.

    A classifier is a 1×1 convolution, whose logits are stretched to the image. It
    starts at zero, so that its weights need no seed.

    Args:
        network: of the contract's architecture; its layers are shared.

    Returns:
        images (N, H, W, C) → a list of logits, each float32 (N, H, W, num_classes): the
        network's own, then those of the inner maps.

    Raises:
        UsageError: the architecture has no maps for it.

    Reference: Zhao et al. 2017, "Pyramid Scene Parsing Network", arXiv:1612.01105, and
    Zhou et al. 2018, "UNet++: A Nested U-Net Architecture for Medical Image
    Segmentation", arXiv:1807.10165.
    """
    outputs = [network.output]
    for number, name in enumerate(require_auxiliary(contract), start=1):
        x = keras.layers.Conv2D(
            contract.num_classes,
            1,
            kernel_initializer="zeros",
            dtype="float32",
            name=f"auxiliary{number}",
        )(_map(network, contract, name))
        x = ResizeLike(dtype="float32")(x, network.get_layer("pad").output)
        outputs.append(CropLike(dtype="float32")(x, network.input))
    return keras.Model(network.input, outputs)


def require_auxiliary(contract: Contract) -> list[str]:
    """The names of the maps that are classified; raises as `with_auxiliary`."""
    able = [name for name, each in DECODERS.items() if each.auxiliary((1, 2, 3))]
    name = contract.architecture
    if name not in able:
        what = "a network of one's own layers" if name == CUSTOM else f"`{name}`"
        raise UsageError(
            f"`deep_supervision` needs one of: {', '.join(able)}. Received: {what}. "
            "Set it to 0, or choose another architecture."
        )
    return DECODERS[name].auxiliary(ENCODERS[contract.encoder].levels)


def _map(network: keras.Model, contract: Contract, name: str) -> Any:
    levels = [f"P{level}" for level in ENCODERS[contract.encoder].levels]
    if name not in levels:
        return network.get_layer(name).output
    # The encoder's outputs inside this network, in the order of the levels. Keras has
    # no public name for them.
    inside = network.get_layer("encoder")._inbound_nodes[0]  # noqa: SLF001
    return inside.output_tensors[levels.index(name)]
