"""The unsent events of a run's pods, on a remote where its exit task finds them.

A step's output keeps them, too; but only steps that take that output see them, no step
follows the last one, and a failed step has no output. They lie beside the checkpoints,
in `untracked/RUN/STEP.jsonl`, with the folders that the events name, by content.
"""

import json
import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from seglib.environment import CHECKPOINTS
from seglib.runtime.events import Event
from seglib.storage.backends import MissingObjectError, object_key
from seglib.storage.backends.local import FolderRemote
from seglib.storage.fetching import fetch
from seglib.storage.listings import manifest_entries
from seglib.storage.publishing import publish as publish_folder
from seglib.storage.remotes import open_remote

LAST = "finalize"
_STEPS = ("verify", "augment", "train", "select", "evaluate", "gate", "export", LAST)
# Of an event.
_FOLDERS = ("manifest", "model", "table", "evaluation", "decision", "export")


def place_of(run: str) -> str:
    """Where a run's events are left; empty: nowhere."""
    place = os.environ.get(CHECKPOINTS, "").rstrip("/")
    return f"{place}/untracked/{run}" if place and run else ""


def keep(place: str, step: str, events: Iterable[Event]) -> None:
    """Leave a step's events, and what is in the folders that they name.

    Raises:
        SegError: the remote cannot be written to.
    """
    published: dict[str, str] = {}
    lines = []
    for event in events:
        kept = dict(event)
        for name in _FOLDERS:
            folder = str(event.get(name) or "")
            if folder and Path(folder).is_dir():
                if folder not in published:
                    published[folder] = publish_folder(Path(folder), place).key
                kept[name] = {"key": published[folder]}
        lines.append(json.dumps(kept, default=str) + "\n")
    open_remote(place, create=True).write(_name(step), "".join(lines).encode())


def bring(place: str, folder: Path) -> Iterator[dict[str, Any]]:
    """The events that were left, in the order of the steps, each once.

    Args:
        folder: where the folders go that they name.

    Raises:
        SegError: the remote cannot be read.
    """
    seen = set()
    for text in _lines(place):
        if text in seen:  # a later step had them, too, and could not send them either
            continue
        seen.add(text)
        event = json.loads(text)
        for name, key in _keys(event):
            event[name] = str(fetch(key, place, cache=folder))
        yield event


def forget(place: str) -> None:
    """Remove all that was left.

    Raises:
        SegError: the remote cannot be written to.
    """
    keys = {key for text in _lines(place) for _, key in _keys(json.loads(text))}
    remote = open_remote(place, create=True)
    if isinstance(remote, FolderRemote):
        shutil.rmtree(remote.root, ignore_errors=True)
        return
    for key in sorted(keys):
        for entry in manifest_entries(key, place):
            remote.delete(object_key(entry.md5))
        remote.delete(object_key(key))
    for step in _STEPS:
        remote.delete(_name(step))


def _lines(place: str) -> Iterator[str]:
    if "://" not in place and not Path(place).is_dir():
        return
    remote = open_remote(place)
    for step in _STEPS:
        try:
            content = remote.read(_name(step)).content
        except MissingObjectError:
            continue
        yield from content.decode().splitlines()


def _keys(event: Event) -> list[tuple[str, str]]:
    """The folders of an event that are on the remote, with their keys."""
    named = ((name, event.get(name)) for name in _FOLDERS)
    return [(name, value["key"]) for name, value in named if isinstance(value, dict)]


def _name(step: str) -> str:
    return f"{step}.jsonl"
