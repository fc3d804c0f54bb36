"""A dataset, or a part of it, from a remote to this machine; every md5 checked."""

import difflib
import os
import shutil
import uuid
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from threading import Event

from seglib.errors import DatasetError, SegError
from seglib.store.disk import FolderRemote
from seglib.store.folders import Entry, hash_file
from seglib.store.listings import read_entries
from seglib.store.objects import Remote, object_key
from seglib.store.parallel import Progress, in_parallel
from seglib.store.reading import copy_checked
from seglib.store.remotes import open_remote


def fetch(
    data_md5: str,
    remote: str,
    *,
    paths: Iterable[str] | None = None,
    prefixes: Iterable[str] | None = None,
    cache: Path | None = None,
    progress: Progress | None = None,
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
    entries = _wanted(read_entries(source, data_md5), paths, prefixes, data_md5)
    if isinstance(source, FolderRemote) and not source.holds_objects:
        if progress:
            progress(len(entries), len(entries))
        return source.root
    cache = Path(cache or os.environ.get("SEGLIB_CACHE") or "~/.cache/seglib")
    root = cache.expanduser() / "datasets" / data_md5.removesuffix(".dir")
    try:
        root.mkdir(parents=True, exist_ok=True)
        _fetch_all(source, entries, root, cache.expanduser(), progress)
    except OSError as error:
        raise SegError(
            f"{cache}: the dataset cannot be kept here ({error.strerror}). Choose "
            "another folder by the environment variable SEGLIB_CACHE."
        ) from error
    return root


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
    cache: Path,
    progress: Progress | None,
) -> None:
    """Fetch in parallel; gather damaged objects, stop at once at anything else."""
    targets: dict[str, list[Path]] = {}
    for entry in entries:
        targets.setdefault(entry.md5, []).append(root / entry.path)
    for folder in {target.parent for paths in targets.values() for target in paths}:
        folder.mkdir(parents=True, exist_ok=True)
    (cache / "partial").mkdir(exist_ok=True)

    def fetch_one(md5: str, stop: Event) -> tuple[str, str]:
        return md5, _fetch_one(source, md5, targets[md5], cache, stop)

    def report(done: list[tuple[str, str]]) -> None:
        if progress:
            progress(sum(len(targets[md5]) for md5, _ in done), len(entries))

    done = in_parallel(fetch_one, targets, report=report)
    problems = [
        f"{path.relative_to(root).as_posix()}: {problem}"
        for md5, problem in done
        if problem
        for path in targets[md5]
    ]
    if problems:
        raise DatasetError(
            f"{len(problems)} of {len(entries)} files cannot be fetched; the others "
            "are kept.",
            sorted(problems),
        )


def _fetch_one(
    source: Remote, md5: str, targets: list[Path], cache: Path, stop: Event
) -> str:
    """Bring the files of one content; returns what is wrong with it, or nothing.

    The cache keeps each content once, and the datasets' files are links to it: what
    two versions of a dataset share is moved and stored once.
    """
    missing = [path for path in targets if not _is_right(path, md5)]
    if not missing:
        return ""
    kept = cache / object_key(md5)
    if not _is_right(kept, md5):
        problem = _bring(source, md5, kept, cache / "partial", stop)
        if problem:
            return problem
    for target in missing:
        _link(kept, target, cache / "partial")
    return ""


def _is_right(path: Path, md5: str) -> bool:
    try:
        return hash_file(path) == md5
    except (FileNotFoundError, IsADirectoryError):
        return False


def _bring(source: Remote, md5: str, target: Path, beside: Path, stop: Event) -> str:
    part = beside / f"{md5}.{uuid.uuid4().hex}"
    try:
        with part.open("wb") as file:
            problem = copy_checked(
                source,
                object_key(md5),
                md5,
                write=file.write,
                restart=lambda: file.truncate(file.seek(0)),
                stop=stop,
            )
        if not problem:
            target.parent.mkdir(parents=True, exist_ok=True)
            part.replace(target)
    finally:
        part.unlink(missing_ok=True)
    return problem


def _link(kept: Path, target: Path, beside: Path) -> None:
    """Let the target be this file, in one move, whatever was there."""
    part = beside / f"{kept.name}.{uuid.uuid4().hex}"
    try:
        try:
            os.link(kept, part)
        except OSError:  # no hard links here, or too many of this file
            shutil.copyfile(kept, part)
        part.replace(target)
    finally:
        with suppress(OSError):
            part.unlink()
