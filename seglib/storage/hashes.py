"""A folder's files and its hash, as DVC 3 and DVC 2 compute them.

DVC 2 hashed texts in their Unix form. Its pins have no `hash: md5`.
"""

import errno
import hashlib
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

from seglib.errors import SegError
from seglib.storage.documents import MAX_BYTES
from seglib.storage.files import open_file, read_file

FOLDER_HASH = re.compile(r"[0-9a-f]{32}\.dir")

_IGNORED = frozenset({".git", ".hg", ".dvc"})  # by DVC, too
_BLOCK, _BEGINNING = 1 << 20, 512  # bytes: of DVC 2's reading, and of its guess
_TEXT = bytes(range(32, 127)) + b"\n\r\t\f\b"


@dataclass(frozen=True)
class Entry:
    """A file of a dataset. `path` is relative and posix; `size` in bytes if known."""

    path: str
    md5: str
    size: int | None = None


def hash_folder(root: Path, *, dvcignore: bool = False, is_legacy: bool = False) -> str:
    """The hash that `dvc add` gives a folder, `<md5>.dir`; see `list_folder`."""
    return hash_entries(list_folder(root, dvcignore=dvcignore, is_legacy=is_legacy))


def list_folder(
    root: Path, *, dvcignore: bool = False, is_legacy: bool = False
) -> tuple[Entry, ...]:
    """Every file under a folder with its md5 and size, in DVC's order.

    Args:
        root: the folder.
        dvcignore: leave out what `.dvcignore` names, as DVC does.
        is_legacy: hash as DVC 2.

    Raises:
        SegError: no such folder, or a file in it cannot be read.
    """
    root = Path(root)
    if not root.is_dir():
        raise SegError(f"{root}: no such folder.")
    try:
        files = list(_all_files(root))
        if dvcignore:
            is_ignored = ignored_in(root)
            files = [file for file in files if not is_ignored(file.relative_to(root))]
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            hashes = list(pool.map(partial(hash_file, is_legacy=is_legacy), files))
        entries = [
            Entry(path.relative_to(root).as_posix(), md5, path.stat().st_size)
            for path, md5 in zip(files, hashes, strict=True)
        ]
    except OSError as error:
        reason = f"cannot be read ({error.strerror})."
        raise SegError(f"{error.filename}: {reason}") from error
    return tuple(sorted(entries, key=lambda entry: entry.path))


def _all_files(
    folder: Path, above: frozenset[tuple[int, int]] = frozenset()
) -> Iterator[Path]:
    """All files under a folder, also through links to folders, but in no circle."""
    status = folder.stat()
    here = (status.st_dev, status.st_ino)
    if here in above:
        reason = "it is a link to a folder that holds it"
        raise OSError(errno.ELOOP, reason, os.fspath(folder))
    for path in folder.iterdir():
        if path.name in _IGNORED:
            continue
        if path.is_dir():
            yield from _all_files(path, above | {here})
        else:
            yield path


def links_left_out(root: Path) -> str:
    """What to say of links to folders, which are followed here, and not by DVC."""
    found = [
        (Path(folder) / name).relative_to(root).as_posix()
        for folder, names, _ in os.walk(root)
        for name in names
        if (Path(folder) / name).is_symlink()
    ]
    if not found:
        return ""
    return (
        f"DVC leaves out the links to folders: {', '.join(sorted(found))}. Put the "
        "folders themselves in their place."
    )


def hash_entries(entries: Iterable[Entry]) -> str:
    """The hash of DVC's listing of these files: `<md5>.dir`."""
    return hashlib.md5(listing(entries), usedforsecurity=False).hexdigest() + ".dir"


def listing(entries: Iterable[Entry]) -> bytes:
    """DVC's listing of these files, to the byte."""
    files = [{"md5": entry.md5, "relpath": entry.path} for entry in entries]
    return json.dumps(files, sort_keys=True).encode()


def hash_file(path: Path, *, is_legacy: bool = False) -> str:
    """The md5 of a file's bytes, in hexadecimal digits; DVC 2's of a text's."""
    digest = new_digest(is_legacy=is_legacy)
    with open_file(path) as file:
        while chunk := file.read(_BLOCK):
            digest.update(chunk)
    return digest.hexdigest()


def new_digest(*, is_legacy: bool) -> "hashlib._Hash | UnixDigest":
    """A digest of the md5 under which DVC 3, or DVC 2, stores some bytes."""
    return UnixDigest() if is_legacy else hashlib.md5(usedforsecurity=False)


def require_hash(data_md5: str, *, where: str = "") -> str:
    """The hash of a folder; for another, a SegError that begins with `where`."""
    if not FOLDER_HASH.fullmatch(data_md5):
        raise SegError(
            f"{where}expected the hash of a folder, 32 hexadecimal digits and `.dir`. "
            f"Received: md5={data_md5!r}. Pin the whole dataset folder with `dvc add`."
        )
    return data_md5


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
        beginning = block[:_BEGINNING]
        strange = beginning.translate(None, _TEXT)
        is_text = b"\0" not in beginning and (
            not beginning or len(strange) / len(beginning) <= 0.3
        )
        if is_text:
            block = block.replace(b"\r\n", b"\n")
        self._md5.update(block)


def repository_of(place: Path) -> Path | None:
    """The DVC repository around a path: the nearest folder with `.dvc/`."""
    place = place.resolve()
    return next((p for p in (place, *place.parents) if (p / ".dvc").is_dir()), None)


def ignored_in(root: Path) -> Callable[[Path], bool]:
    """A function that tells whether DVC ignores a file of a folder.

    The `.dvcignore` of the folders from the repository's root to this one count; DVC
    takes no folder that has such a file inside.
    """
    root = root.resolve()
    repository = repository_of(root.parent)
    if repository is None:
        return lambda _: False
    places = [p for p in root.parents if p.is_relative_to(repository)]
    rules = [rule for place in reversed(places) for rule in _rules(place)]

    def is_ignored(path: Path) -> bool:
        inside = root / path
        above = [p for p in inside.parents if p.is_relative_to(repository)]
        places = [*reversed(above[:-1]), inside]
        return any(_matches(place, rules, place != inside) for place in places)

    return is_ignored if rules else lambda _: False


class _Rule(NamedTuple):
    base: Path  # the folder of the file that states it
    path: re.Pattern[str]  # relative to it
    ignores: bool
    only_folders: bool


def _rules(folder: Path) -> Iterator[_Rule]:
    from pathspec.patterns.gitignore.spec import GitIgnoreSpecPattern  # as DVC

    try:
        content = read_file(folder / ".dvcignore", max_bytes=MAX_BYTES).decode()
    except (OSError, ValueError):
        return
    for line in map(str.strip, content.splitlines()):
        try:
            expression, ignores = GitIgnoreSpecPattern.pattern_to_regex(line)
        except ValueError:
            continue
        if expression and ignores is not None:
            yield _Rule(folder, re.compile(expression), ignores, line.endswith("/"))


def _matches(path: Path, rules: list[_Rule], is_folder: bool) -> bool:
    """Whether the last matching rule excludes it."""
    for rule in reversed(rules):
        if rule.base in path.parents and (is_folder or not rule.only_folders):
            name = path.relative_to(rule.base).as_posix()
            names = (name, f"{name}/") if is_folder else (name,)
            if any(map(rule.path.match, names)):
                return rule.ignores
    return False
