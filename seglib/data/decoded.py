"""Decoded pairs in one file: a training that does not fit the memory maps it instead.

The file lies in the cache under a key of its content, so that the next training of the
same images, and every process on the machine, reads the same one.
"""

import mmap
import os
import shutil
import weakref
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path

import numpy as np

from seglib.data.pairs import ImageAndMask
from seglib.errors import SegError
from seglib.hardware import usable_cores
from seglib.storage.atomic_write import file_lock, folder_beside

INDEX_FILE, PAIRS_FILE = "index.npy", "pairs.bin"

_AT_ONCE = 16  # pairs in work, and threads at most
_PAGE = mmap.ALLOCATIONGRANULARITY
_MOST_OF_DISK = 0.5  # of what is free and what decoded pairs take already


class DecodedPairsError(SegError):
    """Decoded pairs cannot be kept on the disk."""


class DecodedPairs:
    """Random access to the pairs of a folder that `open_decoded` wrote.

    Only the parts of an image that are looked at come from the disk, and no more of it
    stays in this process's memory than is in use.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        # Of each pair: offset in bytes, height, width, channels, bytes of an id.
        self._index = np.load(folder / INDEX_FILE)
        self._file = os.open(folder / PAIRS_FILE, os.O_RDONLY | os.O_CLOEXEC)
        weakref.finalize(self, os.close, self._file)

    def __len__(self) -> int:
        return len(self._index)

    def __getitem__(self, index: int) -> ImageAndMask:
        offset, height, width, channels, id_bytes = map(int, self._index[index])
        pixels = height * width
        mapped = mmap.mmap(
            self._file,
            pixels * (id_bytes + channels),
            access=mmap.ACCESS_READ,
            offset=offset,
        )
        mask = np.frombuffer(mapped, f"u{id_bytes}", pixels)
        image = np.frombuffer(mapped, np.uint8, offset=pixels * id_bytes)
        return image.reshape(height, width, channels), mask.reshape(height, width)


def open_decoded(
    place: Path,
    key: str,
    *,
    count: int,
    size_bytes: int,
    decode: Callable[[int], ImageAndMask],
) -> DecodedPairs:
    """Open the decoded pairs of a key, which are written unless they are there.

    Another process that writes the same ones is waited for. Older ones are removed, the
    longest unused first, if all together would take more than half of the free disk.

    Args:
        place: folder of all decoded pairs.
        key: hexadecimal, of everything that decides the pairs.
        count: of the pairs.
        size_bytes: estimate of what they take.
        decode: gives the pair of an index; called in several threads.

    Raises:
        DecodedPairsError: the disk is too small, or cannot be written.
        SegError: of `decode`.
    """
    folder = place / key
    try:
        place.mkdir(parents=True, exist_ok=True)
        with ExitStack() as held:
            with suppress(OSError):  # no locks on this file system: write it again
                held.enter_context(file_lock(place / f"{key}.lock"))
            if not _is_whole(folder):
                shutil.rmtree(folder, ignore_errors=True)
                _make_room(place, size_bytes)
                with folder_beside(folder) as new:
                    _write(new, count, decode)
                    if not folder.exists():  # written meanwhile, without a lock
                        new.rename(folder)
            os.utime(folder)  # the longest unused are removed first
            return DecodedPairs(folder)
    except OSError as error:
        raise DecodedPairsError(
            f"{place}: cannot be written ({error.strerror}). Free some space, or "
            "choose another disk by SEGLIB_CACHE."
        ) from error


def _is_whole(folder: Path) -> bool:
    """A power failure may leave a file of the right name without its content."""
    try:
        offset, height, width, channels, id_bytes = np.load(folder / INDEX_FILE)[-1]
        size_bytes = (folder / PAIRS_FILE).stat().st_size
    except (OSError, ValueError, EOFError):
        return False
    return bool(size_bytes >= offset + height * width * (channels + id_bytes))


def _make_room(place: Path, size_bytes: int) -> None:
    """Remove older decoded pairs until there is room.

    (A training that has them open keeps them until it ends.)

    Raises:
        DecodedPairsError: there is not enough.
    """
    known = sorted(_folders(place), key=lambda folder: folder.stat().st_mtime)
    sizes = {folder: (folder / PAIRS_FILE).stat().st_size for folder in known}
    taken, free = sum(sizes.values()), shutil.disk_usage(place).free
    allowed = int(_MOST_OF_DISK * (free + taken))
    if size_bytes > allowed:
        raise DecodedPairsError(
            f"{place} may take {allowed / 1e9:.1f} GB, half of what is free there. "
            "Free some space, or choose another disk by SEGLIB_CACHE."
        )
    for folder in known:
        if taken + size_bytes > allowed:
            shutil.rmtree(folder)
            taken -= sizes[folder]


def _folders(place: Path) -> Iterator[Path]:
    return (path.parent for path in place.glob(f"[!.]*/{INDEX_FILE}"))


def _write(folder: Path, count: int, decode: Callable[[int], ImageAndMask]) -> None:
    rows: list[Sequence[int]] = []
    threads = min(usable_cores(), _AT_ONCE)
    with (folder / PAIRS_FILE).open("wb") as file, ThreadPoolExecutor(threads) as pool:
        for start in range(0, count, _AT_ONCE):
            indices = range(start, min(start + _AT_ONCE, count))
            for image, mask in pool.map(decode, indices):
                rows.append((file.tell(), *image.shape, mask.itemsize))
                file.write(np.ascontiguousarray(mask).data)
                file.write(np.ascontiguousarray(image).data)
                file.write(bytes(-file.tell() % _PAGE))  # a map begins at a page
    np.save(folder / INDEX_FILE, np.array(rows, np.int64))
