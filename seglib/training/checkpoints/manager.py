"""Where checkpoints lie, when one is due, and the thread that writes them."""

import logging
import re
import shutil
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from seglib.errors import SegError
from seglib.storage.backends import MissingObjectError, Remote
from seglib.storage.backends.local import FolderRemote
from seglib.storage.remotes import open_remote, parse_url
from seglib.training.checkpoints.snapshot import Snapshot

logger = logging.getLogger(__name__)

Check = Callable[[Snapshot], None]
Notes = Mapping[str, Any]  # JSON values

# Written alternately: while one is being replaced, the other is complete.
_SLOTS = ("0.checkpoint", "1.checkpoint")
_PATIENCE_S = 20.0  # for a checkpoint that is being written when training ends


class Checkpoints:
    """The checkpoints of a training, in a folder or on S3.

    They lie in `place`/<content key>/: the newest, and the one before it in case that
    the newest is damaged. At the end of a training its outcome replaces them; it is
    removed when the model is written.

    Args:
        place: a folder, which is created, or s3://bucket/prefix.
        every_s: seconds of training between two; the end of an epoch may come earlier.
        largest_share: of the training's time that writing may take; checkpoints that
            take longer are written less often.
        resume: whether to resume from what lies there; otherwise it is removed.
        keep_outcome: leave the outcome there, because the model has yet to reach a
            safe place. The reader of the model removes it with `forget`.
        notes: gives the notes of the next checkpoint on its writer, from the notes of
            the one that was resumed; they decide nothing.
    """

    def __init__(
        self,
        place: str | Path,
        *,
        every_s: float = 60.0,
        largest_share: float = 0.02,
        resume: bool = True,
        keep_outcome: bool = False,
        notes: Callable[[Notes], Notes] = dict,
    ):
        self.place = str(place).rstrip("/")
        self.written_step = 0  # of the newest that is complete
        self.found: Notes = {}  # of the checkpoint that is resumed
        self._notes = notes
        self._every_s, self._largest_share = every_s, largest_share
        self._resume, self._keep_outcome = resume, keep_outcome
        self._key = ""
        self._remote: Remote
        self._newest = 1  # slot
        self._thread: threading.Thread | None = None
        self._cost_s = 0.0  # of the newest
        self._last = time.monotonic()
        self._is_failing = False

    @property
    def folder(self) -> str:
        """Where the checkpoints of the opened training lie."""
        return f"{self.place}/{self._key}"

    def open(self, key: str, *, check: Check | None = None) -> Snapshot | None:
        """Open the training with this content key.

        Args:
            key: of the training.
            check: raises a ValueError for a snapshot that cannot be resumed; it is
                passed over as a damaged one is.

        Returns:
            The newest complete checkpoint, or None.

        Raises:
            SegError: the place cannot be read. (Now is better than after hours, when
                the checkpoint is needed.)
        """
        self._key, self.written_step = key, 0
        self._remote = open_remote(self.folder, create=True)
        if not self._resume:
            _remove_all(self._remote)
        slots = range(len(_SLOTS))
        found = [(s, slot) for slot in slots if (s := self._read(slot, check))]
        if not found:
            self._tell_others()
            return None
        snapshot, self._newest = max(found, key=lambda pair: pair[0].rank)
        self.written_step = snapshot.facts["step"]
        notes = snapshot.facts.get("notes")
        self.found = notes if isinstance(notes, dict) else {}
        return snapshot

    def _tell_others(self) -> None:
        """Say that a folder has checkpoints, but of other trainings."""
        place = parse_url(self.place)
        if not isinstance(place, Path):  # it is shared by many
            return
        if any(path.parent.name != self._key for path in place.glob("*/*.checkpoint")):
            logger.info(
                "%s has the state of another training, with other settings, data, "
                "first weights or code. This one starts anew; that one stays.",
                self.place,
            )

    def is_due(self, *, epoch_ends: bool = False) -> bool:
        """Whether to write one now; never while another is being written."""
        if self._thread and self._thread.is_alive():
            return False
        waited = time.monotonic() - self._last
        affordable = self._cost_s / self._largest_share
        return waited >= (affordable if epoch_ends else max(self._every_s, affordable))

    def write(self, take: Callable[[], Snapshot]) -> None:
        """Take a snapshot now, and write it while training continues."""
        started = time.perf_counter()
        snapshot = take()
        self._cost_s = time.perf_counter() - started
        self._last = time.monotonic()
        self._start(lambda: self._write(snapshot))

    def write_last(self, take: Callable[[], Snapshot]) -> bool:
        """Write one now, whatever it costs, and wait until it is complete.

        Returns:
            Whether it is; a failure has been logged as a warning.
        """
        self._wait()
        self.write(take)
        self._wait()
        return self._thread is not None and not (
            self._thread.is_alive() or self._is_failing
        )

    def end(self) -> None:
        """Remove the outcome, now that the model is written, unless it is to stay."""
        if not self._keep_outcome:
            self.remove()

    def remove(self) -> None:
        """Remove the checkpoints of this training; a failure is a warning."""
        self._wait()
        self._start(lambda: _or_warn(lambda: _remove_all(self._remote)))
        self._wait()
        if self._thread and self._thread.is_alive():
            logger.warning(
                "%s does not answer. The checkpoints there are no longer needed.",
                self.place,
            )

    def __enter__(self) -> Self:
        self._last = time.monotonic()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Finish the checkpoint that is being written, however training ends."""
        self._wait()

    def _read(self, slot: int, check: Check | None) -> Snapshot | None:
        name = self._remote.name(_SLOTS[slot])
        try:
            snapshot = Snapshot.from_bytes(self._remote.read(_SLOTS[slot]).content)
            if snapshot.facts.get("key") != self._key:
                raise ValueError("of another training")
            if not isinstance(snapshot.facts.get("step"), int):
                raise ValueError("malformed: no `step`")
            if check:
                check(snapshot)
        except MissingObjectError:
            return None
        except ValueError as error:
            if isinstance(error, SegError):
                raise
            logger.warning("%s: %s; it is not used.", name, error)
            return None
        return snapshot

    def _write(self, snapshot: Snapshot) -> None:
        started = time.thread_time()
        own = {"key": self._key, "notes": dict(self._notes(self.found))}
        signed = replace(snapshot, facts={**snapshot.facts, **own})
        slot = 1 - self._newest
        try:
            self._remote.write(_SLOTS[slot], signed.to_bytes())
        except SegError as error:
            if not self._is_failing:
                logger.warning("No checkpoint: %s Training goes on without.", error)
            self._is_failing = True
        else:
            if self._is_failing:
                logger.info("Checkpoints are written again.")
            self._is_failing = False
            self._newest, self.written_step = slot, snapshot.facts["step"]
            if snapshot.is_outcome:
                older = _SLOTS[1 - slot]  # four times its size
                _or_warn(lambda: self._remote.delete(older))
        self._cost_s += time.thread_time() - started

    def _start(self, work: Callable[[], None]) -> None:
        # A daemon: a store that does not answer must not keep the process alive.
        self._thread = threading.Thread(target=work, name="checkpoint", daemon=True)
        self._thread.start()

    def _wait(self) -> None:
        if self._thread:
            self._thread.join(_PATIENCE_S)


def forget(folder: str) -> None:
    """Remove the outcome of a training whose model has reached a safe place.

    Args:
        folder: `Checkpoints.folder` of that training, which may be gone already; "" if
            it had no checkpoints.
    """
    if not re.fullmatch(r".+/[0-9a-f]{64}", folder):
        return
    _or_warn(lambda: _remove_all(open_remote(folder, create=True)))


def _or_warn(remove: Callable[[], None]) -> None:
    try:
        remove()
    except SegError as error:
        logger.warning("%s The checkpoints there are no longer needed.", error)


def _remove_all(remote: Remote) -> None:
    """Remove all checkpoints of one training."""
    if isinstance(remote, FolderRemote):
        # The whole folder, with what a killed process has left half-written.
        shutil.rmtree(remote.root, ignore_errors=True)
        with suppress(OSError):  # other trainings have checkpoints there, too
            remote.root.parent.rmdir()
        return
    for slot in _SLOTS:
        remote.delete(slot)
