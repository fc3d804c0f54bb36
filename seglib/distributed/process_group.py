"""Several processes, on one machine or on many, that train one model together.

Each has a device of its own and a part of every batch; what they compute is added up,
so that after a step all hold the same weights: those that one process would have
reached, up to the order of additions. They find each other by the variable TF_CONFIG,
as TensorFlow defines it. The first one alone decides, validates, writes and reports.
"""

import contextlib
import json
import logging
import os
import re
import signal
import threading
from collections.abc import Iterator, Sequence
from typing import Any, Self

import keras
import numpy as np

from seglib.distributed.rendezvous import host_and_port, meet
from seglib.errors import SegError, UsageError

logger = logging.getLogger(__name__)

CONFIG = "TF_CONFIG"
_EXPECTED = (
    '{"cluster": {"worker": ["HOST:PORT", …]}, "task": {"type": "worker", "index": 0}}'
)
_NUMBERS = 8  # at most, that are added up at once
_CHUNK = 2**19  # of messages, in int64: 4 MiB
_BROKEN_OFF = ("Collective ops is aborted", "NCCL")


class LostProcessError(SegError):
    """Another of the processes has ended, or cannot be reached."""


class Processes:
    """The processes of a training, seen from one of them.

    `Processes()` is a single one, for which nothing here does anything.
    """

    def __init__(self, strategy: Any = None, *, index: int = 0, count: int = 1):
        self.index, self.count = index, count
        self._strategy = strategy
        self._add: Any = None

    @classmethod
    def join(cls) -> Self:
        """Join those that TF_CONFIG names, and wait until all are there.

        It comes before anything else that uses TensorFlow. Without the variable, or
        with one worker in it, this is a single process.

        Raises:
            UsageError: TF_CONFIG is not as it should be, the backend is not
                TensorFlow, or there are fewer GPUs than processes on this machine.
            SegError: this process's port is taken, or another one cannot be reached.
        """
        workers, index = _config()
        if len(workers) < 2:
            return cls()
        if keras.backend.backend() != "tensorflow":
            raise UsageError(
                f"{CONFIG} names {len(workers)} processes, which train together on "
                f"the TensorFlow backend only. Received: {keras.backend.backend()}."
            )
        import tensorflow as tf

        # It tells of every sum that is added to a graph.
        logging.getLogger("tensorflow").setLevel(logging.WARNING)
        has_gpu = _take_device(workers, index)
        logger.info("process %d of %d, at %s", index + 1, len(workers), workers[index])
        meet(workers, index)
        how = tf.distribute.experimental.CommunicationImplementation
        # What TensorFlow chooses by itself sends GPUs' sums through the hosts' memory.
        options = tf.distribute.experimental.CommunicationOptions(
            implementation=how.NCCL if has_gpu else how.RING
        )
        with _interruptible(), _refused(workers, index):
            strategy = tf.distribute.MultiWorkerMirroredStrategy(
                communication_options=options
            )
        return cls(strategy, index=index, count=len(workers))

    @property
    def is_first(self) -> bool:
        """Whether this one validates, writes and reports."""
        return self.index == 0

    def set_apart(self, network: keras.Model) -> None:
        """Let dropout drop other values here than in the other processes."""
        for variable in network.variables if self.index else ():
            if variable.path.endswith("seed_generator_state"):
                state = keras.ops.convert_to_numpy(variable).copy()
                state[0] += self.index
                variable.assign(state)

    def bind(self, network: keras.Model) -> None:
        """Let a compiled network's `fit` take its steps together with the others."""
        if self._strategy is None:
            return
        import tensorflow as tf

        def step(batch: Any) -> Any:
            return self._strategy.run(network.train_step, args=(batch,))

        together = tf.function(step, autograph=False, reduce_retracing=True)
        network.train_function = lambda batches: together(next(batches))

    def sum(self, numbers: Sequence[float]) -> list[float]:
        """Add up, for each of a few numbers, what all processes give.

        All call it at the same point; it is also where they wait for each other.
        """
        if self._strategy is None:
            return [float(number) for number in numbers]
        padded = np.zeros(_NUMBERS)
        padded[: len(numbers)] = numbers
        return [float(x) for x in self._added(padded)[: len(numbers)]]

    def from_first(self, content: bytes | None) -> bytes:
        """What the first process gives, in all of them.

        Args:
            content: of the first process; that of the others is not looked at.
        """
        if self._strategy is None:
            return content or b""
        content = (content or b"") if self.is_first else b""
        (size,) = self.sum([len(content)])
        chunk_bytes = 8 * _CHUNK
        received = []
        for start in range(0, int(size), chunk_bytes):
            part = content[start : start + chunk_bytes].ljust(chunk_bytes, b"\0")
            # Whole numbers, of which a sum with zeros keeps every bit.
            received.append(self._added(np.frombuffer(part, np.int64)).tobytes())
        return b"".join(received)[: int(size)]

    def require_same(self, digest: str) -> None:
        """Raise a SegError if the processes are about to train different things.

        Args:
            digest: hexadecimal, of all that decides this one's result.
        """
        if self._strategy is None:
            return
        first = self.from_first(digest.encode()).decode()
        differing = [0.0] * self.count
        differing[self.index] = float(digest != first)
        for start in range(0, self.count, _NUMBERS):
            part = self.sum(differing[start : start + _NUMBERS])
            differing[start : start + _NUMBERS] = part
        if others := [str(i) for i, differs in enumerate(differing) if differs]:
            raise SegError(
                f"Process {', '.join(others)} would train something else than process "
                "0. Expected the same data, settings, first weights, code and library "
                "versions everywhere. Start all of them from one image, with the same "
                "arguments."
            )

    @contextlib.contextmanager
    def losing_none(self) -> Iterator[None]:
        """Within it, the loss of another process is a LostProcessError."""
        if self._strategy is None:
            yield
            return
        import tensorflow as tf

        gone = (
            tf.errors.UnavailableError,
            tf.errors.AbortedError,
            tf.errors.CancelledError,
            tf.errors.DeadlineExceededError,
        )
        try:
            yield
        except tf.errors.OpError as error:
            # One that has been started anew, or broken off by NCCL, is of other kinds.
            told = any(word in str(error.message) for word in _BROKEN_OFF)
            if not (told or isinstance(error, gone)):
                raise
            raise LostProcessError(
                f"Process {self.index} of {self.count} has lost "
                f"{self._named(str(error))}, which has ended or cannot be reached. "
                "Start all of them again: a training that keeps checkpoints goes on "
                "from its newest."
            ) from error

    def _named(self, message: str) -> str:
        """The other process that TensorFlow's message is about."""
        tasks = {int(task) for task in re.findall(r"/task:(\d+)", message)}
        others = [str(task) for task in sorted(tasks - {self.index})]
        return f"process {', '.join(others)}" if others else "another one"

    def _added(self, values: np.ndarray) -> np.ndarray:
        with self.losing_none():
            return self._add_up(values)

    def _add_up(self, values: np.ndarray) -> np.ndarray:
        import tensorflow as tf

        if self._add is None:

            def add(part: Any) -> Any:
                context = tf.distribute.get_replica_context()
                return context.all_reduce(tf.distribute.ReduceOp.SUM, tf.identity(part))

            self._add = tf.function(
                lambda part: self._strategy.run(add, args=(part,)), autograph=False
            )
        return np.asarray(self._add(tf.constant(values)))


