"""The processes that train one model together: one a device, on one machine or many.

Each process holds the whole network and computes on its part of every batch. What they
compute is summed, so that all hold the same weights after a step: the weights that one
process would have reached, up to the order of additions. Process 0 alone decides,
validates, writes and reports.
"""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

from seglib.errors import SegError, UsageError

if TYPE_CHECKING:
    import keras


class LostProcessError(SegError):
    """Another process of the group has ended, or cannot be reached."""

    exit_code = 75  # EX_TEMPFAIL of sysexits.h: started again, the training goes on


class Terminated(SystemExit):
    """The end of a process after SIGTERM, with the status that shells give for it.

    It is no success, so that whatever started the process may start it again.
    """

    def __init__(self) -> None:
        super().__init__(128 + signal.SIGTERM)


@contextlib.contextmanager
def signal_handlers(handlers: Mapping[signal.Signals, Any]) -> Iterator[None]:
    """Within it, these signals have these handlers; those before are put back.

    Signals reach the main thread alone: in another one it changes nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, new) for number, new in handlers.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            if handler is not None:  # one that was set outside of Python
                signal.signal(number, handler)


class ProcessGroup:
    """A group of one process: nothing here does anything.

    `seglib.distributed.join` gives the group of several. All processes of a group call
    its methods in the same order; each call is also where they wait for each other.

    Args:
        index: of this process, from 0.
        count: of the processes.
    """

    def __init__(self, *, index: int = 0, count: int = 1):
        self.index, self.count = index, count

    @property
    def is_first(self) -> bool:
        """Whether this process decides, validates, writes and reports."""
        return self.index == 0

    def sum(self, numbers: Sequence[float]) -> list[float]:
        """Sum a few numbers over the processes, each in its place.

        Args:
            numbers: as many in every process.
        """
        return [float(number) for number in numbers]

    def broadcast(self, content: bytes | None) -> bytes:
        """Give every process the bytes that process 0 passes.

        Args:
            content: of process 0; that of the others is ignored.
        """
        return content or b""

    def require_same(self, digest: str) -> None:
        """Refuse to train different things in one group.

        Args:
            digest: hexadecimal, of everything that decides this process's result.

        Raises:
            SegError: it differs from that of process 0; names the processes.
        """

    def require_divisible(self, batch_size: int, parts: int = 1) -> None:
        """Refuse a batch that the processes cannot share evenly.

        Args:
            parts: that each process takes its share in.

        Raises:
            UsageError: the batch size is no multiple of processes and parts.
        """
        whole = self.count * parts
        if rest := batch_size % whole:
            in_parts = f", each in {parts} parts" if parts > 1 else ""
            sizes = {max(whole, batch_size - rest), batch_size - rest + whole}
            raise UsageError(
                f"`batch_size` must be a multiple of {whole}: {self.count} processes "
                f"share a batch{in_parts}. Received: batch_size={batch_size}. Use "
                f"{' or '.join(map(str, sorted(sizes)))}, or start fewer processes."
            )

    def share_batch_statistics(self, network: "keras.Model") -> None:
        """Let batch normalisation take its statistics from the whole batch."""

    def vary_dropout(self, network: "keras.Model") -> None:
        """Give dropout another random state in each process but the first."""
        if self.index == 0:
            return
        import keras

        for variable in network.variables:
            if variable.path.endswith("seed_generator_state"):
                state = keras.ops.convert_to_numpy(variable).copy()
                state[0] += self.index
                variable.assign(state)

    def run(self, function: Callable[..., Any], *tensors: Any) -> Any:
        """Call a function of tensors, inside of a graph, where `sum_tensors` works."""
        return function(*tensors)

    def sum_tensors(self, tensors: Sequence[Any]) -> list[Any]:
        """Sum tensors over the processes, inside of `run`, without a gradient.

        Args:
            tensors: of the same shapes in every process; None stays None.
        """
        return list(tensors)

    def lost_as_error(self) -> AbstractContextManager[None]:
        """Within it, the loss of another process is a `LostProcessError`."""
        return nullcontext()
