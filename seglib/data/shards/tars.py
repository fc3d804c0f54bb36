"""Tar files of samples: `KEY.image.jpg`, `KEY.mask.png`, one sample after the other.

Reference: POSIX.1-1988, the ustar format.
"""

import hashlib
import re
import tarfile
from collections.abc import Mapping
from typing import BinaryIO

import numpy as np

from seglib.data.file_formats import content_suffix

_BLOCK = 512  # bytes
_END = bytes(2 * _BLOCK)
_SIZE = slice(124, 135)  # in a header: octal digits
_OCTAL = 8 ** np.arange(10, -1, -1)
_MAGIC, _USTAR = slice(257, 262), np.frombuffer(b"ustar", np.uint8)
_STRANGE = re.compile(r"[^A-Za-z0-9_-]+")  # a key has no dot: the rest names the part
_LONGEST = 60  # characters of a key; ustar has 100 for the whole name


class TarWriter:
    """Writes samples to an open file, and computes the SHA-256 of its bytes."""

    def __init__(self, file: BinaryIO):
        self.samples = self.size_bytes = 0
        self._file, self._digest = file, hashlib.sha256()

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()

    def add(self, number: int, stem: str, parts: Mapping[str, bytes]) -> None:
        """Add a sample: the encoded images of its parts by name, the mask last.

        Args:
            number: makes the key unique.
            stem: tells people which sample it is.
        """
        key = f"{number:09}-{_STRANGE.sub('_', stem)[-_LONGEST:]}"
        for name, content in parts.items():
            info = tarfile.TarInfo(f"{key}.{name}{content_suffix(content)}")
            info.size = len(content)
            padding = bytes(-len(content) % _BLOCK)
            self._write(info.tobuf(tarfile.USTAR_FORMAT) + content + padding)
        self.samples += 1

    def close(self) -> None:
        """Write the end; the file stays open."""
        self._write(_END)

    def _write(self, content: bytes) -> None:
        self._file.write(content)
        self._digest.update(content)
        self.size_bytes += len(content)


class TarSamples:
    """The samples of a tar in memory, each the bytes of its parts."""

    def __init__(self, content: bytes | bytearray, parts: int):
        self._content, self._parts = memoryview(content), parts
        self._places = _places(content)

    def __len__(self) -> int:
        return len(self._places) // self._parts

    def __getitem__(self, index: int) -> list[bytes]:
        first = index * self._parts
        places = self._places[first : first + self._parts].tolist()
        return [bytes(self._content[start:end]) for start, end in places]


def _places(content: bytes | bytearray) -> np.ndarray:
    """Start and end of each member, int64 (members, 2)."""
    whole = len(content) // _BLOCK
    blocks = np.frombuffer(content, np.uint8, whole * _BLOCK).reshape(whole, _BLOCK)
    heads = np.flatnonzero((blocks[:, _MAGIC] == _USTAR).all(1))
    sizes = (blocks[heads, _SIZE].astype(np.int64) - ord("0")) @ _OCTAL
    ends = heads + 1 - (-sizes // _BLOCK)
    if not (np.array_equal(heads[:1], [0]) and np.array_equal(ends[:-1], heads[1:])):
        return _followed(content)  # a file holds what looks like a header
    starts = (heads + 1) * _BLOCK
    return np.stack([starts, starts + sizes], axis=1)


def _followed(content: bytes | bytearray) -> np.ndarray:
    """As `_places`, from one header to the next."""
    places, at, whole = [], 0, len(content)
    while at + _BLOCK <= whole and content[at]:
        size = int(content[at + _SIZE.start : at + _SIZE.stop], 8)
        at += _BLOCK
        places.append((at, at + size))
        at += size + -size % _BLOCK
    return np.array(places, np.int64).reshape(-1, 2)
