"""What the pods of a run could not track, on a remote where its exit task finds it.

A step's output keeps it, too; but only steps that take that output see it, no step
follows the last one, and a failed step has no output. It lies beside the checkpoints,
in `untracked/RUN/STEP.jsonl`, with the folders that the messages name, by content.
"""

import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from seglib.runtime.step import CHECKPOINTS
from seglib.storage import MissingObjectError, fetch, manifest_entries, open_remote
from seglib.storage import publish as publish_folder
from seglib.storage.backends.base import object_key
from seglib.storage.backends.local import FolderRemote

Message = Mapping[str, Any]

LAST = "finalize"
_STEPS = ("verify", "augment", "train", "select", "evaluate", "gate", "export", LAST)
# Of a message.
_FOLDERS = ("manifest", "model", "table", "evaluation", "decision", "export")


def place_of(run: str) -> str:
    """Where a run's messages are left; empty: nowhere."""
    place = os.environ.get(CHECKPOINTS, "").rstrip("/")
    return f"{place}/untracked/{run}" if place and run else ""


def keep(place: str, step: str, messages: Iterable[Message]) -> None:
    """Leave a step's messages, and what is in the folders that they name.

    Raises:
        SegError: the remote cannot be written to.
    """
    published: dict[str, str] = {}
    lines = []
    for message in messages:
        kept = dict(message)
        for name in _FOLDERS:
            folder = str(message.get(name) or "")
            if folder and Path(folder).is_dir():
                if folder not in published:
                    published[folder] = publish_folder(Path(folder), place).key
                kept[name] = {"key": published[folder]}
        lines.append(json.dumps(kept, default=str) + "\n")
    open_remote(place, create=True).write(_name(step), "".join(lines).encode())


def bring(place: str, folder: Path) -> Iterator[dict[str, Any]]:
    """The messages that were left, in the order of the steps, each once.

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
        message = json.loads(text)
        for name, key in _keys(message):
            message[name] = str(fetch(key, place, cache=folder))
        yield message


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


def _keys(message: Message) -> list[tuple[str, str]]:
    """The folders of a message that are on the remote, with their keys."""
    named = ((name, message.get(name)) for name in _FOLDERS)
    return [(name, value["key"]) for name, value in named if isinstance(value, dict)]


def _name(step: str) -> str:
    return f"{step}.jsonl"
