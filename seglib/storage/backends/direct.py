"""Many small objects over plain HTTP connections, read by one thread.

Threads that wait for one small object each spend most of their time passing Python's
lock around. Any object that fails here is left out, and boto3 fetches it or reports the
error.
"""

import os
import selectors
import socket
import ssl
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import NamedTuple
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

LARGEST = 4 << 20  # bytes; what is larger is for those who read in pieces
_CONNECTIONS = 32
_WORTH_ANOTHER = 8  # objects from a connection that ended, for one in its place
_CONNECT_S, _SILENT_S, _TICK_S = 10.0, 30.0, 1.0
_RECEIVED_AT_ONCE = 1 << 17  # bytes
_LONGEST_HEAD = 1 << 16  # bytes
_REQUEST = "GET {} HTTP/1.1\r\nHost: {}\r\nAccept-Encoding: identity\r\n\r\n"

Sign = Callable[[str], tuple[str, str, str]]  # path -> scheme, host, target


def read_small(sign: Sign, paths: Iterable[str]) -> Iterator[tuple[str, bytearray]]:
    """Read small objects in any order; failures are left out, contents unchecked.

    Args:
        sign: makes an object's address; a ValueError says that it cannot.
        paths: of the objects; each is asked for at most once.

    Yields:
        Path and content, of at most `LARGEST` bytes.
    """
    reader = _ConnectionPool(sign, deque(paths))
    try:
        reader.connect()
        while reader.is_reading:
            yield from reader.turn()
    finally:
        reader.close()


class _Answer(NamedTuple):
    status: int
    content: bytearray
    is_last: bool  # on its connection


class _ConnectionPool:
    """Open connections, each with at most one request."""

    def __init__(self, sign: Sign, waiting: deque[str]):
        self._sign, self._waiting = sign, waiting
        self._selector = selectors.DefaultSelector()
        self._lines: set[_Connection] = set()
        self._open: Callable[[], _Connection] | None = None

    @property
    def is_reading(self) -> bool:
        return bool(self._lines)

    def connect(self) -> None:
        """Open connections side by side; an empty list if the host refuses."""
        count = min(_CONNECTIONS, len(self._waiting))
        if not count:
            return
        with suppress(OSError, ValueError):
            scheme, host, _ = self._sign("")
            self._open = _opener(scheme, host)
            with ThreadPoolExecutor(count) as pool:
                opened = [pool.submit(self._open) for _ in range(count)]
            for future in opened:
                if future.exception() is None:
                    self._begin(future.result())

    def turn(self) -> Iterator[tuple[str, bytearray]]:
        """Wait for data, and return the objects that are complete."""
        for key, _ in self._selector.select(_TICK_S):
            if found := self._proceed(key.data):
                yield found
        silent_since = time.monotonic() - _SILENT_S
        for line in [line for line in self._lines if line.heard < silent_since]:
            self._end(line)

    def close(self) -> None:
        for line in tuple(self._lines):
            self._end(line)
        self._selector.close()

    def _proceed(self, line: "_Connection") -> tuple[str, bytearray] | None:
        try:
            answer = line.receive()
        except (OSError, ValueError):
            self._replace(line)
            return None
        if answer is None:
            return None
        path, good = line.path, answer.status == 200
        if not good and answer.status != 404:  # refused, or overloaded: ask for less
            self._end(line)
            return None
        line.brought += good
        if answer.is_last:
            self._replace(line)
        else:
            self._ask(line)
        return (path, answer.content) if good else None

    def _begin(self, line: "_Connection") -> None:
        self._lines.add(line)
        self._selector.register(line.socket, selectors.EVENT_READ, line)
        self._ask(line)

    def _ask(self, line: "_Connection") -> None:
        if not self._waiting:
            self._end(line)
            return
        try:
            line.ask(self._waiting.popleft(), self._sign)
        except (OSError, ValueError):
            self._replace(line)

    def _replace(self, line: "_Connection") -> None:
        self._end(line)
        if self._open and self._waiting and line.brought >= _WORTH_ANOTHER:
            with suppress(OSError):
                self._begin(self._open())

    def _end(self, line: "_Connection") -> None:
        if line in self._lines:
            self._lines.remove(line)
            self._selector.unregister(line.socket)
            line.socket.close()


class _Connection:
    """A connection, and the part of its answer that has arrived."""

    def __init__(self, opened: socket.socket):
        opened.setblocking(False)
        self.socket = opened
        self.path = ""
        self.heard = time.monotonic()
        self.brought = 0  # objects
        self._clear()

    def ask(self, path: str, sign: Sign) -> None:
        """Ask for an object.

        Raises:
            OSError: the connection has ended.
            ValueError: there is no address.
        """
        self._clear()
        self.path = path
        _, host, target = sign(path)
        request = _REQUEST.format(target, host).encode()
        if self.socket.send(request) < len(request):
            raise OSError("a connection that does not take a request")

    def receive(self) -> _Answer | None:
        """Receive data; returns the answer once it is complete.

        Raises:
            OSError: the connection has ended.
            ValueError: what comes is too large, or no answer.
        """
        self.heard = time.monotonic()
        try:
            while self._content is None:
                self._head += self._some(self.socket.recv(_RECEIVED_AT_ONCE))
                self._read_head()
            while self._filled < len(self._content):
                rest = memoryview(self._content)[self._filled :]
                count = self.socket.recv_into(rest)
                self._filled += count or len(self._some(b""))
        except (BlockingIOError, ssl.SSLWantReadError):
            return None
        return _Answer(self._status, self._content, self._is_last)

    def _clear(self) -> None:
        self._head = b""
        self._content: bytearray | None = None
        self._filled = self._status = 0
        self._is_last = False

    def _some(self, received: bytes) -> bytes:
        if not received:
            raise ConnectionResetError("the answer broke off")
        return received

    def _read_head(self) -> None:
        """Allocate the content once the whole head has arrived."""
        head, end, begun = self._head.partition(b"\r\n\r\n")
        if not end:
            if len(head) > _LONGEST_HEAD:
                raise ValueError("an endless head")
            return
        first, *lines = head.split(b"\r\n")
        version, status = first.split(None, 2)[:2]
        length = None
        for line in lines:
            name, _, value = line.partition(b":")
            name = name.lower()
            if name == b"content-length":
                length = int(value)
            elif name == b"transfer-encoding":
                raise ValueError("a body in pieces of any length")
            elif name == b"connection":
                self._is_last = value.strip().lower() == b"close"
        if length is None or version != b"HTTP/1.1":
            raise ValueError("not an answer of HTTP/1.1 with its length")
        if not len(begun) <= length <= LARGEST:
            raise ValueError("larger than what is read at once")
        self._status = int(status)
        self._content = bytearray(length)
        self._content[: len(begun)] = begun
        self._filled = len(begun)


def _opener(scheme: str, host: str) -> Callable[[], _Connection]:
    """What opens a connection.

    Raises:
        ValueError: there is a proxy on the way, which is boto3's to use.
        OSError: certificates cannot be read.
    """
    place = urlsplit(f"//{host}")
    name = place.hostname or ""
    if scheme in getproxies() and not proxy_bypass(name):
        raise ValueError("behind a proxy")
    address = name, place.port or (443 if scheme == "https" else 80)
    context = None
    if scheme == "https":
        bundle = os.environ.get("AWS_CA_BUNDLE") or None
        context = ssl.create_default_context(cafile=bundle)

    def open_line() -> _Connection:
        plain = socket.create_connection(address, timeout=_CONNECT_S)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if context is None:
            return _Connection(plain)
        return _Connection(context.wrap_socket(plain, server_hostname=name))

    return open_line
