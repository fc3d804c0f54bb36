"""Several processes that sum through TensorFlow: NCCL between GPUs, else rings."""

import contextlib
import logging
import re
import signal
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import numpy as np

from seglib.distributed.cluster import Cluster
from seglib.distributed.graph_sums import share_batch_statistics, sum_in_graph
from seglib.distributed.process_group import (
    LostProcessError,
    ProcessGroup,
    signal_handlers,
)
from seglib.distributed.rendezvous import meet
from seglib.errors import SegError, UsageError
from seglib.plain_text import first_line

logger = logging.getLogger(__name__)

_NUMBERS = 8  # that are summed at once: one size, one compiled function
_CHUNK = 2**19  # int64 values of a message that are sent at once: 4 MiB
_ABORTED = ("Collective ops is aborted", "NCCL")  # in the text of other error types


def connect(cluster: Cluster) -> ProcessGroup:
    """Wait for the other processes of a cluster, and join them; see `join`."""
    has_gpu = _take_gpu(cluster)
    count, address = len(cluster.workers), cluster.workers[cluster.index]
    logger.info("process %d of %d, at %s", cluster.index + 1, count, address)
    meet(cluster.workers, cluster.index)
    strategy = _strategy(cluster, has_gpu=has_gpu)
    return TensorFlowGroup(strategy, index=cluster.index, count=count)


class TensorFlowGroup(ProcessGroup):
    """Several processes; see `ProcessGroup` for what each method promises."""

    def __init__(self, strategy: Any, *, index: int, count: int):
        super().__init__(index=index, count=count)
        self._strategy = strategy
        self._compiled: Any = None

    def sum(self, numbers: Sequence[float]) -> list[float]:
        padded = np.zeros(_NUMBERS)
        padded[: len(numbers)] = numbers
        return [float(x) for x in self._sum(padded)[: len(numbers)]]

    def broadcast(self, content: bytes | None) -> bytes:
        content = (content or b"") if self.is_first else b""
        (size,) = self.sum([len(content)])
        chunk_bytes = 8 * _CHUNK
        received = []
        for start in range(0, int(size), chunk_bytes):
            part = content[start : start + chunk_bytes].ljust(chunk_bytes, b"\0")
            # Integers: a sum with zeros keeps every bit.
            received.append(self._sum(np.frombuffer(part, np.int64)).tobytes())
        return b"".join(received)[: int(size)]

    def require_same(self, digest: str) -> None:
        first = self.broadcast(digest.encode()).decode()
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

    def share_batch_statistics(self, network: keras.Model) -> None:
        share_batch_statistics(network)

    def run(self, function: Callable[..., Any], *tensors: Any) -> Any:
        return self._strategy.run(function, args=tensors)

    def sum_tensors(self, tensors: Sequence[Any]) -> list[Any]:
        return sum_in_graph(tensors)

    @contextlib.contextmanager
    def lost_as_error(self) -> Iterator[None]:
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
            # A process that was started anew, or an NCCL abort, gives other types.
            aborted = any(word in str(error.message) for word in _ABORTED)
            if not (aborted or isinstance(error, gone)):
                raise
            raise LostProcessError(
                f"Process {self.index} of {self.count} has lost "
                f"{self._other_in(str(error))}, which has ended or cannot be reached. "
                "Start all of them again: a training that keeps checkpoints goes on "
                "from its newest."
            ) from error

    def _other_in(self, message: str) -> str:
        """The other process that TensorFlow's message names."""
        tasks = {int(task) for task in re.findall(r"/task:(\d+)", message)}
        others = [str(task) for task in sorted(tasks - {self.index})]
        return f"process {', '.join(others)}" if others else "another one"

    def _sum(self, values: np.ndarray) -> np.ndarray:
        import tensorflow as tf

        if self._compiled is None:

            def add(part: Any) -> Any:
                context = tf.distribute.get_replica_context()
                return context.all_reduce(tf.distribute.ReduceOp.SUM, tf.identity(part))

            self._compiled = tf.function(
                lambda part: self._strategy.run(add, args=(part,)), autograph=False
            )
        with self.lost_as_error():
            return np.asarray(self._compiled(tf.constant(values)))


def _take_gpu(cluster: Cluster) -> bool:
    """Take one GPU of this machine for this process; False if it has none."""
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    if not gpus:
        return False
    if len(gpus) < cluster.count_on_host:
        raise UsageError(
            f"{cluster.count_on_host} processes on one machine need a GPU each. "
            f"Received: {len(gpus)} GPUs. Start as many processes as there are GPUs."
        )
    tf.config.set_visible_devices([gpus[cluster.index_on_host]], "GPU")
    return True


def _strategy(cluster: Cluster, *, has_gpu: bool) -> Any:
    """TensorFlow's own meeting; Ctrl-C and SIGTERM end it."""
    import tensorflow as tf

    # It logs every sum that is added to a graph.
    logging.getLogger("tensorflow").setLevel(logging.WARNING)
    how = tf.distribute.experimental.CommunicationImplementation
    # TensorFlow's own choice sends the sums of GPUs through the hosts' memory.
    options = tf.distribute.experimental.CommunicationOptions(
        implementation=how.NCCL if has_gpu else how.RING
    )
    # It also leaves a handler for SIGTERM that does nothing.
    numbers = (signal.SIGINT, signal.SIGTERM)
    heeded = [n for n in numbers if signal.getsignal(n) != signal.SIG_IGN]
    try:
        with signal_handlers(dict.fromkeys(heeded, signal.SIG_DFL)):
            return tf.distribute.MultiWorkerMirroredStrategy(
                communication_options=options
            )
    except tf.errors.OpError as error:
        reason = first_line(error.message).rstrip(".")
        raise SegError(
            f"Process {cluster.index} of {len(cluster.workers)} cannot join the "
            f"others: {reason}. Expected: all of {', '.join(cluster.workers)} reach "
            "each other at these addresses, and their ports are free. Start all of "
            "them again."
        ) from error
