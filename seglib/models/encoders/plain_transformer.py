"""DINOv2 and DINOv3 of keras-hub as encoders, for images of any size.

A plain vision transformer has one map, at stride 16 here. What its blocks answer after
each quarter of its depth becomes P2 … P5, enlarged or averaged without weights.

Reference: Li et al. 2022, "Exploring Plain Vision Transformer Backbones for Object
Detection", for pyramids of plain transformers; the networks are keras-hub's.
"""

import math
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np

from seglib.models.encoders.encoder import TORCH, Encoder
from seglib.models.encoders.keras_hub import (
    OWN,
    preset_pixels,
    preset_weights,
    refuse_misfit,
    require_keras_hub,
)
from seglib.models.features import CENTRED
from seglib.models.layers.upsampling import Upsample, resize_bilinear

_STRIDE = 16
_SIDE = {"DINOV2Backbone": 518, "DINOV3Backbone": 64}  # at which keras-hub builds it


def _v2(width: int, layers: int, heads: int, **more: Any) -> dict[str, Any]:
    return _shape(14, width, layers, heads, **more)


def _v3(width: int, layers: int, heads: int, **more: Any) -> dict[str, Any]:
    return _shape(16, width, layers, heads, use_key_bias=False, **more)


def _shape(
    patch: int, width: int, layers: int, heads: int, **more: Any
) -> dict[str, Any]:
    return {
        "patch_size": patch,
        "num_layers": layers,
        "hidden_dim": width,
        "num_heads": heads,
        "intermediate_dim": 4 * width,
        "use_mask_token": False,
        **more,
    }


_V2 = {
    "small": _v2(384, 12, 6),
    "base": _v2(768, 12, 12),
    "large": _v2(1024, 24, 16),
    "giant": _v2(1536, 40, 24, use_swiglu_ffn=True),
}
_REGISTERS = {"num_register_tokens": 4, "antialias_in_interpolation": True}
_GATED = {"use_gated_mlp": True, "hidden_activation": "silu"}
PRESETS: dict[str, tuple[str, Mapping[str, Any]]] = {
    **{f"dinov2_{size}": ("DINOV2Backbone", own) for size, own in _V2.items()},
    **{
        f"dinov2_with_registers_{size}": ("DINOV2Backbone", {**own, **_REGISTERS})
        for size, own in _V2.items()
    },
    **{
        f"dinov3_vit_{name}": ("DINOV3Backbone", own)
        for name, own in {
            "small_lvd1689m": _v3(384, 12, 6),
            "small_plus_lvd1689m": _v3(384, 12, 6, **_GATED),
            "base_lvd1689m": _v3(768, 12, 12),
            "large_lvd1689m": _v3(1024, 24, 16),
            "huge_plus_lvd1689m": _v3(1280, 32, 20, **_GATED),
            "large_sat493m": _v3(1024, 24, 16),
        }.items()
    },
}


