"""A cache of fetched data: its datasets, and contents of no dataset."""

import shutil
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path

from pipeline.garbage.items import Item, Needs
from seglib.storage.atomic_write import file_lock


def in_cache(cache: Path, needs: Needs) -> Iterator[Item]:
    """The datasets of a cache, and what is left over in it.

    A dataset was used last when it was fetched last: its lock says when, also where
    nothing had to come.
    """
    used = {tag.removesuffix(".dir") for tag in _running_data(needs)}
    for root in sorted((cache / "datasets").glob("*")):
        lock = cache / "locks" / root.name
        with suppress(FileNotFoundError):
            modified_s = (lock if lock.exists() else root).stat().st_mtime
            needed = needs.too_young(modified_s)
            if not needed and needs.rows is None:
                needed = f"a run may read it ({needs.reason})"
            if root.name in used:
                needed = "a running run reads it"
            yield Item(
                kind="dataset",
                name=str(root),
                size_bytes=_size(root),
                modified_s=modified_s,
                needed=needed,
                free=partial(_remove_dataset, cache, root, modified_s),
            )
    for folder in ("files", "partial"):
        yield from _left_over(cache / folder, needs)


def _running_data(needs: Needs) -> list[str]:
    return [row.tags.get("data_md5", "") for row in needs.running]


def _left_over(folder: Path, needs: Needs) -> Iterator[Item]:
    """Contents that are in no dataset, and half-fetched ones, old enough."""
    found, newest, size = [], 0.0, 0
    for path in folder.rglob("*"):
        with suppress(FileNotFoundError):
            facts = path.lstat()
            is_left = path.is_file() and facts.st_nlink == 1
            # A link that is taken away, with its dataset, changes the ctime.
            changed_s = max(facts.st_mtime, facts.st_ctime)
            if is_left and not needs.too_young(changed_s):
                found.append((path, changed_s))
                size, newest = size + facts.st_size, max(newest, changed_s)
    if found:
        yield Item(
            kind="contents",
            name=f"{folder}: {len(found)} file(s) of no dataset",
            size_bytes=size,
            modified_s=newest,
            needed="",
            free=partial(_remove_files, found),
        )


def _size(root: Path) -> int:
    return sum(path.lstat().st_size for path in root.rglob("*") if path.is_file())


def _remove_dataset(cache: Path, root: Path, modified_s: float) -> bool:
    """Under the lock of who fetches it, unless it was fetched meanwhile."""
    lock = cache / "locks" / root.name
    if lock.exists() and lock.stat().st_mtime != modified_s:
        return False
    lock.parent.mkdir(parents=True, exist_ok=True)
    with ExitStack() as held:
        try:
            held.enter_context(file_lock(lock, wait=False))
        except OSError:
            return False
        own = {path.lstat().st_ino for path in root.rglob("*") if path.is_file()}
        shutil.rmtree(root)
    for path in (cache / "files").rglob("*"):
        with suppress(FileNotFoundError):
            facts = path.lstat()
            if facts.st_ino in own and facts.st_nlink == 1:  # in no other dataset
                path.unlink()
    return True


def _remove_files(found: list[tuple[Path, float]]) -> bool:
    for path, changed_s in found:
        with suppress(FileNotFoundError):
            facts = path.lstat()
            if facts.st_nlink == 1 and max(facts.st_mtime, facts.st_ctime) == changed_s:
                path.unlink()
    return True
