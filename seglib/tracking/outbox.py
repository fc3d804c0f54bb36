"""Messages that could not be tracked yet, kept beside what they tell of.

They lie in `untracked.jsonl`: in the folder of a local run, or in the output of a step
that ran in a pod, from where the next step takes them over.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from seglib.storage.atomic_write import write_bytes

UNTRACKED = "untracked.jsonl"

Message = Mapping[str, Any]


def read_messages(path: Path) -> list[dict[str, Any]]:
    """The messages of a file, one a line; none if it isn't there."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    except (FileNotFoundError, NotADirectoryError):
        return []
    # Whoever wrote the last line may have been killed in the middle of it.
    return [json.loads(line) for line in lines if line.endswith("\n")]


def write_messages(path: Path, messages: Iterable[Message]) -> None:
    """Replace a file of messages; without messages there is no file."""
    text = "".join(json.dumps(message, default=str) + "\n" for message in messages)
    if text:
        replace_text(path, text)
    else:
        path.unlink(missing_ok=True)


def replace_text(path: Path, text: str) -> None:
    """Write a file whole, in place of what is there."""
    write_bytes(path, text.encode())
