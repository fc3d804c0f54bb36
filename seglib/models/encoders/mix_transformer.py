"""Mix Transformer: SegFormer's encoder, for images of any size.

Attention over all cells, with keys and values reduced by a strided convolution. A 3×3
depthwise convolution inside the feed-forward part replaces position embeddings, so that
the encoder works at any image size.

Reference: Xie et al. 2021, "SegFormer: Simple and Efficient Design for Semantic
Segmentation with Transformers".
"""

from functools import partial
from typing import Any

import keras

from seglib.models.encoders.encoder import ON_FIRST, TORCH, Encoder

_HEADS = (1, 2, 5, 8)
_REDUCTIONS = (8, 4, 2, 1)  # of keys and values, along each axis
_EXPANSION = 4  # of the feed-forward part
# Widths and numbers of blocks of the four stages, P2 … P5.
VARIANTS = {
    "mit_b0": ((32, 64, 160, 256), (2, 2, 2, 2)),
    "mit_b1": ((64, 128, 320, 512), (2, 2, 2, 2)),
    "mit_b2": ((64, 128, 320, 512), (3, 4, 6, 3)),
    "mit_b3": ((64, 128, 320, 512), (3, 4, 18, 3)),
    "mit_b4": ((64, 128, 320, 512), (3, 8, 27, 3)),
    "mit_b5": ((64, 128, 320, 512), (3, 6, 40, 3)),
}


def _build(channels: int, *, name: str) -> keras.Model:
    x = image = keras.Input((None, None, channels), name="image")
    maps = {}
    for stage, (width, depth) in enumerate(zip(*VARIANTS[name], strict=True)):
        kernel, stride = (7, 4) if stage == 0 else (3, 2)
        x = _embed(x, width, kernel, stride, name=f"stage{stage}_embed")
        for block in range(depth):
            x = _block(x, stage, name=f"stage{stage}_block{block}")
        x = maps[f"P{stage + 2}"] = _norm(x, f"stage{stage}_norm")
    return keras.Model(image, maps, name="encoder")


def _embed(x: Any, width: int, kernel: int, stride: int, *, name: str) -> Any:
    """Overlapping patches, padded alike on all sides."""
    x = keras.layers.ZeroPadding2D(kernel // 2, name=f"{name}_pad")(x)
    x = keras.layers.Conv2D(width, kernel, strides=stride, name=f"{name}_conv")(x)
    return _norm(x, f"{name}_norm", epsilon=1e-5)


def _block(x: Any, stage: int, *, name: str) -> Any:
    width = x.shape[-1]
    query = _norm(x, f"{name}_attention_norm")
    context = query
    if _REDUCTIONS[stage] > 1:
        context = keras.layers.Conv2D(
            width, _REDUCTIONS[stage], strides=_REDUCTIONS[stage], name=f"{name}_reduce"
        )(context)
        context = _norm(context, f"{name}_reduce_norm", epsilon=1e-5)
    attended = SpatialAttention(_HEADS[stage], name=f"{name}_attention")(query, context)
    x = keras.layers.Add(name=f"{name}_attention_add")([x, attended])
    branch = _norm(x, f"{name}_mix_norm")
    branch = keras.layers.Dense(_EXPANSION * width, name=f"{name}_mix_in")(branch)
    branch = keras.layers.DepthwiseConv2D(3, padding="same", name=f"{name}_mix_conv")(
        branch
    )
    branch = keras.layers.Activation("gelu", name=f"{name}_mix_gelu")(branch)
    branch = keras.layers.Dense(width, name=f"{name}_mix_out")(branch)
    return keras.layers.Add(name=f"{name}_mix_add")([x, branch])


def _norm(x: Any, name: str, *, epsilon: float = 1e-6) -> Any:
    return keras.layers.LayerNormalization(epsilon=epsilon, name=name)(x)


@keras.saving.register_keras_serializable("seglib")
class SpatialAttention(keras.layers.Layer):
    """Multi-head attention of every cell to every cell of a context.

    Inputs: (N, H, W, C) and (N, h, w, C); output: (N, H, W, C). C divides by `heads`.
    """

    def __init__(self, heads: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.heads = heads

    def build(self, shape: tuple[int | None, ...], *_: Any) -> None:
        width = shape[-1]
        for part in ("query", "key", "value", "out"):
            dense = keras.layers.Dense(width, name=part, dtype=self.dtype_policy)
            dense.build((None, None, width))
            setattr(self, part, dense)
        self.built = True

    def call(self, x: Any, context: Any) -> Any:
        _, height, width, channels = keras.ops.shape(x)
        attended = keras.ops.dot_product_attention(
            self._by_head(self.query(x)),
            self._by_head(self.key(context)),
            self._by_head(self.value(context)),
        )
        return self.out(keras.ops.reshape(attended, (-1, height, width, channels)))

    def compute_output_spec(self, x: Any, context: Any) -> Any:
        return keras.KerasTensor(x.shape, self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "heads": self.heads}

    def _by_head(self, x: Any) -> Any:
        """(N, H, W, C) → (N, H · W, heads, C / heads)."""
        _, height, width, channels = keras.ops.shape(x)
        shape = (-1, height * width, self.heads, channels // self.heads)
        return keras.ops.reshape(x, shape)


ENCODERS = {
    name: Encoder(
        build=partial(_build, name=name),
        normalization=TORCH,
        offsets=ON_FIRST,
        levels=(2, 3, 4, 5),
    )
    for name in VARIANTS
}
