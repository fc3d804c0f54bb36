"""Facts of many files in little memory: rows of bytes that are saved and joined.

A file takes 76 bytes, a mask 10 more for each of its ids. What few files have, and many
share (a colour table, the objects, the faults), is stored once.
"""

import json
import struct
import zlib
from collections.abc import Sequence
from typing import Any, Self

import numpy as np

from seglib.data.verification.file_checks import Fault, FileFacts
from seglib.data.verification.objects import Objects
from seglib.data.verification.similarity import Appearance
from seglib.errors import SegError

HEAD = np.dtype(
    [
        ("size_bytes", "<i8"),
        ("md5", "V16"),
        ("size", "<u4", 2),
        ("deepest", "<u2"),
        ("orientation", "u1"),
        ("reduced", "?"),
        ("hash", ">u8", 2),
        ("brightness", "<f8"),
        ("ramps", "<f8"),
        ("ids", "<u4"),  # how many
        ("extra", "<u4"),  # bytes of its text; in a `Part`, the number of the text
    ]
)
_HEAD = struct.Struct("<q16sIIHB?16sddII")
_COUNTS = struct.Struct("<II")
NO_FAULTS, NO_OBJECTS = b"[[],", b"null]"  # beginning and end of a file's text
_BEGINNING = b"seglib facts 1\n"


def pack(facts: FileFacts) -> bytes:
    """The facts of a file as bytes; see `unpack`."""
    objects = facts.objects
    extra = b""
    if facts.faults or facts.palette or objects is not None:
        rows = None
        if objects is not None:
            rows = {key: each.to_row() for key, each in objects.items()}
        row = [facts.faults, facts.palette.hex(), rows]
        extra = json.dumps(row, separators=(",", ":")).encode()
    hash_, brightness = facts.appearance
    ids = facts.ids
    head = _HEAD.pack(
        facts.size_bytes,
        bytes.fromhex(facts.md5),
        *facts.size,
        facts.deepest,
        facts.orientation,
        facts.reduced,
        hash_.to_bytes(16, "big"),
        brightness,
        facts.ramps,
        len(ids),
        len(extra),
    )
    tail = struct.pack(f"<{len(ids)}H{len(ids)}q", *ids, *ids.values())
    return b"".join((head, tail, extra))


def unpack(head: bytes, ids: Sequence[int], pixels: Sequence[int], extra: bytes) -> Any:
    """The facts of a file: a `FileFacts`, equal to the one that was packed."""
    size_bytes, md5, height, width, deepest, orientation, reduced, *rest = _HEAD.unpack(
        head
    )
    hash_, brightness, ramps, *_ = rest
    faults, palette, objects = json.loads(extra) if extra else ((), "", None)
    return FileFacts(
        size_bytes=size_bytes,
        md5=md5.hex(),
        size=(height, width),
        deepest=deepest,
        orientation=orientation,
        appearance=Appearance(int.from_bytes(hash_, "big"), brightness),
        reduced=reduced,
        ids=dict(zip(ids, pixels, strict=True)),
        ramps=ramps,
        palette=bytes.fromhex(palette),
        faults=tuple(Fault(*fault) for fault in faults),
        objects=None
        if objects is None
        else {int(key): Objects.of_row(row) for key, row in objects.items()},
    )


class Part:
    """The facts of the files of some pairs, in their order; parts can be joined.

    Attributes:
        key: names the dataset and the pairs, so that no other part is joined.
        files_read: how many were read; the others were known.
    """

    def __init__(self, key: str = ""):
        self.key, self.files_read = key, 0
        self._heads, self._ids, self._pixels = bytearray(), bytearray(), bytearray()
        self._texts: dict[bytes, int] = {b"": 0}

    def __len__(self) -> int:
        """The number of files."""
        return len(self._heads) // HEAD.itemsize

    def append(self, packed: bytes) -> None:
        """Add the facts of the next file, as `pack` gave them."""
        count, length = _COUNTS.unpack_from(packed, HEAD.itemsize - _COUNTS.size)
        middle = HEAD.itemsize + 2 * count
        end = middle + 8 * count
        self._heads += packed[: HEAD.itemsize]
        self._ids += packed[HEAD.itemsize : middle]
        self._pixels += packed[middle:end]
        if length:  # its place in the head
            text = self._texts.setdefault(packed[end:], len(self._texts))
            self._heads[-4:] = text.to_bytes(4, "little")

    def extend(self, other: "Part") -> None:
        """Add the facts of the part that follows."""
        texts = [self._texts.setdefault(t, len(self._texts)) for t in other.texts]
        heads = other.heads.copy()
        heads["extra"] = np.array(texts, np.uint32)[heads["extra"]]
        self._heads += heads.tobytes()
        self._ids += other.ids.tobytes()
        self._pixels += other.pixels.tobytes()
        self.files_read += other.files_read

    @property
    def heads(self) -> np.ndarray:
        """One `HEAD` a file."""
        return np.frombuffer(self._heads, HEAD)

    @property
    def ids(self) -> np.ndarray:
        """The ids of all masks, one after the other: uint16."""
        return np.frombuffer(self._ids, "<u2")

    @property
    def pixels(self) -> np.ndarray:
        """The pixels of these ids: int64."""
        return np.frombuffer(self._pixels, "<i8")

    @property
    def texts(self) -> list[bytes]:
        """The texts that heads name by their number; the first is empty."""
        return list(self._texts)

    def to_bytes(self) -> bytes:
        """The part as bytes, to be saved."""
        texts = b"".join(struct.pack("<I", len(t)) + t for t in self._texts)
        blocks: list[bytes | bytearray] = [self._heads, self._ids, self._pixels, texts]
        head = [self.key, self.files_read, [len(block) for block in blocks]]
        content = b"".join((json.dumps(head).encode(), b"\n", *blocks))
        return _BEGINNING + struct.pack("<I", zlib.crc32(content)) + content

    @classmethod
    def of_bytes(cls, saved: bytes, name: str = "part") -> Self:
        """The inverse of `to_bytes`.

        Raises:
            SegError: not such bytes, or damaged ones.
        """
        start = len(_BEGINNING) + 4
        content = memoryview(saved)[start:]
        checksum = int.from_bytes(saved[start - 4 : start], "little")
        if not saved.startswith(_BEGINNING) or zlib.crc32(content) != checksum:
            raise SegError(
                f"{name}: not a part of a verification, or a damaged one. Verify the "
                "part again."
            )
        at = saved.index(b"\n", start) + 1
        key, files_read, lengths = json.loads(saved[start:at])
        part = cls(key)
        part.files_read = files_read
        blocks = []
        for length in lengths:
            blocks.append(bytearray(saved[at : at + length]))
            at += length
        part._heads, part._ids, part._pixels, texts = blocks
        place = 0
        while place < len(texts):
            end = place + 4 + int.from_bytes(texts[place : place + 4], "little")
            part._texts.setdefault(bytes(texts[place + 4 : end]), len(part._texts))
            place = end
        return part
