"""Storage, workflows and schedules that no row, model, publication or run needs.

Each item says what it takes and why it stays, if anything needs it. It is freed only if
it has not changed since it was looked at.
"""

import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path

from pipeline.kfp.connection import KfpServer
from pipeline.kfp.failures import ClusterError
from pipeline.kfp.ghosts import ghosts_of
from pipeline.kfp.kubernetes_api import (
    WORKFLOWS,
    Kubernetes,
    Object,
    Resource,
    kubernetes_of,
)
from seglib.delivery.outbox import RemoteOutbox
from seglib.errors import SegError
from seglib.storage.atomic_write import file_lock
from seglib.storage.backends import Listed, Remote
from seglib.storage.remotes import open_remote
from seglib.tracking.queries import RunFacts, TrackedRuns

_DAY_S = 86_400.0
_GHOST_GRACE_S = 3600.0  # KFP makes the object first, and its own row after that
_GROUP = re.compile(r"([0-9a-f]{64}/)[01]\.checkpoint|(untracked/[^/]+/).+")


@dataclass(frozen=True, kw_only=True)
class Item:
    """Something that may be freed.

    Attributes:
        kind: checkpoint, outcome, events, dataset, contents, workflow or schedule.
        needed: why it stays; empty: nothing needs it.
        free: removes it, unless it has changed since it was looked at.
    """

    kind: str
    name: str
    size_bytes: int = 0
    modified_s: float  # since 1970
    needed: str = ""
    free: Callable[[], bool]

    @property
    def age_days(self) -> float:
        return (time.time() - self.modified_s) / _DAY_S


@dataclass(frozen=True, kw_only=True)
class Needs:
    """Reasons to keep something: runs that MLflow knows, and its age.

    Attributes:
        rows: of MLflow; None where it does not answer.
        reason: why it does not.
    """

    grace_days: float
    rows: TrackedRuns | None
    reason: str = ""
    running: list[RunFacts] = field(default_factory=list)

    @classmethod
    def ask(cls, uri: str, *, grace_days: float) -> "Needs":
        """Ask MLflow which runs go on; without an answer, all that it may need stays.

        Args:
            uri: of the store; empty: there is none.
        """
        from seglib.tracking.mlflow_client import answering

        if not uri:
            return cls(grace_days=grace_days, rows=None, reason="no MLflow is named")
        try:
            with answering(uri):
                rows = TrackedRuns(uri)
                return cls(grace_days=grace_days, rows=rows, running=rows.running())
        except SegError as error:
            return cls(grace_days=grace_days, rows=None, reason=str(error))

    def too_young(self, modified_s: float) -> str:
        if time.time() - modified_s >= self.grace_days * _DAY_S:
            return ""
        return f"younger than {self.grace_days:g} day(s)"

    def row(self, run: str) -> RunFacts | None:
        """The row of a run, where MLflow answers."""
        from seglib.tracking.mlflow_client import answering

        assert self.rows
        with answering(self.rows.uri):
            return self.rows.of_run(run)


def in_place(url: str, needs: Needs) -> Iterator[Item]:
    """Our own objects where checkpoints go: those, outcomes, unsent events.

    Raises:
        SegError: it cannot be read.
    """
    place, groups = open_remote(url), dict[str, list[Listed]]()
    for one in place.objects(""):
        if found := _GROUP.fullmatch(one.key):
            groups.setdefault(found[1] or found[2], []).append(one)
    for start, group in sorted(groups.items()):
        newest = max(group, key=lambda one: one.modified_s)
        needed = needs.too_young(newest.modified_s)
        free = partial(_remove, place, start, group)
        if start.startswith("untracked/"):
            kind, run = "events", start.split("/")[1]
            whole = f"{url.rstrip('/')}/{start.rstrip('/')}"
            needed = needed or _needed_by_row(run, whole, needs)
            free = partial(_forget, place, start, group, whole)
        else:
            kind, run = _writer(place, newest.key)
            needed = needed or _needed_by_training(run, needs)
        yield Item(
            kind=kind,
            name=place.name(start) + (f" of run {run}" if run else ""),
            size_bytes=sum(one.size_bytes for one in group),
            modified_s=newest.modified_s,
            needed=needed,
            free=free,
        )


