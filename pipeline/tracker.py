"""Tracks a local run: one thread, and with it one import of MLflow, for all steps."""

import os
import queue
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from components.tracking import Row, Tracker

_LONGEST_WAIT_S = 120.0


class TrackerThread:
    """Applies messages in their order, beside the run that they tell of."""

    def __init__(self, uri: str, *, warn: Callable[[str], None]):
        self.uri = uri
        self._tracker = Tracker(uri, warn=warn)
        self._messages: queue.Queue[Mapping[str, Any] | None] = queue.Queue()
        # A daemon: a server that doesn't answer must not keep the process alive.
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._warn = warn
        self._thread.start()

    def put(self, message: Mapping[str, Any]) -> None:
        self._messages.put(message)

    def finish(self) -> Row | None:
        """Wait until all is tracked.

        Returns:
            The run's row, or None if tracking failed.
        """
        self._messages.put(None)
        self._thread.join(_LONGEST_WAIT_S)
        if self._thread.is_alive():
            self._warn(f"{self.uri} did not answer in time: the row is not complete.")
            return None
        return next(iter(self._tracker.rows.values()), None)

    def _work(self) -> None:
        while (message := self._messages.get()) is not None:
            self._tracker.apply(message)


def tracking_uri(runs: Path) -> str:
    """MLFLOW_TRACKING_URI, else an SQLite store in the folder of runs."""
    default = f"sqlite:///{runs.resolve() / 'mlflow.db'}"
    return os.environ.get("MLFLOW_TRACKING_URI") or default
