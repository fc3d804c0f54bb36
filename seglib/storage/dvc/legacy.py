"""The layout of DVC 2: objects at xx/…, text files under the md5 of their Unix form.

DVC 3 uses this layout for pins without `hash: md5`. A pod has no pin, so a dataset is
read this way if its listing lies at DVC 2's place and not at DVC 3's.
"""

import hashlib
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from seglib.storage.backends.base import OBJECTS, Moved, Remote, Stored

_BLOCK, _BEGINNING = 1 << 20, 512  # bytes: of DVC's reading, and of its guess
_TEXT = bytes(range(32, 127)) + b"\n\r\t\f\b"


class LegacyRemote:
    """A remote read in DVC 2's layout alone."""

    def __init__(self, remote: Remote):
        self._remote = remote

    def name(self, key: str) -> str:
        return self._remote.name(_place(key))

    def chunks(self, key: str, *, start: int = 0) -> Iterator[bytes]:
        return self._remote.chunks(_place(key), start=start)

    def small(self, keys: Iterable[str]) -> Iterator[tuple[str, bytearray]]:
        by_place = {_place(key): key for key in keys}
        for place, content in self._remote.small(by_place):
            yield by_place[place], content

    def read(self, key: str) -> Stored:
        return self._remote.read(_place(key))

    def write(
        self,
        key: str,
        source: bytes | Path,
        *,
        if_absent: bool = False,
        if_match: str | None = None,
        md5: str | None = None,
        moved: Moved | None = None,
    ) -> str:
        return self._remote.write(
            _place(key),
            source,
            if_absent=if_absent,
            if_match=if_match,
            md5=md5,
            moved=moved,
        )

    def delete(self, key: str) -> None:
        self._remote.delete(_place(key))

    def sizes(self, keys: Collection[str]) -> dict[str, int]:
        by_place = {_place(key): key for key in keys}
        found = self._remote.sizes(by_place.keys())
        return {by_place[place]: size for place, size in found.items()}


class UnixDigest:
    """DVC 2's md5: of a text's Unix form, block by block, as DVC guesses what text is.

    Reference: dvc_data.hashfile.hash.Dos2UnixHashStreamFile
    """

    def __init__(self) -> None:
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._waiting = bytearray()

    def update(self, content: bytes) -> None:
        self._waiting += content
        while len(self._waiting) >= _BLOCK:
            self._take(bytes(self._waiting[:_BLOCK]))
            del self._waiting[:_BLOCK]

    def hexdigest(self) -> str:
        """The digest; nothing is added after it."""
        self._take(bytes(self._waiting))
        self._waiting.clear()
        return self._md5.hexdigest()

    def _take(self, block: bytes) -> None:
        is_text = _is_text(block[:_BEGINNING])
        self._md5.update(block.replace(b"\r\n", b"\n") if is_text else block)


def _is_text(beginning: bytes) -> bool:
    if b"\0" in beginning:
        return False
    strange = beginning.translate(None, _TEXT)
    return not beginning or len(strange) / len(beginning) <= 0.3


def _place(key: str) -> str:
    return key.removeprefix(f"{OBJECTS}/")