def in_cache(cache: Path, needs: Needs) -> Iterator[Item]:
    """The datasets of a cache, contents of no dataset, and decoded images.

    A dataset was used last when it was fetched last: its lock says when, also where
    nothing had to come.
    """
    used = {row.tags.get("data_md5", "").removesuffix(".dir") for row in needs.running}
    for root in sorted((cache / "datasets").glob("*")):
        lock = cache / "locks" / root.name
        with suppress(FileNotFoundError):
            modified_s = (lock if lock.exists() else root).stat().st_mtime
            needed = needs.too_young(modified_s)
            if not needed and needs.rows is None:
                needed = f"a run may read it ({needs.reason})"
            if root.name in used:
                needed = "a running run reads it"
            files = (path for path in root.rglob("*") if path.is_file())
            yield Item(
                kind="dataset",
                name=str(root),
                size_bytes=sum(path.lstat().st_size for path in files),
                modified_s=modified_s,
                needed=needed,
                free=partial(_remove_dataset, cache, root, modified_s),
            )
    for index in sorted((cache / "decoded").glob("*/index.npy")):
        with suppress(FileNotFoundError):
            folder = index.parent
            modified_s = folder.stat().st_mtime  # of its last use
            yield Item(
                kind="decoded images",
                name=str(folder),
                size_bytes=sum(path.stat().st_size for path in folder.iterdir()),
                modified_s=modified_s,
                needed=needs.too_young(modified_s),
                free=partial(_remove_decoded, folder, modified_s),
            )
    for name in ("files", "partial"):
        found: list[tuple[Path, float]] = []
        size = 0
        for path in (cache / name).rglob("*"):
            with suppress(FileNotFoundError):
                changed_s = _left_since(path)
                if changed_s and not needs.too_young(changed_s):
                    size += path.lstat().st_size
                    found.append((path, changed_s))
        if found:
            yield Item(
                kind="contents",
                name=f"{name}: {len(found)} file(s) of no dataset",
                size_bytes=size,
                modified_s=max(changed_s for _, changed_s in found),
                free=partial(_remove_files, found),
            )


def in_cluster(server: KfpServer) -> Iterator[Item]:
    """The ghosts of a KFP: what runs in Kubernetes and is in none of its lists.

    Raises:
        SegError: KFP or Kubernetes cannot be asked, or they do not belong together.
    """
    kubernetes = kubernetes_of(server)
    for resource, one in ghosts_of(server, kubernetes):
        made_s = datetime.fromisoformat(one["creationTimestamp"]).timestamp()
        is_young = time.time() - made_s < _GHOST_GRACE_S
        yield Item(
            kind="workflow" if resource is WORKFLOWS else "schedule",
            name=str(one["name"]),
            modified_s=made_s,
            needed="KFP may yet list it" if is_young else "",
            free=partial(_delete, kubernetes, resource, one),
        )


def _writer(place: Remote, key: str) -> tuple[str, str]:
    """The kind of a checkpoint, and the run that wrote it."""
    from seglib.training.checkpoints import Snapshot

    try:
        facts = Snapshot.facts_of(next(place.chunks(key), b""))
    except (ValueError, KeyError, TypeError) as error:
        if isinstance(error, SegError):
            raise
        return "checkpoint", ""
    notes = facts.get("notes")
    run = str(notes.get("run", "")) if isinstance(notes, dict) else ""
    return "outcome" if facts.get("is_outcome") else "checkpoint", run


def _needed_by_training(run: str, needs: Needs) -> str:
    if needs.rows is None:
        return f"a run may go on from it ({needs.reason})"
    if not run:  # of an older version, which does not say whose it is
        number = len(needs.running)
        return f"one of the {number} running run(s) may need it" if number else ""
    row = needs.row(run)
    return f"its run is {row.status}" if row and row.status == "RUNNING" else ""


def _needed_by_row(run: str, whole: str, needs: Needs) -> str:
    if needs.rows is None:
        return f"MLflow has not got them ({needs.reason})"
    row = needs.row(run)
    is_complete = row is not None and row.status != "RUNNING"
    told = f"its row is not complete: python -m pipeline track {whole}"
    return "" if is_complete else told


def _remove(place: Remote, start: str, group: list[Listed]) -> bool:
    """Remove a group, unless somebody has written to it since."""
    if sorted(place.objects(start)) != sorted(group):
        return False
    for one in group:
        place.delete(one.key)
    return True


def _forget(place: Remote, start: str, group: list[Listed], whole: str) -> bool:
    if sorted(place.objects(start)) != sorted(group):
        return False
    RemoteOutbox(whole).forget()
    return _remove(place, start, list(place.objects(start)))


def _left_since(path: Path) -> float:
    """When a file in the cache became one of no dataset; 0: it is of one."""
    facts = path.lstat()
    # A link that is taken away, with its dataset, changes the ctime.
    is_left = path.is_file() and facts.st_nlink == 1
    return max(facts.st_mtime, facts.st_ctime) if is_left else 0.0


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
            if path.lstat().st_ino in own and _left_since(path):
                path.unlink()
    return True


def _remove_decoded(folder: Path, modified_s: float) -> bool:
    """Unless it was used meanwhile; a training that reads it keeps it until it ends."""
    if folder.stat().st_mtime != modified_s:
        return False
    shutil.rmtree(folder)
    return True


def _remove_files(found: list[tuple[Path, float]]) -> bool:
    for path, changed_s in found:
        with suppress(FileNotFoundError):
            if _left_since(path) == changed_s:
                path.unlink()
    return True


def _delete(kubernetes: Kubernetes, resource: Resource, one: Object) -> bool:
    try:
        kubernetes.delete(resource, one["name"], uid=one["uid"])
    except ClusterError as error:
        if error.kind in ("missing", "conflict"):  # it is gone, or another by now
            return False
        raise
    return True
