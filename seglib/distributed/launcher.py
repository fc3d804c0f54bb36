"""Start the processes of a group on this machine, one a device, or join a group."""

import contextlib
import multiprocessing
import multiprocessing.connection
import os
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import FrameType
from typing import Any

from seglib.distributed.cluster import Cluster
from seglib.distributed.process_group import (
    LostProcessError,
    ProcessGroup,
    signal_handlers,
)
from seglib.environment import TF_CONFIG
from seglib.errors import SegError, UsageError, disk_problem
from seglib.hardware import gpu_count
from seglib.noise import load_backend

_GRACE_S = 60.0  # in which the others write their state, or notice that one is lost
_SHOWN_LINES = 30  # of the output of a process that failed


def launch(function: Callable[..., Any], *arguments: Any, processes: int = 0) -> None:
    """Call a function in several processes of this machine that train together.

    Each process calls `function(group, *arguments)`; the group is what `seglib.train`
    takes as `processes`. They find each other on loopback ports. What process 0 prints
    is printed; of the others, only the end of what one printed that fails. The first
    that fails ends all; Ctrl-C and SIGTERM reach all as SIGTERM, after which a training
    writes its state and ends.

    Args:
        function: of a module that can be imported, not of an interactive session; a
            script calls `launch` under `if __name__ == "__main__":`.
        arguments: for the function; they are pickled.
        processes: how many. Default: one for each GPU that TensorFlow sees, or one.

    Raises:
        SystemExit: a process failed, with its status; the process has said why.
        KeyboardInterrupt: after Ctrl-C, once all have ended.

    Example:
        >>> def work(group, folder):
        ...     data = seglib.load_dataset(folder)
        ...     model = seglib.build_model("unet", num_classes=8, image_size=(96, 128))
        ...     seglib.train(model, data, out="model", processes=group)
        >>> seglib.distributed.launch(work, "data")  # doctest: +SKIP
    """
    if not processes:
        processes = gpu_count() or 1
    ports = free_ports(processes)
    workers = tuple(f"127.0.0.1:{port}" for port in ports)
    clusters = [Cluster(workers, index) for index in range(processes)]
    status = run_processes(_call_with_group, (function, *arguments), clusters)
    if status:
        raise SystemExit(status)


def join() -> ProcessGroup:
    """Join the processes that TF_CONFIG names, and wait until all of them are there.

    It has to come before anything else that uses TensorFlow.

    Returns:
        The group; of one process without the variable, or with one worker in it.

    Raises:
        UsageError: TF_CONFIG is malformed, the backend is not TensorFlow, or there are
            fewer GPUs than processes on this machine.
        SegError: the port of this process is taken, or another cannot be reached.
    """
    cluster = Cluster.from_environment()
    count = len(cluster.workers)
    if count < 2:
        return ProcessGroup()
    load_backend()
    import keras

    if keras.backend.backend() != "tensorflow":
        raise UsageError(
            f"{TF_CONFIG} names {count} processes, which train together on the "
            f"TensorFlow backend only. Received: {keras.backend.backend()}."
        )
    from seglib.distributed.tensorflow_group import connect

    return connect(cluster)


def run_processes(
    function: Callable[..., Any],
    arguments: Sequence[Any],
    clusters: Sequence[Cluster],
) -> int:
    """Start the processes of a group that belong on this machine, and wait for them.

    Args:
        function: is called with the arguments in each of them, where the variable
            TF_CONFIG says which process it is; `seglib.distributed.join` reads it.
        arguments: for the function; both are pickled.
        clusters: of each process to start.

    Returns:
        The exit status: 0, or that of the process that failed first; 128 + the signal
        if it was killed, or if this one received SIGTERM.

    Raises:
        KeyboardInterrupt: after Ctrl-C, once all have ended.
    """
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory(prefix="seglib-processes-") as folder:
        logs = [Path(folder) / f"{cluster.index}.log" for cluster in clusters]
        processes: list[BaseProcess] = [
            context.Process(target=_work, args=(function, arguments, cluster, str(log)))
            for cluster, log in zip(clusters, logs, strict=True)
        ]
        received: list[int] = []

        def forward(number: int, _frame: FrameType | None) -> None:
            for process in processes:
                if process.pid and process.exitcode is None:
                    process.kill() if received else process.terminate()
            received.append(number)

        with signal_handlers({signal.SIGINT: forward, signal.SIGTERM: forward}):
            try:
                for process in processes:
                    if not received:
                        process.start()
                started = [process for process in processes if process.pid]
                for process in started if received else ():
                    process.terminate()  # the signal came while it was being started
                failed = _first_failure(started)
            finally:
                for process in processes:
                    if process.pid:
                        process.kill()
                        process.join()
        if signal.SIGINT in received[:1]:
            raise KeyboardInterrupt
        if failed is None:
            return 0 if len(started) == len(processes) else 128 + signal.SIGTERM
        index = processes.index(failed)
        if clusters[index].index and not received:
            _show(logs[index], clusters[index])
        code = failed.exitcode or 1
        return 128 - code if code < 0 else code


def _call_with_group(function: Callable[..., Any], *arguments: Any) -> None:
    function(join(), *arguments)


def _work(
    function: Callable[..., Any], arguments: Sequence[Any], cluster: Cluster, log: str
) -> None:
    """What a process does: call the function, and end with a status."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the launcher sends SIGTERM instead
    threading.Thread(target=_end_with_launcher, daemon=True).start()
    os.environ[TF_CONFIG] = cluster.to_json()
    if cluster.index:
        output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
            os.dup2(output, stream.fileno())
    try:
        function(*arguments)
    except Exception as error:
        told = error if isinstance(error, SegError) else disk_problem(error)
        if told is None:
            raise
        sys.stderr.write(f"error: {told}\n")
        sys.exit(told.exit_code)


def _end_with_launcher() -> None:
    """End this process, as by SIGTERM, when the one that started it is gone."""
    launcher = multiprocessing.parent_process()
    if launcher is not None:
        launcher.join()
        os.kill(os.getpid(), signal.SIGTERM)


def _first_failure(running: Sequence[BaseProcess]) -> BaseProcess | None:
    """Wait until all have ended, or a while after one has failed.

    Returns:
        The process that failed first, and not because another one did.
    """
    failed: list[BaseProcess] = []
    left, deadline = list(running), float("inf")
    while left and time.monotonic() < deadline:
        wait_s = None if deadline == float("inf") else deadline - time.monotonic()
        multiprocessing.connection.wait([p.sentinel for p in left], wait_s)
        ended = [process for process in left if process.exitcode is not None]
        left = [process for process in left if process not in ended]
        failed += [process for process in ended if process.exitcode]
        if failed:
            deadline = min(deadline, time.monotonic() + _GRACE_S)
    lost = LostProcessError.exit_code
    causes = [process for process in failed if process.exitcode != lost]
    return next(iter([*causes, *failed]), None)


def _show(log: Path, cluster: Cluster) -> None:
    """Print the end of what another process than the first has printed."""
    text = log.read_text(errors="replace") if log.exists() else ""
    lines = text.splitlines()[-_SHOWN_LINES:]
    head = f"process {cluster.index + 1} of {len(cluster.workers)} failed"
    sys.stderr.write("\n".join([f"{head}:" if lines else f"{head}.", *lines]) + "\n")


def free_ports(count: int) -> list[int]:
    """Ports of this machine that no program listens on now."""
    with contextlib.ExitStack() as stack:
        servers = [
            stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            for _ in range(count)
        ]
        return [server.getsockname()[1] for server in servers]