@keras.saving.register_keras_serializable("seglib")
class PlainTransformer(keras.layers.Layer):
    """A DINO network of keras-hub, whose position codes fit themselves to the image.

    Input: (N, H, W, C), H and W multiples of 16; output: four maps (N, H / 16, W / 16,
    width), after each quarter of the blocks. Where patches are of 14 pixels the image
    is first reduced by 14 / 16.

    Args:
        backbone: class of `keras_hub.models`.
        arguments: of its constructor, without the image's size.
        channels: of the image.
    """

    def __init__(
        self, backbone: str, arguments: Mapping[str, Any], channels: int, **kwargs: Any
    ):
        super().__init__(**kwargs)
        maker = getattr(require_keras_hub(f"`{backbone}`").models, backbone)
        side = _SIDE[backbone]
        self.kind, self.arguments, self.channels = backbone, dict(arguments), channels
        self.backbone = maker(
            **arguments, image_shape=(side, side, channels), dtype=self.dtype_policy
        )
        self.built = True
        if backbone == "DINOV2Backbone":
            # keras-hub 0.32 may save its own, once trained, as they were before.
            learnt = self.backbone.embeddings.interpolated_position_embeddings
            learnt.trainable = False
            self.positions = self.add_weight(shape=learnt.shape, name="positions")
            self.positions.assign(learnt)

    def call(self, x: Any, *, training: bool = False) -> Any:
        net = self.backbone
        _, height, width, _ = keras.ops.shape(x)
        rows, columns = height // _STRIDE, width // _STRIDE
        if net.patch_size != _STRIDE:
            x = resize_bilinear(x, rows * net.patch_size, columns * net.patch_size)
        if self.kind == "DINOV3Backbone":
            codes = self._rotary(rows, columns)
            _, stages = net.encoder(
                net.embeddings(x, training=training),
                position_embeddings=codes,
                num_prefix_tokens=self._prefix,
                training=training,
            )
        else:
            tokens = self._embed(x, rows, columns, training=training)
            _, stages = net.encoder(tokens, training=training)
        quarters = (math.ceil(net.num_layers * n / 4) for n in (1, 2, 3, 4))
        shape = (-1, rows, columns, net.hidden_dim)
        return [
            keras.ops.reshape(
                net.layernorm(stages[f"stage{n}"])[:, self._prefix :], shape
            )
            for n in quarters
        ]

    def compute_output_spec(self, x: Any, **_: Any) -> Any:
        batch, height, width, _ = x.shape
        size = (height and height // _STRIDE, width and width // _STRIDE)
        shape = (batch, *size, self.backbone.hidden_dim)
        return [keras.KerasTensor(shape, self.compute_dtype) for _ in range(4)]

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "backbone": self.kind,
            "arguments": self.arguments,
            "channels": self.channels,
        }

    @property
    def _prefix(self) -> int:
        """Tokens before those of the patches: the class token and the registers."""
        return 1 + int(self.backbone.num_register_tokens)

    def _rotary(self, rows: Any, columns: Any) -> tuple[Any, Any]:
        """Cosines and sines of DINOv3's positions, -1 … 1 across the image."""
        rope, ops = self.backbone.rope_embedding, keras.ops

        def along(count: Any) -> Any:
            cells = ops.cast(ops.arange(count), "float32")
            return (2 * cells + 1) / ops.cast(count, "float32") - 1

        y, x = ops.meshgrid(along(rows), along(columns), indexing="ij")
        places = ops.stack([ops.reshape(y, (-1,)), ops.reshape(x, (-1,))], axis=-1)
        angles = 2 * math.pi * places[:, :, None] * rope.inv_freq[None, None, :]
        angles = ops.reshape(angles, (-1, 2 * len(rope.inv_freq)))
        angles = ops.tile(angles, (1, 2))
        return (
            ops.cast(ops.cos(angles), self.compute_dtype),
            ops.cast(ops.sin(angles), self.compute_dtype),
        )

    def _embed(self, x: Any, rows: Any, columns: Any, *, training: bool) -> Any:
        """DINOv2's tokens, with its learnt positions stretched to the image's grid."""
        embed, ops = self.backbone.embeddings, keras.ops
        tokens = embed.patch_embeddings(x, training=training)
        side = _SIDE[self.kind] // int(self.backbone.patch_size)
        learnt = ops.convert_to_tensor(self.positions)
        grid = ops.reshape(learnt[:, 1:], (1, side, side, -1))
        grid = _bicubic(grid, rows, columns, embed.antialias_in_interpolation)
        places = ops.reshape(grid, (1, rows * columns, self.backbone.hidden_dim))
        tokens = tokens + ops.cast(places, tokens.dtype)
        count = ops.shape(tokens)[0]
        first = [embed.cls_token + learnt[:, :1]]
        if embed.num_register_tokens:
            first.append(embed.register_tokens)
        first = [
            ops.cast(ops.tile(token, (count, 1, 1)), tokens.dtype) for token in first
        ]
        return ops.concatenate([*first, tokens], axis=1)


def _bicubic(x: Any, height: Any, width: Any, antialias: bool) -> Any:
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf  # keras.ops refuses a size that is a tensor

        cells, size = tf.cast(x, "float32"), tf.stack([height, width])
        return tf.image.resize(cells, size, "bicubic", antialias=antialias)
    return keras.ops.image.resize(
        x, (height, width), interpolation="bicubic", antialias=antialias
    )


def _build(channels: int, *, name: str) -> keras.Model:
    backbone, arguments = PRESETS[name]
    image = keras.Input((None, None, channels), name="image")
    layer = PlainTransformer(backbone, arguments, channels, name="transformer")
    second, third, fourth, fifth = layer(image)
    maps = {
        "P2": Upsample(4, name="P2_up")(second),
        "P3": Upsample(2, name="P3_up")(third),
        "P4": fourth,
        "P5": keras.layers.AveragePooling2D(2, name="P5_pool")(fifth),
    }
    return keras.Model(image, maps, name="encoder")


def _load(model: keras.Model, source: str | Path, *, name: str) -> None:
    """Set the weights from the encoder's preset, or from the folder of one."""
    preset = name if source in OWN else str(source)
    given = [
        weight
        for weight in preset_weights(preset, PRESETS[name][0]).weights
        if not weight.path.endswith("mask_token")
    ]
    layer = model.get_layer("transformer")
    own = layer.backbone.weights
    refuse_misfit(own, given, preset=preset, name=name)
    for mine, theirs in zip(own, given, strict=True):
        mine.assign(np.asarray(theirs))
    if layer.kind == "DINOV2Backbone":
        layer.positions.assign(
            layer.backbone.embeddings.interpolated_position_embeddings
        )


ENCODERS = {
    name: Encoder(
        build=partial(_build, name=name),
        normalization=TORCH,
        offsets=CENTRED,
        levels=(2, 3, 4, 5),
        load=partial(_load, name=name),
        pixels=partial(preset_pixels, backbone=backbone, name=name),
        extra="hub",
    )
    for name, (backbone, _) in PRESETS.items()
}
