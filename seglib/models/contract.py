"""The contract of a model artifact: its input images and the meaning of its ids.

`contract.json` lies beside the network. It is checked when it is created or read, and
compared with the network when that is loaded.
"""

import dataclasses
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np

from seglib.data.pairs import IMAGE, Inputs
from seglib.errors import SegError
from seglib.settings import Integer, build, require, section
from seglib.storage.documents import MAX_BYTES, parse_json
from seglib.storage.files import read_file

FORMAT_VERSION = 3
NETWORK, CONTRACT = "model.keras", "contract.json"
CUSTOM = "custom"  # architecture and encoder of a network of one's own layers
_SIDES = range(16, 2**16)  # pixels
_RESTORE = "Restore both files, or train again."


@section
class Contract:
    """The input of a model and the meaning of its output.

    An image uint8 (H, W, channels), its inputs joined, is stretched to `image_size`,
    normalised by `(image - mean) / scale`, channel by channel in `channel_order`, and
    answered with logits that are stretched back; the class is their argmax. All of
    that happens inside the served graph. So objects appear to the network at the scale
    that they have in images of `trained_size`, (height, width); None: unknown.

    Raises:
        UsageError: a value out of its range, or of another length than the others.
    """

    architecture: str
    encoder: str
    num_classes: Integer
    image_size: tuple[int, int]  # (height, width) in pixels
    inputs: Inputs  # name -> channels, in the order in which they are joined
    mean: tuple[float, ...]  # of each channel, in 0 … 255
    scale: tuple[float, ...]
    channel_order: str  # "rgb" or "bgr"; images come as RGB in any case
    class_names: tuple[str, ...]
    palette: tuple[tuple[Integer, Integer, Integer], ...]
    ignore_index: Integer | None
    first_weights: str = ""  # where training began: address and sha256, if not random
    trained_size: tuple[int, int] | None = None  # usual one of the training images

    def __post_init__(self) -> None:
        count, channels = self.num_classes, self.channels
        size = [side in _SIDES for side in self.image_size]
        names = list(self.inputs)
        colours = [[part in range(256) for part in colour] for colour in self.palette]
        numbers = f"{channels} numbers, one for each channel"
        expected = {
            "num_classes": (
                2 <= count <= 2**16,
                f"at least 2 (background counts as a class) and at most {2**16:,}",
            ),
            "image_size": (
                size == [True, True],
                f"(height, width), each {_SIDES[0]} … {_SIDES[-1]:,} pixels",
            ),
            "trained_size": (
                self.trained_size is None or min(self.trained_size) >= 1,
                "empty, or (height, width) in pixels",
            ),
            "inputs": (
                names[:1] == [IMAGE] and min(self.inputs.values()) >= 1,
                f"`{IMAGE}` and then others, each of at least 1 channel",
            ),
            "mean": (_are_finite(self.mean, channels), numbers),
            "scale": (
                _are_finite(self.scale, channels) and 0 not in self.scale,
                f"{numbers}, and none of them 0",
            ),
            "channel_order": (self.channel_order in ("rgb", "bgr"), "rgb or bgr"),
            "class_names": (
                len(set(self.class_names)) == len(self.class_names) == count,
                f"{count} different names",
            ),
            "palette": (
                colours == [[True] * 3] * count,
                f"{count} colours (red, green, blue), each 0 … 255",
            ),
            "ignore_index": (
                self.ignore_index is None or self.ignore_index in range(2**16),
                f"empty, or 0 … {2**16 - 1:,}",
            ),
        }
        for name, (ok, what) in expected.items():
            require(ok, name, what, getattr(self, name))

    @property
    def channels(self) -> int:
        """Of all inputs together."""
        return sum(self.inputs.values())

    @property
    def mask_dtype(self) -> "np.dtype[Any]":
        """The smallest integer type that holds the class ids."""
        return np.dtype(np.uint8 if self.num_classes <= 256 else np.uint16)

    @property
    def window_size(self) -> tuple[int, int]:
        """The (height, width) of images that the network sees as in its training."""
        return self.trained_size or self.image_size

    def is_large(self, shape: Sequence[int]) -> bool:
        """Whether an image (H, W, …) is more than twice as large as the training's."""
        sides = zip(shape, self.window_size, strict=False)
        return any(side > 2 * own for side, own in sides)

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Read what `to_json` wrote, or an older version.

        Raises:
            ValueError: it is something else; names the field.
        """
        values = parse_json(text, name="the text")
        version = values.pop("format_version", None) if isinstance(values, dict) else 0
        if version not in (1, 2, FORMAT_VERSION):
            raise ValueError(
                f"expected format_version {FORMAT_VERSION}. Received: {version}"
            )
        if version < FORMAT_VERSION:  # one input
            channels = values.pop("channels", None)
            values["inputs"] = {IMAGE: channels}
        if version == 1:  # one number for all channels
            count = channels if isinstance(channels, int) else 1  # `build` complains
            for name in {"mean", "scale"} & values.keys():
                values[name] = [values[name]] * count
            values["channel_order"] = "rgb"
        return build(cls, "contract", values)

    def to_json(self) -> str:
        values = {"format_version": FORMAT_VERSION, **dataclasses.asdict(self)}
        for name in ("first_weights", "trained_size"):  # unknown to earlier versions
            if not values[name]:
                del values[name]
        return json.dumps(values, indent=2, ensure_ascii=False) + "\n"


def read_contract(path: Path) -> Contract:
    """The contract of a model artifact, without loading its network.

    Raises:
        SegError: no such folder, or one that does not hold a model of ours.
    """
    if not (path / CONTRACT).is_file() or not (path / NETWORK).is_file():
        raise SegError(
            f"{path}: not a model. Expected a folder with {NETWORK}, {CONTRACT}, as "
            "`seglib train` writes it."
        )
    try:
        return Contract.from_json(read_file(path / CONTRACT, max_bytes=MAX_BYTES))
    except (OSError, ValueError) as error:
        reason = str(error).rstrip(".")
        raise SegError(
            f"{path / CONTRACT}: cannot be understood: {reason}. {_RESTORE}"
        ) from error


def require_fit(contract: Contract, network: Any, path: Path) -> None:
    """Compare a contract with the network of its folder.

    Raises:
        SegError: the network differs from the contract.
    """
    inputs = getattr(network, "inputs", None) or []
    outputs = getattr(network, "outputs", None) or []
    shapes = [tuple(tensor.shape) for tensor in (*inputs, *outputs)]
    if [len(inputs), len(outputs), *map(len, shapes)] != [1, 1, 4, 4]:
        received = ", ".join(map(str, shapes)) or f"a {type(network).__name__}"
        raise SegError(
            f"{path / NETWORK}: expected a Keras model that turns images (N, height, "
            f"width, channels) into logits (N, height, width, num_classes). Received: "
            f"{received}. {_RESTORE}"
        )
    (_, *size, channels), (*_, num_classes) = shapes
    open_or_same = zip(size, contract.image_size, strict=True)
    has = {
        "num_classes": (num_classes, contract.num_classes),
        "inputs": (
            f"{channels} channels in all",
            f"{contract.channels} channels in all",
        ),
        "image_size": (tuple(own or c for own, c in open_or_same), contract.image_size),
        "dtype of the logits": (outputs[0].dtype, "float32"),
        **_normalization(contract, network),
    }
    for field, (own, stated) in has.items():
        if own != stated:
            raise SegError(
                f"{path / CONTRACT}: `{field}` does not fit {NETWORK} beside it. "
                f"Expected {own}, as the network has it. Received: {stated}. {_RESTORE}"
            )


def _normalization(contract: Contract, network: Any) -> dict[str, tuple[Any, Any]]:
    """The normalisation of the network's layer, and that of the contract.

    A custom network has no such layer, or uses it in its own way.
    """
    layers = [
        layer
        for layer in getattr(network, "layers", ())
        if type(layer).__name__ == "Normalize"
    ]
    if contract.architecture == CUSTOM or len(layers) != 1:
        return {}
    order = "bgr" if layers[0].reverse else "rgb"
    return {
        "mean": (tuple(layers[0].mean), contract.mean),
        "scale": (tuple(layers[0].scale), contract.scale),
        "channel_order": (order, contract.channel_order),
    }


def _are_finite(numbers: tuple[float, ...], count: int) -> bool:
    return len(numbers) == count and all(map(math.isfinite, numbers))
