"""What a checkpoint holds, and its file, whose checksum proves that it is complete."""

import hashlib
import json
import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Self

import keras
import numpy as np

_MAGIC = b"seglib checkpoint 1\n"
_CHECKSUM_BYTES = hashlib.sha256().digest_size


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """The state of a training between two steps.

    facts: JSON values; numbers keep every bit.
    arrays: by name, the values of some variables in their order.
    """

    facts: dict[str, Any]
    arrays: dict[str, list[np.ndarray]]

    @property
    def is_outcome(self) -> bool:
        """Whether training had ended: then it is the best weights and the history."""
        return bool(self.facts.get("is_outcome", False))

    @property
    def rank(self) -> tuple[int, bool]:
        """Of two snapshots of a training, the newer one has the greater rank."""
        return self.facts["step"], self.is_outcome

    def to_bytes(self) -> bytes:
        """The file: magic, length of the head, head (JSON), values, SHA-256 of it all.

        The values follow each other as they lie in memory.
        """
        layout = {
            name: [(array.dtype.name, array.shape) for array in arrays]
            for name, arrays in self.arrays.items()
        }
        head = json.dumps({"facts": self.facts, "layout": layout}).encode()
        chunks: list[bytes | memoryview]
        chunks = [_MAGIC, struct.pack("<Q", len(head)), head, *self._buffers()]
        digest = hashlib.sha256()
        for chunk in chunks:
            digest.update(chunk)
        return b"".join([*chunks, digest.digest()])

    @classmethod
    def from_bytes(cls, content: bytes) -> Self:
        """The inverse of `to_bytes`; the arrays are views of `content`.

        Raises:
            ValueError: not a checkpoint, or not a complete one.
        """
        if not content.startswith(_MAGIC[: len(content)]) or not content:
            raise ValueError(f"not a checkpoint, {len(content):,} bytes")
        body = memoryview(content)[:-_CHECKSUM_BYTES]
        received = hashlib.sha256(body).digest()
        if received != content[len(body) :]:
            raise ValueError(f"broken: its checksum differs, {len(content):,} bytes")
        try:
            head, end = _head(body)
            arrays: dict[str, list[np.ndarray]] = {}
            for name, layout in head["layout"].items():
                arrays[name] = []
                for dtype, shape in layout:
                    arrays[name].append(_array(body, end, dtype, shape))
                    end += arrays[name][-1].nbytes
            return cls(facts=dict(head["facts"]), arrays=arrays)
        except Exception as error:  # a checksum says nothing of what it is the sum of
            reason = f"{type(error).__name__}: {error}"
            raise ValueError(f"malformed: {reason[:200]}") from error

    @staticmethod
    def facts_of(beginning: bytes) -> dict[str, Any]:
        """The facts in the head of a file, whose rest need not be there; unchecked.

        Raises:
            ValueError: not the beginning of a checkpoint.
        """
        if not beginning.startswith(_MAGIC) or len(beginning) < len(_MAGIC) + 8:
            raise ValueError("not a checkpoint")
        facts: dict[str, Any] = _head(memoryview(beginning))[0]["facts"]
        return facts

    def _buffers(self) -> Iterator[memoryview]:
        for arrays in self.arrays.values():
            for array in arrays:
                yield np.ascontiguousarray(array).reshape(-1).view(np.uint8).data


def values(variables: Iterable[keras.Variable]) -> list[np.ndarray]:
    """Copies of the values of some variables."""
    return [keras.ops.convert_to_numpy(variable) for variable in variables]


def restore(variables: Sequence[keras.Variable], arrays: Sequence[np.ndarray]) -> None:
    """Assign to each variable its value.

    Raises:
        ValueError: other variables than those that gave the values.
    """
    for variable, array in zip(variables, arrays, strict=True):
        variable.assign(array)


def _head(content: memoryview) -> tuple[dict[str, Any], int]:
    """The head of a file, and where its values begin."""
    start = len(_MAGIC) + 8
    (length,) = struct.unpack_from("<Q", content, len(_MAGIC))
    return json.loads(bytes(content[start : start + length])), start + length


def _array(
    content: memoryview, start: int, dtype: str, shape: Sequence[int]
) -> np.ndarray:
    kind = np.dtype(dtype)
    if kind.kind in "OSUmM":
        raise TypeError(f"an array of {kind}")
    count = int(np.prod(shape, dtype=np.int64))
    return np.frombuffer(content, kind, count, start).reshape(shape)
