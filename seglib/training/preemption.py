"""SIGTERM, which a preempted pod receives some seconds before its end."""

import signal
import threading
from types import FrameType, TracebackType
from typing import Any, Self


class Terminated(SystemExit):
    """The end of a process after SIGTERM, with the status that shells give for it.

    It is no success, so that whatever started the process may start it again.
    """

    def __init__(self) -> None:
        super().__init__(128 + signal.SIGTERM)


class Termination:
    """A context manager within which SIGTERM is noted instead of ending the process.

    Signals reach the main thread alone: in another one it changes nothing.
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
