"""Fetch a dataset, or a part of it, from a remote; every md5 is checked."""

import difflib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from seglib.errors import DatasetError, SegError
from seglib.storage.atomic_write import file_lock
from seglib.storage.backends import Moved, object_key
from seglib.storage.content_cache import ContentCache, clear_left
from seglib.storage.files import cache_folder
from seglib.storage.hashes import Entry
from seglib.storage.listings import Listing, read_listing
from seglib.storage.remotes import open_remote
from seglib.storage.transfers import Progress, in_parallel

_WRITERS = 4  # threads: some file systems answer late
_TOGETHER = 16  # contents, handed to a writer at once
_TOGETHER_BYTES = 4 << 20
_PENDING = 8  # of such groups at most, so that memory is bounded

_Targets = dict[str, list[Path]]  # the files of each content, by its md5
_Group = list[tuple[str, bytearray]]  # md5 and content


def fetch(
    data_md5: str,
    remote: str,
    *,
    paths: Iterable[str] | None = None,
    cache: Path | None = None,
    progress: Progress | None = None,
    moved: Moved | None = None,
) -> Path:
    """Fetch a dataset, or a part of it; the md5 of every file is checked.

    Args:
        data_md5: the dataset's hash, `<md5>.dir`.
        remote: s3://bucket/prefix or a folder, in DVC's layout; or the dataset's
            own folder, which is then checked and returned as it is.
        paths: the files that are wanted. Default: all.
        cache: where fetched files are kept. Default: that of `cache_folder`.
        progress: called with the files that are done and those that are wanted.
        moved: called with the bytes of each piece that has come, by any thread.

    Returns:
        The folder that holds the wanted files, and perhaps others of the dataset.

    Raises:
        SegError: the remote cannot be reached, or objects are missing or damaged; it
            names them, with the expected and the received md5.
    """
    listing = read_listing(open_remote(remote), data_md5)
    entries = listing.entries
    if paths is not None:
        entries = _wanted(listing, paths, data_md5)
    if listing.folder:
        if progress:
            progress(len(entries), len(entries))
        return listing.folder
    cache = cache_folder(cache)
    root = cache / "datasets" / data_md5.removesuffix(".dir")
    try:
        root.mkdir(parents=True, exist_ok=True)
        _fetch_all(listing, entries, root, cache, progress, moved)
    except OSError as error:
        raise SegError(
            f"{cache}: the dataset cannot be kept here ({error.strerror}). Choose "
            "another folder by the environment variable SEGLIB_CACHE."
        ) from error
    return root


def _wanted(listing: Listing, paths: Iterable[str], data_md5: str) -> tuple[Entry, ...]:
    names = set(paths)
    known = {entry.path for entry in listing.entries}
    for name in sorted(names - known):
        near = difflib.get_close_matches(name, known, n=1)
        hint = f" Did you mean {near[0]}?" if near else ""
        raise SegError(f"{name}: not a file of the dataset {data_md5}.{hint}")
    return tuple(entry for entry in listing.entries if entry.path in names)


def _fetch_all(
    listing: Listing,
    entries: tuple[Entry, ...],
    root: Path,
    cache: Path,
    progress: Progress | None,
    moved: Moved | None,
) -> None:
    """Fetch new files on the fast path, then the rest; gather damaged objects."""
    targets: _Targets = {}
    for entry in entries:
        targets.setdefault(entry.md5, []).append(root / entry.path)
    for folder in {target.parent for paths in targets.values() for target in paths}:
        folder.mkdir(parents=True, exist_ok=True)

    def report(files: int) -> None:
        if progress:
            progress(files, len(entries))

    with _alone(root.name, cache):
        kept = ContentCache(
            listing.source, cache, root.name, is_legacy=listing.is_legacy, moved=moved
        )
        brought = _bring_small(listing, kept, targets, report)
        quickly = _count(targets, brought)
        done = in_parallel(
            lambda md5, stop: (md5, kept.bring(md5, targets[md5], stop)),
            [md5 for md5 in targets if md5 not in brought],
            report=lambda done: report(quickly + _count(targets, (d[0] for d in done))),
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


def _count(targets: _Targets, md5s: Iterable[str]) -> int:
    return sum(len(targets[md5]) for md5 in md5s)


def _bring_small(
    listing: Listing,
    kept: ContentCache,
    targets: _Targets,
    report: Callable[[int], None],
) -> set[str]:
    """Fast path for many small files that are not cached; returns their md5s.

    Anything it cannot fetch is left to the checked path.
    """
    done, files, under_way = set[str](), 0, deque[Future[list[str]]]()

    def keep(group: _Group) -> list[str]:
        return [md5 for md5, content in group if kept.keep(md5, content, targets[md5])]

    def wait_for(most: int) -> None:
        nonlocal files
        while len(under_way) > most:
            arrived = under_way.popleft().result()
            done.update(arrived)
            files += _count(targets, arrived)
            report(files)

    new = [md5 for md5, paths in targets.items() if kept.is_new(md5, paths)]
    with ThreadPoolExecutor(_WRITERS, thread_name_prefix="writer") as pool:
        for group in _groups(listing, new):
            under_way.append(pool.submit(keep, group))
            wait_for(_PENDING)
        wait_for(0)
    return done


def _groups(listing: Listing, md5s: Iterable[str]) -> Iterator[_Group]:
    by_key = {object_key(md5, is_legacy=listing.is_legacy): md5 for md5 in md5s}
    group, size = _Group(), 0
    for key, content in listing.source.small(by_key):
        group.append((by_key[key], content))
        size += len(content)
        if len(group) == _TOGETHER or size >= _TOGETHER_BYTES:
            yield group
            group, size = [], 0
    if group:
        yield group


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