def _config() -> tuple[list[str], int]:
    """The addresses of the workers, and which of them this process is."""
    text = os.environ.get(CONFIG)
    if not text:
        return [], 0
    try:
        config = json.loads(text)
        jobs, task = config.get("cluster") or {}, config.get("task") or {}
        workers = [str(address) for address in jobs.get("worker", [])]
        index = int(task.get("index", 0))
        kind = task.get("type", "worker")
    except (ValueError, AttributeError, TypeError) as error:
        raise UsageError(f"{CONFIG}: expected {_EXPECTED}. Received: {text}") from error
    if not jobs:
        return [], 0
    if jobs.keys() != {"worker"} or kind != "worker" or not 0 <= index < len(workers):
        raise UsageError(
            f"{CONFIG}: expected workers alone, and the index of one of them, as in "
            f"{_EXPECTED}. Received: {text}"
        )
    return workers, index


def _take_device(workers: list[str], index: int) -> bool:
    """Of this machine's GPUs, use the one that is this process's, if there are any."""
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    hosts = [host_and_port(address)[0] for address in workers]
    here = [i for i, host in enumerate(hosts) if host == hosts[index]]
    if not gpus:
        return False
    if len(gpus) < len(here):
        raise UsageError(
            f"{len(here)} processes on {hosts[index]} need a GPU each. Received: "
            f"{len(gpus)} GPUs. Start as many processes as there are GPUs."
        )
    tf.config.set_visible_devices([gpus[here.index(index)]], "GPU")
    return True


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """Let Ctrl-C end what TensorFlow does within; and afterwards SIGTERM, as before.

    TensorFlow leaves a handler for it that does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {n: signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)}
    for number, handler in before.items():
        if handler != signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _refused(workers: list[str], index: int) -> Iterator[None]:
    """Within it, what keeps TensorFlow from joining the others is a SegError."""
    import tensorflow as tf

    try:
        yield
    except tf.errors.OpError as error:
        reason = str(error.message).partition("\n")[0].rstrip(".")
        raise SegError(
            f"Process {index} of {len(workers)} cannot join the others: {reason}. "
            f"Expected: all of {', '.join(workers)} reach each other at these "
            f"addresses, and their ports are free. Start all of them again."
        ) from error
