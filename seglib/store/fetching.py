"""A dataset, or a part of it, from a remote to this machine; every md5 checked."""

import difflib
import hashlib
import json
import os
import re
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from seglib.errors import DatasetError, SegError
from seglib.store.folders import Entry, hash_entries, hash_file, list_folder
from seglib.store.pins import require_hash
from seglib.store.remotes import (
    OBJECTS,
    THREADS,
    BrokenOffError,
    FolderRemote,
    MissingObjectError,
    Remote,
    open_remote,
)

_ATTEMPTS = 3  # of one object whose stream breaks off
_TICK_S = 0.2  # between two reports of progress
_FILE_HASH = re.compile(r"[0-9a-f]{32}")


def fetch(
    data_md5: str,
    remote: str,
    *,
    paths: Iterable[str] | None = None,
    prefixes: Iterable[str] | None = None,
    cache: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Bring a dataset, or a part of it, onto this machine.

    Every file's md5 is checked, whether it is read from the remote or lies in the
    cache already; what is right in the cache is not moved again.

    Args:
        data_md5: the dataset's hash, `<md5>.dir`.
        remote: s3://bucket/prefix or a folder, in DVC's layout; or the dataset's
            own folder, which is then checked and returned as it is.
        paths: the files that are wanted. Default: all.
        prefixes: beginnings of wanted paths, such as `train_`; adds to `paths`.
        cache: where fetched datasets are kept. Default: the environment's
            SEGLIB_CACHE, else ~/.cache/seglib.
        progress: called with the files that are done and those that are wanted.

    Returns:
        The folder that holds the wanted files, and perhaps others of the dataset.

    Raises:
        SegError: a remote that cannot be reached, or objects that are missing or
            damaged; names them, with the expected and the received md5.
    """
    source = open_remote(remote)
    entries = _wanted(_entries(source, data_md5), paths, prefixes, data_md5)
    if isinstance(source, FolderRemote) and not source.holds_objects:
        if progress:
            progress(len(entries), len(entries))
        return source.root
    cache = Path(cache or os.environ.get("SEGLIB_CACHE") or "~/.cache/seglib")
    root = cache.expanduser() / "datasets" / data_md5.removesuffix(".dir")
    beside = cache.expanduser() / "partial"
    try:
        root.mkdir(parents=True, exist_ok=True)
        beside.mkdir(parents=True, exist_ok=True)
        _fetch_all(source, entries, root, beside, progress)
    except OSError as error:
        raise SegError(
            f"{cache}: the dataset cannot be kept here ({error.strerror}). Choose "
            "another folder by the environment variable SEGLIB_CACHE."
        ) from error
    return root


def with_sizes(entries: Iterable[Entry], remote: str) -> tuple[Entry, ...]:
    """The entries with the sizes that the remote knows; nothing is downloaded.

    An entry without a size afterwards has no object on the remote.
    """
    entries, source = tuple(entries), open_remote(remote)
    if isinstance(source, FolderRemote) and not source.holds_objects:
        return entries
    sizes = source.sizes({_object_key(entry.md5) for entry in entries})
    return tuple(replace(e, size=sizes.get(_object_key(e.md5))) for e in entries)


def missing_files(data_md5: str, remote: str) -> list[str]:
    """Paths of a dataset's files that the remote lacks; nothing is downloaded.

    Where the listing itself is missing, it is the only one that can be named.

    Raises:
        SegError: the remote cannot be reached, or its listing is damaged.
    """
    source = open_remote(remote)
    if isinstance(source, FolderRemote) and not source.holds_objects:
        _plain_entries(source.root, data_md5)
        return []
    listing = _object_key(require_hash(data_md5))
    if not source.sizes([listing]):
        return [f"{source.name(listing)} (the listing of the dataset)"]
    entries = with_sizes(_entries(source, data_md5), remote)
    return [f"{e.path} ({e.md5})" for e in entries if e.size is None]


def manifest_entries(data_md5: str, remote: str) -> tuple[Entry, ...]:
    """The files of a dataset, by its verified manifest.

    Args:
        data_md5: the dataset's hash, `<md5>.dir`.
        remote: as for `fetch`.

    Raises:
        SegError: the manifest is missing or damaged, or names files outside of the
            dataset; or the plain folder is not the dataset of this hash.
    """
    return _entries(open_remote(remote), data_md5)


def _entries(source: Remote, data_md5: str) -> tuple[Entry, ...]:
    require_hash(data_md5)
    if isinstance(source, FolderRemote) and not source.holds_objects:
        return _plain_entries(source.root, data_md5)
    key, content = _object_key(data_md5), bytearray()
    md5 = data_md5.removesuffix(".dir")
    if problem := _copy(source, key, md5, content.extend, content.clear):
        raise SegError(f"The manifest of the dataset: {problem}")
    try:
        return tuple(_parse_entry(item) for item in json.loads(content))
    except (ValueError, KeyError, TypeError) as error:
        raise SegError(
            f"{source.name(key)}: not a manifest of a dataset: {error}. Nothing was "
            "fetched."
        ) from error


def _plain_entries(root: Path, data_md5: str) -> tuple[Entry, ...]:
    entries = list_folder(root)
    received = hash_entries(entries)
    if received != data_md5:
        raise SegError(
            f"{root}: not the pinned dataset. Expected md5: {data_md5}. Received: "
            f"{received} ({len(entries)} files). Restore the files, pin them anew with "
            f"`dvc add`, or name a DVC remote (a folder that holds {OBJECTS}/)."
        )
    return entries


def _parse_entry(item: dict[str, Any]) -> Entry:
    path, md5 = str(item["relpath"]), str(item["md5"])
    parts = PurePosixPath(path).parts
    outside = not parts or path.startswith("/") or ".." in parts
    if outside or "\\" in path or "\0" in path or ":" in parts[0]:
        raise ValueError(f"the path {path!r} leads out of the dataset's folder")
    if not _FILE_HASH.fullmatch(md5):
        raise ValueError(f"{path} has the md5 {md5!r}, which is none")
    return Entry("/".join(parts), md5, item.get("size"))


def _wanted(
    entries: tuple[Entry, ...],
    paths: Iterable[str] | None,
    prefixes: Iterable[str] | None,
    data_md5: str,
) -> tuple[Entry, ...]:
    if paths is None and prefixes is None:
        return entries
    names, beginnings = set(paths or ()), tuple(prefixes or ())
    known = {entry.path for entry in entries}
    for name in sorted(names - known):
        near = difflib.get_close_matches(name, known, n=1)
        hint = f" Did you mean {near[0]}?" if near else ""
        raise SegError(f"{name}: not a file of the dataset {data_md5}.{hint}")
    for beginning in beginnings:
        if not any(path.startswith(beginning) for path in known):
            raise SegError(f"{beginning}*: the dataset {data_md5} has no such files.")
    return tuple(e for e in entries if e.path in names or e.path.startswith(beginnings))


def _fetch_all(
    source: Remote,
    entries: tuple[Entry, ...],
    root: Path,
    beside: Path,
    progress: Callable[[int, int], None] | None,
) -> None:
    """Fetch in parallel; gather damaged objects, stop at once at anything else."""
    problems: list[str] = []
    pool = ThreadPoolExecutor(THREADS, thread_name_prefix="fetch")
    try:
        pending = {pool.submit(_fetch_one, source, e, root, beside) for e in entries}
        while pending:
            done, pending = wait(pending, timeout=_TICK_S)
            problems += [problem for future in done if (problem := future.result())]
            if progress:
                progress(len(entries) - len(pending), len(entries))
    finally:
        pool.shutdown(cancel_futures=True)
    if problems:
        raise DatasetError(
            f"{len(problems)} of {len(entries)} files cannot be fetched; the others "
            "are kept.",
            sorted(problems),
        )


def _fetch_one(source: Remote, entry: Entry, root: Path, beside: Path) -> str:
    """Bring one file; returns what is wrong with its object, or nothing."""
    target = root / entry.path
    if target.is_file() and hash_file(target) == entry.md5:
        return ""
    part = beside / f"{entry.md5}.{os.getpid()}.{threading.get_ident()}"
    try:
        with part.open("wb") as file:
            problem = _copy(
                source,
                _object_key(entry.md5),
                entry.md5,
                file.write,
                lambda: file.truncate(file.seek(0)),
            )
        if problem:
            return f"{entry.path}: {problem}"
        target.parent.mkdir(parents=True, exist_ok=True)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
    return ""


def _copy(
    source: Remote,
    key: str,
    md5: str,
    write: Callable[[bytes], object],
    restart: Callable[[], object],
) -> str:
    """Hand an object's bytes on; returns what is wrong with it, or nothing."""
    try:
        received = _read(source, key, write, restart)
    except MissingObjectError:
        return (
            f"{source.name(key)} is missing. `dvc push` from a machine that has the "
            "data brings it back."
        )
    if received == md5:
        return ""
    return (
        f"{source.name(key)} is damaged. Expected md5: {md5}. Received: {received}. "
        "Delete the object and `dvc push` from a machine that has the data."
    )


def _read(
    source: Remote,
    key: str,
    write: Callable[[bytes], object],
    restart: Callable[[], object],
) -> str:
    """The md5 of what was read, in up to `_ATTEMPTS` attempts."""
    for attempt in range(1, _ATTEMPTS + 1):
        restart()
        digest = hashlib.md5(usedforsecurity=False)
        try:
            for chunk in source.chunks(key):
                digest.update(chunk)
                write(chunk)
        except BrokenOffError as error:
            if attempt == _ATTEMPTS:
                raise SegError(
                    f"{source.name(key)}: the connection broke off {attempt} times "
                    f"({error}). Try again; what has been fetched is kept."
                ) from error
        else:
            break
    return digest.hexdigest()


def _object_key(md5: str) -> str:
    return f"{OBJECTS}/{md5[:2]}/{md5[2:]}"
