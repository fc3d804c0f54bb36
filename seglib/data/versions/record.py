"""The pixels by id of many masks, as one small file that is checked when it is read.

The ids are those in the masks, whatever a dataset calls or ignores. So a mask's counts
follow from its bytes alone, and its md5 stands for them, whatever version of whatever
dataset it lies in.
"""

import gzip
import hashlib
import json
import re
import zlib
from collections.abc import Mapping
from typing import Any

from seglib.data.image_io import MASK_DECODING
from seglib.errors import SegError

FORMAT_VERSION = 1
LARGEST_BYTES = 64 << 20  # of a record, as it lies on a disk: millions of masks
_LARGEST_TEXT_BYTES = 256 << 20  # of a record, unpacked: a small file may hide much
_MD5 = re.compile(r"[0-9a-f]{32}")
_LARGEST_ID = 65535

Counts = Mapping[int, int]  # id -> pixels, of the ids that occur
MaskCounts = Mapping[str, Counts]  # md5 of the mask -> its counts


def pack(name: str, counts: MaskCounts) -> bytes:
    """The record of some masks, in the order given; equal counts give equal bytes.

    Args:
        name: what it is a record of. Who reads it expects the same.

    Raises:
        SegError: too many masks for one record.
    """
    plain = {md5: dict(ids) for md5, ids in counts.items()}
    body = json.dumps(plain, separators=(",", ":")).encode()
    head = {
        "format_version": FORMAT_VERSION,
        "decoding": MASK_DECODING,
        "of": name,
        "sha256": hashlib.sha256(body).hexdigest(),
    }
    packed = gzip.compress(json.dumps(head).encode() + b"\n" + body, mtime=0)
    if len(body) > _LARGEST_TEXT_BYTES // 2 or len(packed) > LARGEST_BYTES:
        raise SegError(f"The counts of {len(counts):,} masks are too many to keep.")
    return packed


def unpack(name: str, content: bytes) -> dict[str, Counts]:
    """What `pack` packed.

    Raises:
        SegError: it is damaged, or a record of something else, of masks that were
            decoded in another way, or of a version from the future.
    """
    try:
        head, body = _unzip(content).split(b"\n", 1)
        stated = json.loads(head)
        expected = {
            "format_version": FORMAT_VERSION,
            "decoding": MASK_DECODING,
            "of": name,
            "sha256": hashlib.sha256(body).hexdigest(),
        }
        if stated != expected:
            raise ValueError(f"expected {expected}, received {stated}")
        return {_md5(md5): _counts(ids) for md5, ids in json.loads(body).items()}
    except (ValueError, AttributeError, TypeError, RecursionError, zlib.error) as error:
        raise SegError(f"not a record of the masks' classes of {name}: {error}") from (
            error
        )


def _unzip(content: bytes) -> bytes:
    unpacker = zlib.decompressobj(wbits=31)
    text = unpacker.decompress(content, _LARGEST_TEXT_BYTES)
    if not unpacker.eof:
        raise ValueError("cut short, or too large")
    return text


def _md5(text: str) -> str:
    if not _MD5.fullmatch(text):
        raise ValueError(f"{text!r} is no md5")
    return text


def _counts(ids: Mapping[str, Any]) -> Counts:
    counts = {int(index): pixels for index, pixels in ids.items()}
    for index, pixels in counts.items():
        if not 0 <= index <= _LARGEST_ID or type(pixels) is not int or pixels <= 0:
            raise ValueError(f"{pixels!r} pixels of id {index}")
    return counts
