"""SIGTERM, which a pod gets some seconds before its end: noted now, obeyed soon."""

import signal
import threading
from types import FrameType, TracebackType
from typing import Any, Self


class Terminated(SystemExit):
    """Ended because of SIGTERM; the status is the one that shells give for it.

    It is no success, so that whoever started the process may start it again.
    """

    def __init__(self) -> None:
        super().__init__(128 + signal.SIGTERM)


class Termination:
    """A context manager, within which SIGTERM ends nothing but is remembered.

    Only the main thread can receive signals: in another one it changes nothing.
    """

    def __init__(self) -> None:
        self.is_requested = False
        self._previous: Any = None

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._previous = signal.signal(signal.SIGTERM, self._note)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._previous is not None:
            signal.signal(signal.SIGTERM, self._previous)

    def _note(self, _number: int, _frame: FrameType | None) -> None:
        self.is_requested = True
