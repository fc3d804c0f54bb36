"""Fetch a dataset, or a part of it, from a remote; every md5 is checked."""

import difflib
import os
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from seglib.environment import CACHE
from seglib.errors import DatasetError, SegError
from seglib.storage.backends.base import Moved, Remote
from seglib.storage.backends.local import is_own_folder
from seglib.storage.content_cache import ContentCache, clear_left
from seglib.storage.dvc.directory_hashes import Entry
from seglib.storage.dvc.listings import find_entries
from seglib.storage.fast_fetch import bring_small
from seglib.storage.file_lock import file_lock
from seglib.storage.parallel import Progress, in_parallel
from seglib.storage.remotes import open_remote


def fetch(
    data_md5: str,
    remote: str,
    *,
    paths: Iterable[str] | None = None,
    prefixes: Iterable[str] | None = None,
    cache: Path | None = None,
    progress: Progress | None = None,
    moved: Moved | None = None,
) -> Path:
    """Fetch a dataset, or a part of it, to this machine.

    The md5 of every file is checked, whether it comes from the remote or is cached.
    Cached files are not transferred again.

    Args:
        data_md5: the dataset's hash, `<md5>.dir`.
        remote: s3://bucket/prefix or a folder, in DVC's layout; or the dataset's
            own folder, which is then checked and returned as it is.
        paths: the files that are wanted. Default: all.
        prefixes: beginnings of wanted paths, such as `train_`; adds to `paths`.
        cache: where fetched datasets are kept. Default: the environment's
            SEGLIB_CACHE, else ~/.cache/seglib.
        progress: called with the files that are done and those that are wanted.
        moved: called with the bytes of each piece that has come, by any thread.

    Returns:
        The folder that holds the wanted files, and perhaps others of the dataset.

    Raises:
        SegError: a remote that cannot be reached, or objects that are missing or
            damaged; names them, with the expected and the received md5.
    """
    source, every = find_entries(open_remote(remote), data_md5)
    entries = _wanted(every, paths, prefixes, data_md5)
    if is_own_folder(source):
        if progress:
            progress(len(entries), len(entries))
        return source.root
    cache = cache_folder(cache)
    root = cache / "datasets" / data_md5.removesuffix(".dir")
    try:
        root.mkdir(parents=True, exist_ok=True)
        _fetch_all(source, entries, root, cache, progress, moved)
    except OSError as error:
        raise SegError(
            f"{cache}: the dataset cannot be kept here ({error.strerror}). Choose "
            "another folder by the environment variable SEGLIB_CACHE."
        ) from error
    return root


def cache_folder(cache: Path | None = None) -> Path:
    """The folder of fetched data on this machine; the default is that of `fetch`."""
    chosen = cache or os.environ.get(CACHE) or "~/.cache/seglib"
    return Path(chosen).expanduser()


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
    moved: Moved | None,
) -> None:
    """Fetch new files on the fast path, then the rest; gather damaged objects."""
    targets: dict[str, list[Path]] = {}
    for entry in entries:
        targets.setdefault(entry.md5, []).append(root / entry.path)
    for folder in {target.parent for paths in targets.values() for target in paths}:
        folder.mkdir(parents=True, exist_ok=True)

    quickly = 0  # files

    def report(md5s: Iterable[str]) -> None:
        files = sum(len(targets[md5]) for md5 in md5s)
        if progress:
            progress(quickly + files, len(entries))

    def add(md5s: Iterable[str]) -> None:
        nonlocal quickly
        quickly += sum(len(targets[md5]) for md5 in md5s)
        report(())

    with _alone(root.name, cache):
        kept = ContentCache(source, cache, root.name, moved)
        new = {md5: paths for md5, paths in targets.items() if kept.is_new(md5, paths)}
        brought = bring_small(source, kept, new, add)
        done = in_parallel(
            lambda md5, stop: (md5, kept.bring(md5, targets[md5], stop)),
            [md5 for md5 in targets if md5 not in brought],
            report=lambda done: report(md5 for md5, _ in done),
        )
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


@contextmanager
def _alone(name: str, cache: Path) -> Iterator[None]:
    """Wait for other processes that fetch the same dataset.

    Then their files need no transfer. Partial files of killed processes are removed.
    """
    locks = cache / "locks"
    locks.mkdir(parents=True, exist_ok=True)
    own = locks / name
    own.touch()  # the garbage collector reads its time as that of the last use
    with ExitStack() as held:
        with suppress(OSError):  # no locks on this file system: bring everything
            held.enter_context(file_lock(own))
            clear_left(cache, name)
        yield
