"""State dicts made by hand: the pickles that PyTorch's original format consists of."""

import hashlib
import io
import json
import os
import pickle
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest

from seglib.errors import SegError
from seglib.models import build_model
from seglib.models.encoders.efficientnet_lite import VARIANTS
from seglib.models.torch_weights import read_state_dict

MAGIC = 0x1950A86A20F9469CFC6C


class _Global:
    """Pickles as a reference to `module.name`, called with `arguments`."""

    def __init__(self, module, name, arguments=None):
        self.module, self.name, self.arguments = module, name, arguments


class _Reference:
    """A persistent id, as PyTorch writes one for each storage."""

    def __init__(self, key, count, dtype="FloatStorage"):
        self.id = ("storage", _Global("torch", dtype), key, "cpu", count, None)


class _Pickler(pickle._Pickler):
    """Writes references to names that need not exist here."""

    def save(self, obj, save_persistent_id=True):  # noqa: FBT002
        if isinstance(obj, _Global):
            self.write(f"c{obj.module}\n{obj.name}\n".encode())
            if obj.arguments is not None:
                self.save(obj.arguments)
                self.write(pickle.REDUCE)
        elif isinstance(obj, _Reference):
            self.write(pickle.MARK)
            for part in obj.id:
                self.save(part)
            self.write(pickle.TUPLE + pickle.BINPERSID)
        else:
            super().save(obj, save_persistent_id)


def _tensor(reference, shape, stride, offset=0):
    arguments = (
        reference,
        offset,
        shape,
        stride,
        False,
        _Global("collections", "OrderedDict", ()),
    )
    return _Global("torch._utils", "_rebuild_tensor_v2", arguments)


def _write(path: Path, state, storages) -> str:
    stream = io.BytesIO()
    for value in (MAGIC, 1001, {"little_endian": True}, state, list(storages)):
        _Pickler(stream, protocol=2).dump(value)
    for numbers in storages.values():
        stream.write(struct.pack("<q", numbers.size) + numbers.tobytes())
    path.write_bytes(stream.getvalue())
    return hashlib.sha256(stream.getvalue()).hexdigest()


def test_tensors_are_read_with_their_strides(tmp_path):
    numbers = np.arange(6, dtype="<f4")
    reference = _Reference("0", 6)
    state = {
        "rows": _tensor(reference, (2, 3), (3, 1)),
        "columns": _tensor(reference, (3, 2), (1, 3)),
    }
    digest = _write(tmp_path / "w.pth", state, {"0": numbers})
    arrays = read_state_dict(tmp_path / "w.pth", sha256=digest)
    assert (arrays["rows"] == numbers.reshape(2, 3)).all()
    assert (arrays["columns"] == numbers.reshape(2, 3).T).all()


def test_nothing_that_the_file_names_is_executed(tmp_path):
    marker = tmp_path / "executed"
    state = {"a": _Global(os.system.__module__, "system", (f"touch {marker}",))}
    digest = _write(tmp_path / "w.pth", state, {})
    with pytest.raises(SegError, match=r"posix\.system` is refused"):
        read_state_dict(tmp_path / "w.pth", sha256=digest)
    assert not marker.exists()


def test_other_bytes_than_the_pinned_ones_are_not_opened(tmp_path):
    (tmp_path / "w.pth").write_bytes(b"anything")
    with pytest.raises(SegError, match="not the pinned weights. Expected: sha256 00ff"):
        read_state_dict(tmp_path / "w.pth", sha256="00ff")


def test_a_tensor_that_leaves_its_storage_is_refused(tmp_path):
    state = {"a": _tensor(_Reference("0", 6), (4, 3), (3, 1))}
    digest = _write(tmp_path / "w.pth", state, {"0": np.zeros(6, "<f4")})
    with pytest.raises(SegError, match=r"shape \(4, 3\) leaves its storage"):
        read_state_dict(tmp_path / "w.pth", sha256=digest)


def test_a_file_that_is_cut_short_is_refused(tmp_path):
    path = tmp_path / "w.pth"
    state = {"a": _tensor(_Reference("0", 6), (6,), (1,))}
    _write(path, state, {"0": np.zeros(6, "<f4")})
    path.write_bytes(path.read_bytes()[:-4])
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    with pytest.raises(SegError, match="cut short"):
        read_state_dict(path, sha256=digest)


def test_the_zip_archive_of_newer_versions_is_read(tmp_path):
    numbers = np.arange(6, dtype="<f4")
    reference = _Reference("0", 6)
    reference.id = reference.id[:5]  # without the view of the original layout
    stream = io.BytesIO()
    _Pickler(stream, protocol=2).dump({"a": _tensor(reference, (3, 2), (1, 3))})
    with zipfile.ZipFile(tmp_path / "w.bin", "w") as archive:
        archive.writestr("archive/data.pkl", stream.getvalue())
        archive.writestr("archive/data/0", numbers.tobytes())
    arrays = read_state_dict(tmp_path / "w.bin")
    assert (arrays["a"] == numbers.reshape(2, 3).T).all()


def _safetensors(path, header, numbers):
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + numbers.tobytes())


def test_safetensors_are_read(tmp_path):
    numbers = np.arange(6, dtype="<f4")
    entry = {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}
    header = {"__metadata__": {"format": "pt"}, "a": entry}
    _safetensors(tmp_path / "w.safetensors", header, numbers)
    arrays = read_state_dict(tmp_path / "w.safetensors")
    assert (arrays["a"] == numbers.reshape(2, 3)).all()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"data_offsets": [0, 28]}, "cut short"),
        ({"shape": [2, 2]}, "24 bytes, its shape is"),
        ({"dtype": "BF16"}, "of type BF16"),
    ],
)
def test_damaged_safetensors_are_refused(change, said, tmp_path):
    entry = {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24], **change}
    _safetensors(tmp_path / "w.safetensors", {"a": entry}, np.arange(6, dtype="<f4"))
    with pytest.raises(SegError, match=said):
        read_state_dict(tmp_path / "w.safetensors")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(SegError, match=r"no\.pth: cannot be read"):
        read_state_dict(tmp_path / "no.pth", sha256="")


@pytest.mark.parametrize("variant", VARIANTS)
def test_imagenet_weights_load_into_every_layer_of_the_encoder(variant):
    """Weights of another shape would not load; a layer left out stays random."""
    options = {"num_classes": 2, "image_size": (64, 64)}
    encoder = f"efficientnet_{variant}"
    trained = build_model("compact", encoder=encoder, weights="imagenet", **options)
    for layer in trained.network.layers:
        if layer.name.startswith(("stem", "block")) and layer.name.endswith("_bn"):
            # Random layers have a running mean of 0 and a variance of 1.
            assert np.any(np.asarray(layer.moving_mean)), layer.name
            assert np.any(np.asarray(layer.moving_variance) != 1), layer.name
