"""SegFormer's weights in the names of the transformers library, as safetensors."""

import json
import struct

import numpy as np
import pytest

from seglib.errors import UsageError
from seglib.models import build_model
from seglib.models.encoders.mix_transformer import VARIANTS

SIZE = (64, 64)
_WIDTHS, _DEPTHS = VARIANTS["mit_b0"]


def _state(classes=150):
    """Shapes by name, as in `SegformerForSemanticSegmentation` of B0."""
    shapes, before = {}, 3
    norm = lambda name, n: shapes.update({f"{name}.weight": (n,), f"{name}.bias": (n,)})  # noqa: E731
    for i, (c, depth) in enumerate(zip(_WIDTHS, _DEPTHS, strict=True)):
        root = "segformer.encoder."
        kernel = 7 if i == 0 else 3
        shapes[f"{root}patch_embeddings.{i}.proj.weight"] = (c, before, kernel, kernel)
        shapes[f"{root}patch_embeddings.{i}.proj.bias"] = (c,)
        norm(f"{root}patch_embeddings.{i}.layer_norm", c)
        norm(f"{root}layer_norm.{i}", c)
        for j in range(depth):
            block = f"{root}block.{i}.{j}."
            norm(f"{block}layer_norm_1", c)
            norm(f"{block}layer_norm_2", c)
            for part in ("self.query", "self.key", "self.value", "output.dense"):
                shapes[f"{block}attention.{part}.weight"] = (c, c)
                shapes[f"{block}attention.{part}.bias"] = (c,)
            if i < 3:
                r = (8, 4, 2)[i]
                shapes[f"{block}attention.self.sr.weight"] = (c, c, r, r)
                shapes[f"{block}attention.self.sr.bias"] = (c,)
                norm(f"{block}attention.self.layer_norm", c)
            shapes[f"{block}mlp.dense1.weight"] = (4 * c, c)
            shapes[f"{block}mlp.dense1.bias"] = (4 * c,)
            shapes[f"{block}mlp.dwconv.dwconv.weight"] = (4 * c, 1, 3, 3)
            shapes[f"{block}mlp.dwconv.dwconv.bias"] = (4 * c,)
            shapes[f"{block}mlp.dense2.weight"] = (c, 4 * c)
            shapes[f"{block}mlp.dense2.bias"] = (c,)
        shapes[f"decode_head.linear_c.{i}.proj.weight"] = (256, c)
        shapes[f"decode_head.linear_c.{i}.proj.bias"] = (256,)
        before = c
    shapes["decode_head.linear_fuse.weight"] = (256, 1024, 1, 1)
    norm("decode_head.batch_norm", 256)
    shapes["decode_head.batch_norm.running_mean"] = (256,)
    shapes["decode_head.batch_norm.running_var"] = (256,)
    shapes["decode_head.classifier.weight"] = (classes, 256, 1, 1)
    shapes["decode_head.classifier.bias"] = (classes,)
    return shapes


def _write(path, shapes):
    rng = np.random.default_rng(0)
    header, content = {}, b""
    arrays = {name: rng.random(shape, "float32") for name, shape in shapes.items()}
    for name, array in arrays.items():
        ends = [len(content), len(content) + array.nbytes]
        header[name] = {"dtype": "F32", "shape": array.shape, "data_offsets": ends}
        content += array.tobytes()
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + content)
    return arrays


def test_every_tensor_of_a_published_file_is_loaded(tmp_path, caplog):
    arrays = _write(tmp_path / "w.safetensors", _state(classes=5))
    with caplog.at_level("INFO", logger="seglib"):
        model = build_model(
            "segformer",
            num_classes=5,
            image_size=SIZE,
            weights=tmp_path / "w.safetensors",
        )
    assert "207 of 207 tensors loaded" in caplog.text
    assert len(arrays) == 207
    encoder = model.network.get_layer("encoder")
    attention = encoder.get_layer("stage1_block0_attention")
    name = "segformer.encoder.block.1.0.attention.self.key.weight"
    assert np.array_equal(np.asarray(attention.key.kernel), arrays[name].T)
    kernel = np.asarray(encoder.get_layer("stage0_block0_mix_conv").kernel)
    name = "segformer.encoder.block.0.0.mlp.dwconv.dwconv.weight"
    assert np.array_equal(kernel[..., 0], arrays[name][:, 0].transpose(1, 2, 0))
    variance = np.asarray(model.network.get_layer("mix_bn").moving_variance)
    assert np.array_equal(variance, arrays["decode_head.batch_norm.running_var"])


def test_other_classes_and_a_fourth_channel_keep_what_fits(tmp_path, caplog):
    arrays = _write(tmp_path / "w.safetensors", _state())
    with caplog.at_level("INFO", logger="seglib"):
        model = build_model(
            "segformer",
            num_classes=11,
            image_size=SIZE,
            channels=4,
            weights=tmp_path / "w.safetensors",
        )
    assert "205 of 207 tensors loaded; not loaded, because they differ or are " in (
        caplog.text
    )
    first = model.network.get_layer("encoder").get_layer("stage0_embed_conv")
    name = "segformer.encoder.patch_embeddings.0.proj.weight"
    expected = arrays[name].transpose(2, 3, 1, 0)
    assert np.array_equal(np.asarray(first.kernel)[:, :, :3], expected)
    assert not np.asarray(first.kernel)[:, :, 3].any()


def test_a_file_of_another_size_is_refused_with_layer_and_shapes(tmp_path):
    _write(tmp_path / "w.safetensors", _state())
    with pytest.raises(UsageError) as told:
        build_model(
            "segformer",
            num_classes=11,
            image_size=SIZE,
            encoder="mit_b1",
            weights=tmp_path / "w.safetensors",
        )
    assert "stage0_embed_conv: expected [(7, 7, 3, 64), (64,)], received" in str(
        told.value
    )


def test_a_file_of_another_network_is_refused(tmp_path):
    _write(tmp_path / "w.safetensors", {"conv1.weight": (64, 3, 7, 7)})
    with pytest.raises(UsageError, match="no weights of SegFormer(.|\n)*conv1.weight"):
        build_model(
            "segformer",
            num_classes=11,
            image_size=SIZE,
            weights=tmp_path / "w.safetensors",
        )
