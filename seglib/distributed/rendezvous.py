"""Processes wait for each other before TensorFlow does.

TensorFlow's own waiting logs nothing, and process 0 ignores SIGTERM meanwhile. Here
every process reports to process 0; when all have reported, it releases them, and they
find each other by TensorFlow's means within a second.
"""

import contextlib
import json
import logging
import socket
import time
from collections.abc import Iterator, Sequence

from seglib.distributed.cluster import host_and_port
from seglib.errors import SegError, UsageError

logger = logging.getLogger(__name__)

_GO = "go"
_TICK_S, _REMINDER_S = 0.5, 30.0
_LONGEST = 2**20  # bytes of a message


def meet(workers: Sequence[str], index: int) -> None:
    """Wait until all processes have reported, however long that takes.

    Args:
        workers: their addresses, HOST:PORT; the same in all of them.
        index: of this process among them.

    Raises:
        UsageError: another process has the same index, or other addresses.
        SegError: the port of this process cannot be taken.
    """
    if index == 0:
        _gather(workers)
    else:
        _report(workers, index)


def _gather(workers: Sequence[str]) -> None:
    """As process 0: collect the others, then release them."""
    port = host_and_port(workers[0])[1]
    reminder = _Reminder()
    present: dict[int, socket.socket] = {}
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(_server(port))
        server.settimeout(_TICK_S)
        while len(present) < len(workers) - 1 or _drop_closed(present):
            _drop_closed(present)
            missing = [w for i, w in enumerate(workers) if i and i not in present]
            reminder.log(f"waiting for {', '.join(missing)}")
            with contextlib.suppress(OSError):
                peer = stack.enter_context(server.accept()[0])
                _admit(peer, workers, present)
        for peer in present.values():
            _send(peer, _GO)
        for peer in present.values():  # the side that closes first occupies the port
            with contextlib.suppress(OSError):
                peer.recv(1)


def _admit(
    peer: socket.socket, workers: Sequence[str], present: dict[int, socket.socket]
) -> None:
    """Add a process that reports, or answer why it cannot take part."""
    peer.settimeout(_TICK_S)
    message = _read(peer)
    try:
        report = json.loads(message)
        index, theirs = int(report["index"]), list(report["workers"])
    except (ValueError, KeyError, TypeError):
        peer.close()  # no process of ours
        return
    _drop_closed(present)
    if theirs != list(workers):
        _send(peer, f"process 0 knows the processes {', '.join(workers)}")
    elif index in present or not 0 < index < len(workers):
        _send(peer, f"there is a process {index} already")
    else:
        present[index] = peer


def _drop_closed(present: dict[int, socket.socket]) -> bool:
    """Drop processes whose connection is closed; whether there was one."""
    closed = [index for index, peer in present.items() if _is_closed(peer)]
    for index in closed:
        present.pop(index).close()
    return bool(closed)


def _report(workers: Sequence[str], index: int) -> None:
    """Report to process 0, until it releases all."""
    with _server(host_and_port(workers[index])[1]):
        pass  # TensorFlow takes it only when the others already wait for this process
    reminder = _Reminder()
    report = json.dumps({"index": index, "workers": list(workers)})
    answer = ""
    while not answer:
        reminder.log(f"waiting for {workers[0]}, process 0, and the others")
        with (
            contextlib.suppress(OSError),  # it or its name may not exist yet
            socket.create_connection(host_and_port(workers[0]), _TICK_S) as first,
        ):
            _send(first, report)
            while not (answer := _read(first)) and not _is_closed(first):
                reminder.log("waiting for the others")
        if not answer:
            time.sleep(_TICK_S)
    if answer != _GO:
        raise UsageError(
            f"Process {index} cannot take part: {answer}. Received: "
            f"{', '.join(workers)}. Start each process once, with the same addresses."
        )


class _Reminder:
    """Logs every 30 seconds what is waited for, and nothing in the first 5."""

    def __init__(self) -> None:
        self._next = time.monotonic() + _REMINDER_S / 6

    def log(self, text: str) -> None:
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + _REMINDER_S
            logger.info("%s", text)


@contextlib.contextmanager
def _server(port: int) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if socket.has_dualstack_ipv6() else socket.AF_INET
    dual = family == socket.AF_INET6
    try:
        server = socket.create_server(("", port), family=family, dualstack_ipv6=dual)
    except OSError as error:
        raise SegError(
            f"Port {port}, where the other processes look for this one, cannot be "
            f"taken ({error.strerror}). Is another training running? Name another port."
        ) from error
    with server:
        yield server


def _send(to: socket.socket, text: str) -> None:
    with contextlib.suppress(OSError):
        to.sendall(text.encode() + b"\n")


def _read(peer: socket.socket) -> str:
    """A line; empty if none came in time."""
    received = b""
    with contextlib.suppress(OSError):
        while not received.endswith(b"\n") and len(received) < _LONGEST:
            if not (part := peer.recv(65536)):
                break
            received += part
    return received.decode(errors="replace").strip()


def _is_closed(peer: socket.socket) -> bool:
    """Whether the other side has closed the connection."""
    peer.setblocking(False)
    try:
        return peer.recv(1, socket.MSG_PEEK) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True
    finally:
        peer.settimeout(_TICK_S)
