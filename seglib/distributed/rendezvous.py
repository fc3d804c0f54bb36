"""Processes wait for each other before TensorFlow does.

TensorFlow's own waiting says nothing, and the first process takes no notice of SIGTERM
meanwhile. Here every process tells the first one who it is; when all have come, it lets
them go on, and they find each other by TensorFlow's means within a second.
"""

import contextlib
import json
import logging
import socket
import time
from collections.abc import Iterator, Sequence

from seglib.errors import SegError, UsageError

logger = logging.getLogger(__name__)

_GO = "go"
_TICK_S, _REMINDED_S = 0.5, 30.0
_LONGEST = 2**20  # bytes of a message


def meet(workers: Sequence[str], index: int) -> None:
    """Wait until all processes have come, however long that takes.

    Args:
        workers: their addresses, HOST:PORT; the same in all of them.
        index: which of them this one is.

    Raises:
        UsageError: another process is the same one, or has other addresses.
        SegError: this one's port cannot be taken.
    """
    if index == 0:
        _receive(workers)
    else:
        _come(workers, index)


def host_and_port(address: str) -> tuple[str, int]:
    """The parts of HOST:PORT or [IPv6]:PORT.

    Raises:
        UsageError: it is neither.
    """
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal():
        raise UsageError(f"{address!r}: expected HOST:PORT.")
    return host.removeprefix("[").removesuffix("]"), int(port)


def _receive(workers: Sequence[str]) -> None:
    """As the first one: take down who comes, and let all go."""
    port = host_and_port(workers[0])[1]
    reminder = _Reminder()
    here: dict[int, socket.socket] = {}
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(_server(port))
        server.settimeout(_TICK_S)
        while len(here) < len(workers) - 1 or _drop_who_left(here):
            _drop_who_left(here)
            missing = [w for i, w in enumerate(workers) if i and i not in here]
            reminder.say(f"waiting for {', '.join(missing)}")
            with contextlib.suppress(OSError):
                visitor = stack.enter_context(server.accept()[0])
                _take_down(visitor, workers, here)
        for visitor in here.values():
            _send(visitor, _GO)
        for visitor in here.values():  # who closes first keeps the port for a while
            with contextlib.suppress(OSError):
                visitor.recv(1)


def _take_down(
    visitor: socket.socket, workers: Sequence[str], here: dict[int, socket.socket]
) -> None:
    """Add one that has come, or tell it why not."""
    visitor.settimeout(_TICK_S)
    message = _read(visitor)
    try:
        told = json.loads(message)
        index, theirs = int(told["index"]), list(told["workers"])
    except (ValueError, KeyError, TypeError):
        visitor.close()  # no process of ours
        return
    _drop_who_left(here)
    if theirs != list(workers):
        _send(visitor, f"the first one knows the processes {', '.join(workers)}")
    elif index in here or not 0 < index < len(workers):
        _send(visitor, f"there is a process {index} already")
    else:
        here[index] = visitor


def _drop_who_left(here: dict[int, socket.socket]) -> bool:
    """Forget who has come and gone again; whether there was one."""
    left = [index for index, visitor in here.items() if _has_left(visitor)]
    for index in left:
        here.pop(index).close()
    return bool(left)


def _come(workers: Sequence[str], index: int) -> None:
    """Tell the first one who this is, until it lets all go."""
    with _server(host_and_port(workers[index])[1]):
        pass  # TensorFlow will take it, when the others already wait for this one
    reminder = _Reminder()
    hello = json.dumps({"index": index, "workers": list(workers)})
    answer = ""
    while not answer:
        reminder.say(f"waiting for {workers[0]}, the first process, and the others")
        with (
            contextlib.suppress(OSError),  # not there yet, or its name is not known yet
            socket.create_connection(host_and_port(workers[0]), _TICK_S) as first,
        ):
            _send(first, hello)
            while not (answer := _read(first)) and not _has_left(first):
                reminder.say("waiting for the others")
        if not answer:
            time.sleep(_TICK_S)
    if answer != _GO:
        raise UsageError(
            f"Process {index} cannot take part: {answer}. Received: "
            f"{', '.join(workers)}. Start each process once, with the same addresses."
        )


class _Reminder:
    """Says now and then what is waited for, and not in the first seconds."""

    def __init__(self) -> None:
        self._next = time.monotonic() + _REMINDED_S / 6

    def say(self, text: str) -> None:
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + _REMINDED_S
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


def _has_left(peer: socket.socket) -> bool:
    """Whether the other side has closed."""
    peer.setblocking(False)
    try:
        return peer.recv(1, socket.MSG_PEEK) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True
    finally:
        peer.settimeout(_TICK_S)
