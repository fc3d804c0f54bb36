"""What a prediction writes of each image, and the record of what is done."""

import json
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from seglib.data.image_io import encode_png
from seglib.data.pairs import split
from seglib.drawing.pictures import colorize, overlay
from seglib.errors import SegError, UsageError, unknown
from seglib.inference.predictor import Answer
from seglib.inference.sources import Source
from seglib.models.contract import Contract
from seglib.storage.atomic_write import write_bytes, write_text
from seglib.storage.files import read_file

IDS, COLOR, OVERLAY = "ids", "color", "overlay"
PROBABILITY, UNCERTAINTY = "probability", "uncertainty"
KINDS = (IDS, COLOR, OVERLAY, PROBABILITY, UNCERTAINTY)
RECORD = "predictions.jsonl"
_PART = 600  # rows


def kinds_of(save: str | Sequence[str]) -> tuple[str, ...]:
    """The kinds of outputs that were asked for.

    Raises:
        UsageError: one that does not exist, or none.
    """
    words = save.split(",") if isinstance(save, str) else save
    chosen = [word.strip() for word in words if word.strip()]
    for word in chosen:
        if word not in KINDS:
            raise unknown("output", word, KINDS)
    if not chosen:
        raise UsageError(f"`save` expects some of {', '.join(KINDS)}. Received: none.")
    return tuple(kind for kind in KINDS if kind in chosen)


def draw(
    kind: str, image: np.ndarray, answer: Answer, contract: Contract, opacity: float
) -> np.ndarray:
    """One output of an image: uint8, or uint16 class ids; (H, W) or (H, W, 3).

    Probability and uncertainty are grey: 255 is probability 1, or as much entropy as
    the number of classes allows.
    """
    ids, palette = answer.prediction, contract.palette
    if kind in (COLOR, OVERLAY):
        first = split(image, contract.inputs)[0]
        # In parts, as drawing takes many times the memory of what it draws.
        parts = [slice(top, top + _PART) for top in range(0, len(ids), _PART)]
        drawn = [
            colorize(ids[rows], palette)
            if kind == COLOR
            else overlay(first[rows], ids[rows], palette, alpha=opacity)
            for rows in parts
        ]
        return np.concatenate(drawn) if len(drawn) > 1 else drawn[0]
    if kind == PROBABILITY:
        return _grey(answer.probability)
    if kind == UNCERTAINTY:
        return _grey(answer.entropy / np.log(contract.num_classes))
    return ids


def write_png(path: Path, picture: np.ndarray) -> None:
    """Write a picture; the fastest compression, which also suits ids best."""
    write_bytes(path, encode_png(picture, compression=1))


class Record:
    """The samples that were predicted into a folder by the same model and settings.

    A line of JSON each, added when its files are written: an interrupted prediction
    goes on where it stopped.

    Args:
        settings: what the outputs depend on. None: no record is kept, or used.
        keep_others: whether a record of other settings is an error.

    Raises:
        UsageError: there is such a record, and it is to be kept.
    """

    def __init__(
        self,
        out: Path,
        settings: Mapping[str, Any] | None,
        *,
        keep_others: bool = False,
    ):
        self._keep_others = keep_others
        self._path, self._settings = out / RECORD, settings
        self._writing = threading.Lock()
        self._done = self._read() if settings else {}

    def has(self, source: Source, files: Sequence[Path]) -> bool:
        """Whether a sample is done, its files are there, and its input is the same."""
        same = self._done.get(source.name) == source.state()
        return same and all(path.exists() for path in files)

    def add(self, source: Source) -> None:
        """Record that a sample is done."""
        if self._settings is None:
            return
        line = json.dumps({"name": source.name, "state": source.state()})
        with self._writing:
            try:
                with self._path.open("a", encoding="utf-8") as file:
                    file.write(line + "\n")
            except OSError as error:
                reason = error.strerror
                raise SegError(
                    f"{self._path}: cannot be written ({reason})."
                ) from error

    def _read(self) -> dict[str, list[list[int]]]:
        """The samples that are done; a record of other settings is replaced."""
        try:
            lines = read_file(self._path).decode("utf-8", "replace").splitlines()
        except OSError:
            lines = []
        found = [_parsed(line) for line in lines]
        if found[:1] == [self._settings]:
            return {one["name"]: one["state"] for one in found[1:] if len(one) == 2}
        if found and self._keep_others:
            raise UsageError(
                f"{self._path.parent}: holds predictions of another model, or of other "
                "settings. Choose another folder with --out, or replace them with "
                "--overwrite."
            )
        write_text(self._path, json.dumps(self._settings) + "\n")
        return {}


def _parsed(line: str) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except ValueError:  # a line that was interrupted
        return {}
    return value if isinstance(value, dict) else {}


def _grey(share: np.ndarray) -> np.ndarray:
    return (share * 255).round().clip(0, 255).astype(np.uint8)
