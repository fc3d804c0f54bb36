import gzip
import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seglib.data.versions.record import pack, unpack
from seglib.errors import SegError

COUNTS = {"0" * 32: {0: 50, 255: 14}, "f" * 32: {65535: 1}}
_HEX = st.text("0123456789abcdef", min_size=32, max_size=32)
_IDS = st.dictionaries(st.integers(0, 65535), st.integers(1, 2**40), max_size=5)


@given(st.dictionaries(_HEX, _IDS, max_size=5))
def test_what_is_packed_is_unpacked(counts):
    assert unpack("ab", pack("ab", counts)) == counts


def test_the_order_is_kept_and_equal_counts_give_equal_bytes():
    turned = dict(reversed(COUNTS.items()))
    assert list(unpack("ab", pack("ab", turned))) == list(turned)
    assert pack("ab", COUNTS) == pack("ab", dict(COUNTS))


def test_no_flipped_bit_goes_unseen():
    packed = pack("ab", COUNTS)
    refused = 0
    for index in range(len(packed)):
        broken = bytearray(packed)
        broken[index] ^= 0x10
        try:
            assert unpack("ab", bytes(broken)) == COUNTS  # a bit of gzip's own header
        except SegError:
            refused += 1
    assert refused > len(packed) - 10


def test_a_record_cut_short_or_of_something_else_is_refused():
    packed = pack("ab", COUNTS)
    for name, content in (("ab", packed[:-1]), ("ab", b""), ("cd", packed)):
        with pytest.raises(SegError, match="not a record of the masks' classes"):
            unpack(name, content)


@pytest.mark.parametrize(
    "body",
    [
        {"../../etc": {"0": 1}},
        {"0" * 32: {"0": 0}},
        {"0" * 32: {"0": -1}},
        {"0" * 32: {"0": True}},
        {"0" * 32: {"0": 1.5}},
        {"0" * 32: {"65536": 1}},
        {"0" * 32: {"x": 1}},
        {"0" * 32: [1]},
        [1],
        "text",
    ],
)
def test_what_no_counting_gives_is_refused(body):
    with pytest.raises(SegError, match="not a record"):
        unpack("ab", _by_hand(json.dumps(body).encode()))


def test_a_small_file_that_unpacks_to_a_huge_one_is_refused():
    bomb = gzip.compress(bytes(300 << 20), compresslevel=1)
    assert len(bomb) < 4 << 20
    with pytest.raises(SegError, match="too large"):
        unpack("ab", bomb)


def _by_hand(body: bytes) -> bytes:
    """A record whose checksum is right, whatever it holds."""
    stated = json.loads(gzip.decompress(pack("ab", {})).split(b"\n")[0])
    stated["sha256"] = hashlib.sha256(body).hexdigest()
    return gzip.compress(json.dumps(stated).encode() + b"\n" + body)
