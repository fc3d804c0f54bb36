"""The architectures, by name, on any encoder, at any size."""

from seglib.catalogue import ARCHITECTURES, NAMES
from seglib.models.build import (
    build_custom,
    build_from_config,
    build_model,
    build_network,
    copy_network,
)
from seglib.models.encoders import ENCODERS
from seglib.models.transfer import Transfer, transfer_weights

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
