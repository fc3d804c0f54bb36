"""Objects where checkpoints go: checkpoints, outcomes of trainings, unsent events."""

import re
from collections.abc import Iterator
from functools import partial

from pipeline.garbage.items import Item, Needs
from seglib.delivery.outbox import RemoteOutbox
from seglib.errors import SegError
from seglib.storage import open_remote
from seglib.storage.backends.base import Listed
from seglib.storage.backends.local import FolderRemote
from seglib.storage.backends.s3 import S3Remote

_GROUP = re.compile(r"([0-9a-f]{64}/)[01]\.checkpoint|(untracked/[^/]+/).+")

Group = list[Listed]
Place = FolderRemote | S3Remote


def in_place(url: str, needs: Needs) -> Iterator[Item]:
    """Our own objects at a place; others are not looked at.

    Raises:
        SegError: it cannot be read.
    """
    place, groups = open_remote(url), dict[str, Group]()
    for one in place.objects(""):
        if found := _GROUP.fullmatch(one.key):
            groups.setdefault(found[1] or found[2], []).append(one)
    for start, group in sorted(groups.items()):
        if start.startswith("untracked/"):
            yield _events(url, place, start, group, needs)
        else:
            yield _checkpoints(place, start, group, needs)


def _checkpoints(place: Place, start: str, group: Group, needs: Needs) -> Item:
    newest = max(group, key=lambda one: one.modified_s)
    run, is_outcome = _writer(place, newest.key)
    needed = needs.too_young(newest.modified_s) or _needed_by_training(run, needs)
    return Item(
        kind="outcome" if is_outcome else "checkpoint",
        name=f"{place.name(start)}" + (f" of run {run}" if run else ""),
        size_bytes=sum(one.size_bytes for one in group),
        modified_s=newest.modified_s,
        needed=needed,
        free=partial(_remove, place, start, group),
    )


def _needed_by_training(run: str, needs: Needs) -> str:
    if needs.rows is None:
        return f"a run may go on from it ({needs.reason})"
    if not run:  # of an older version, which does not say whose it is
        number = len(needs.running)
        return f"one of the {number} running run(s) may need it" if number else ""
    row = needs.row(run)
    return f"its run is {row.status}" if row and row.status == "RUNNING" else ""


def _writer(place: Place, key: str) -> tuple[str, bool]:
    """The run that wrote a checkpoint, and whether it is an outcome."""
    from seglib.training.checkpoints import Snapshot

    try:
        facts = Snapshot.facts_of(next(place.chunks(key), b""))
    except (ValueError, KeyError, TypeError) as error:
        if isinstance(error, SegError):
            raise
        return "", False
    notes = facts.get("notes")
    run = str(notes.get("run", "")) if isinstance(notes, dict) else ""
    return run, bool(facts.get("is_outcome"))


def _events(url: str, place: Place, start: str, group: Group, needs: Needs) -> Item:
    run = start.split("/")[1]
    newest = max(one.modified_s for one in group)
    whole = f"{url.rstrip('/')}/{start.rstrip('/')}"
    needed = needs.too_young(newest)
    if not needed and needs.rows is None:
        needed = f"MLflow has not got them ({needs.reason})"
    if not needed:
        row = needs.row(run)
        if row is None or row.status == "RUNNING":
            needed = f"its row is not complete: python -m pipeline track {whole}"

    def forget() -> bool:
        if list(place.objects(start)) != group:
            return False
        RemoteOutbox(whole).forget()
        return _remove(place, start, list(place.objects(start)))

    return Item(
        kind="events",
        name=f"{place.name(start)} of run {run}",
        size_bytes=sum(one.size_bytes for one in group),
        modified_s=newest,
        needed=needed,
        free=forget,
    )


def _remove(place: Place, start: str, group: Group) -> bool:
    """Remove a group, unless somebody has written to it since."""
    if sorted(place.objects(start)) != sorted(group):
        return False
    for one in group:
        place.delete(one.key)
    return True
