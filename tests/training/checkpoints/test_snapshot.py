import hashlib
import math
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seglib.training.checkpoints import Snapshot, restore, values


def _snapshot() -> Snapshot:
    rng = np.random.default_rng(0)
    arrays = {
        "network": [
            rng.normal(size=(3, 2)).astype("float32"),
            np.array(7, "int64"),
            np.zeros((0, 4), "float32"),
            np.asfortranarray(rng.normal(size=(4, 5))),
        ],
        "metrics": [],
        "optimizer": [np.array([1, 2], "uint32"), np.array([True, False])],
    }
    history = [{"epoch": 1, "loss": 0.1 + 0.2, "val_miou": math.nan}]
    return Snapshot(facts={"step": 12, "history": history}, arrays=arrays)


def test_every_bit_comes_back():
    before = _snapshot()
    after = Snapshot.from_bytes(before.to_bytes())
    assert repr(after.facts) == repr(before.facts)
    assert after.arrays.keys() == before.arrays.keys()
    for name, arrays in before.arrays.items():
        for array, other in zip(arrays, after.arrays[name], strict=True):
            assert array.dtype == other.dtype
            assert array.shape == other.shape
            assert array.tobytes() == other.tobytes()


def test_numbers_of_16_bits_come_back():
    import keras

    numbers = keras.ops.convert_to_numpy(keras.ops.ones((2, 3), "bfloat16"))
    content = Snapshot(facts={}, arrays={"network": [numbers]}).to_bytes()
    (back,) = Snapshot.from_bytes(content).arrays["network"]
    assert back.dtype == numbers.dtype
    assert back.tobytes() == numbers.tobytes()


@given(st.data())
def test_a_part_of_a_checkpoint_is_refused(data):
    content = _snapshot().to_bytes()
    length = data.draw(st.integers(0, len(content) - 1))
    with pytest.raises(ValueError, match=f"{length:,} bytes"):
        Snapshot.from_bytes(content[:length])


@given(st.data())
def test_one_flipped_bit_is_seen(data):
    content = bytearray(_snapshot().to_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(ValueError, match="not a checkpoint|its checksum differs"):
        Snapshot.from_bytes(bytes(content))


def test_values_are_copies_and_go_back_where_they_were():
    import keras

    variables = [keras.Variable(np.ones((2, 2), "float32")), keras.Variable(3)]
    taken = values(variables)
    variables[0].assign(np.zeros((2, 2)))
    assert taken[0].sum() == 4
    restore(variables, taken)
    assert np.asarray(variables[0]).sum() == 4
    with pytest.raises(ValueError, match="longer"):
        restore(variables[:1], taken)


def _signed(head: bytes) -> bytes:
    body = b"seglib checkpoint 1\n" + struct.pack("<Q", len(head)) + head
    return body + hashlib.sha256(body).digest()


@pytest.mark.parametrize(
    "content",
    [
        _signed(b"")[:-36] + _signed(b"")[-32:],
        _signed(b""),
        _signed(b"[]"),
        _signed(b"null"),
        _signed(b"{}"),
        _signed(b"[" * 100_000),
        _signed(b'{"facts": 1, "layout": {}}'),
        _signed(b'{"facts": {}, "layout": []}'),
        _signed(b'{"facts": {}, "layout": {"network": [["float32", [9]]]}}'),
        _signed(b'{"facts": {}, "layout": {"network": [["object", [0]]]}}'),
        _signed(b'{"facts": {}, "layout": {"network": [["float32", "wide"]]}}'),
    ],
)
def test_a_signed_file_of_another_form_is_no_checkpoint(content: bytes) -> None:
    with pytest.raises(ValueError, match="malformed|its checksum differs"):
        Snapshot.from_bytes(content)
