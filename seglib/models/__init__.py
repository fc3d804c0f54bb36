"""The architectures, by name, on any encoder, at any size."""

from seglib.models.building import (
    build_custom,
    build_from_config,
    build_model,
    build_network,
    copy_network,
)
from seglib.models.encoders import ENCODERS
from seglib.models.pretrained import Transfer, transfer_weights
from seglib.models.zoo import ARCHITECTURES, NAMES

__all__ = [
    "ARCHITECTURES",
    "ENCODERS",
    "NAMES",
    "Transfer",
    "build_custom",
    "build_from_config",
    "build_model",
    "build_network",
    "copy_network",
    "transfer_weights",
]
