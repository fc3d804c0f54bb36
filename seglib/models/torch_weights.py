"""Reads a PyTorch state dict without PyTorch, and without executing anything.

Three layouts: PyTorch's original (five pickles in a row: magic number, protocol,
system, state dict, storage keys, and then, for each key, an int64 count and the raw
little-endian numbers), its zip archive (one pickle, and a file of numbers for each
storage), and safetensors (a JSON header and raw numbers). A pickle may name any
callable; this reader answers only the names that a state dict needs, each with an
inert class of its own, and refuses every other.
"""

import hashlib
import io
import json
import math
import pickle
import zipfile
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from seglib.errors import SegError
from seglib.storage.files import read_file

_MAGIC = 0x1950A86A20F9469CFC6C
_ZIP = b"PK\x03\x04"
_STORAGES: dict[str, np.dtype] = {
    "FloatStorage": np.dtype("<f4"),
    "LongStorage": np.dtype("<i8"),
}
_SAFETENSORS: dict[str, np.dtype] = {
    "F32": np.dtype("<f4"),
    "F16": np.dtype("<f2"),
    "I64": np.dtype("<i8"),
}
_MAX_HEADER = 100 << 20  # bytes, as in safetensors itself


def read_state_dict(path: Path, *, sha256: str | None = None) -> dict[str, np.ndarray]:
    """Read the tensors of a checkpoint file.

    Args:
        path: a `.pth`, `.bin` or `.safetensors` file.
        sha256: hexadecimal digest that the file must have. Default: any.

    Returns:
        Arrays by parameter name, in PyTorch's axis order.

    Raises:
        SegError: no such file, another digest, or a file that is not a state dict.
    """
    try:
        content = read_file(Path(path))
    except OSError as error:
        raise SegError(f"{path}: cannot be read ({error.strerror}).") from error
    received = hashlib.sha256(content).hexdigest()
    if sha256 and received != sha256:
        raise SegError(
            f"{path}: these are not the pinned weights. Expected: sha256 {sha256}. "
            f"Received: {received}. Install the package again."
        )
    try:
        if content.startswith(_ZIP):
            return _read_zip(content)
        if content[8:9] == b"{":
            return _read_safetensors(content)
        return _read(io.BytesIO(content))
    except (
        *(pickle.UnpicklingError, EOFError, IndexError, KeyError, TypeError),
        *(ValueError, AttributeError, zipfile.BadZipFile),
    ) as error:
        raise SegError(f"{path}: not a plain PyTorch state dict ({error}).") from error


@dataclass
class _Storage:
    """The numbers of one or more tensors; filled in after the pickles are read."""

    dtype: np.dtype
    count: int
    numbers: np.ndarray | None = None


@dataclass
class _Tensor:
    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]  # in numbers, not bytes

    def array(self) -> np.ndarray:
        if self.storage.numbers is None:
            raise pickle.UnpicklingError("a storage is missing")
        numbers = self.storage.numbers[self.offset :]
        strides = tuple(step * numbers.itemsize for step in self.stride)
        view = np.lib.stride_tricks.as_strided(numbers, self.shape, strides)
        return np.ascontiguousarray(view)


class _StateDictUnpickler(pickle.Unpickler):
    def __init__(self, stream: Any):
        super().__init__(stream)
        self.storages: dict[str, _Storage] = {}

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _rebuild
        if module == "torch" and name in _STORAGES:
            return _STORAGES[name]
        raise pickle.UnpicklingError(f"`{module}.{name}` is refused")

    def persistent_load(self, pid: Any) -> _Storage:
        kind, dtype, key, _device, count, *view = pid
        if kind != "storage" or view not in ([], [None]):
            raise pickle.UnpicklingError(f"unknown reference {kind!r}")
        return self.storages.setdefault(key, _Storage(dtype, count))


def _rebuild(
    storage: _Storage,
    offset: int,
    shape: tuple[int, ...],
    stride: tuple[int, ...],
    _requires_grad: bool,
    _hooks: Any,
) -> _Tensor:
    last = offset + sum((n - 1) * step for n, step in zip(shape, stride, strict=True))
    if min(shape, default=1) < 1 or min(stride, default=0) < 0 or last >= storage.count:
        raise pickle.UnpicklingError(f"a tensor of shape {shape} leaves its storage")
    return _Tensor(storage, offset, shape, stride)


def _read(stream: io.BytesIO) -> dict[str, np.ndarray]:
    if _StateDictUnpickler(stream).load() != _MAGIC:
        raise pickle.UnpicklingError("wrong magic number")
    for _ in ("protocol", "system"):
        _StateDictUnpickler(stream).load()
    unpickler = _StateDictUnpickler(stream)
    tensors = unpickler.load()
    for key in _StateDictUnpickler(stream).load():
        storage = unpickler.storages[key]
        count = int(np.frombuffer(stream.read(8), "<i8")[0])
        if count != storage.count:
            raise pickle.UnpicklingError(f"storage {key} has {count} numbers")
        content = stream.read(count * storage.dtype.itemsize)
        if len(content) != count * storage.dtype.itemsize:
            raise EOFError(f"storage {key} is cut short")
        storage.numbers = np.frombuffer(content, storage.dtype)
    return {name: tensor.array() for name, tensor in tensors.items()}


def _read_zip(content: bytes) -> dict[str, np.ndarray]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        (pickled,) = (n for n in archive.namelist() if n.endswith("/data.pkl"))
        folder = pickled.removesuffix("data.pkl")
        unpickler = _StateDictUnpickler(io.BytesIO(archive.read(pickled)))
        tensors = unpickler.load()
        for key, storage in unpickler.storages.items():
            numbers = np.frombuffer(archive.read(f"{folder}data/{key}"), storage.dtype)
            if len(numbers) != storage.count:
                raise pickle.UnpicklingError(
                    f"storage {key} has {len(numbers)} numbers"
                )
            storage.numbers = numbers
    return {name: tensor.array() for name, tensor in tensors.items()}


def _read_safetensors(content: bytes) -> dict[str, np.ndarray]:
    start = 8 + int.from_bytes(content[:8], "little")
    if start > min(len(content), _MAX_HEADER):
        raise EOFError("its header is cut short")
    tensors = {}
    for name, entry in json.loads(content[8:start]).items():
        if name == "__metadata__":
            continue
        if entry["dtype"] not in _SAFETENSORS:
            raise TypeError(f"`{name}` is of type {entry['dtype']}")
        begin, end = (start + offset for offset in entry["data_offsets"])
        dtype = _SAFETENSORS[entry["dtype"]]
        shape = tuple(entry["shape"])
        if not start <= begin <= end <= len(content):
            raise EOFError(f"`{name}` is cut short")
        if end - begin != math.prod(shape) * dtype.itemsize:
            raise ValueError(f"`{name}` has {end - begin} bytes, its shape is {shape}")
        tensors[name] = np.frombuffer(content[begin:end], dtype).reshape(shape)
    return tensors
