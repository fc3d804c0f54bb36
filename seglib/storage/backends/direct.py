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
    pool = _ConnectionPool(sign, deque(paths))
    try:
        pool.connect()
        while pool.connections:
            yield from pool.turn()
    finally:
        pool.close()


class _ConnectionPool:
    """Open connections, each with at most one request."""

    def __init__(self, sign: Sign, waiting: deque[str]):
        self.connections: set[_Connection] = set()
        self._sign, self._waiting = sign, waiting
        self._selector = selectors.DefaultSelector()
        self._open: Callable[[], _Connection]

    def connect(self) -> None:
        """Open connections side by side; none if the host refuses."""
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
            connection: _Connection = key.data
            try:
                content = connection.receive()
            except (OSError, ValueError):
                self._replace(connection)
                continue
            if content is None:
                continue
            path, status = connection.path, connection.status
            if status not in (200, 404):  # refused, or overloaded: ask for less
                self._end(connection)
                continue
            connection.brought += status == 200
            if connection.is_last:
                self._replace(connection)
            else:
                self._ask(connection)
            if status == 200:
                yield path, content
        silent_since = time.monotonic() - _SILENT_S
        for connection in tuple(self.connections):
            if connection.heard < silent_since:
                self._end(connection)

    def close(self) -> None:
        for connection in tuple(self.connections):
            self._end(connection)
        self._selector.close()

    def _begin(self, connection: "_Connection") -> None:
        self.connections.add(connection)
        self._selector.register(connection.socket, selectors.EVENT_READ, connection)
        self._ask(connection)

    def _ask(self, connection: "_Connection") -> None:
        if not self._waiting:
            self._end(connection)
            return
        try:
            connection.ask(self._waiting.popleft(), self._sign)
        except (OSError, ValueError):
            self._replace(connection)

    def _replace(self, connection: "_Connection") -> None:
        self._end(connection)
        if self._waiting and connection.brought >= _WORTH_ANOTHER:
            with suppress(OSError):
                self._begin(self._open())

    def _end(self, connection: "_Connection") -> None:
        if connection in self.connections:
            self.connections.remove(connection)
            self._selector.unregister(connection.socket)
            connection.socket.close()


class _Connection:
    """A connection, and the part of its answer that has arrived."""

    def __init__(self, opened: socket.socket):
        opened.setblocking(False)
        self.socket = opened
        self.path = ""
        self.status = 0  # of the answer
        self.is_last = False  # whether no other answer will come
        self.heard = time.monotonic()
        self.brought = 0  # objects
        self._head = b""
        self._content: bytearray | None = None
        self._filled = 0

    def ask(self, path: str, sign: Sign) -> None:
        """Ask for an object.

        Raises:
            OSError: the connection has ended.
            ValueError: there is no address.
        """
        self.path, self._head, self._content = path, b"", None
        _, host, target = sign(path)
        request = _REQUEST.format(target, host).encode()
        if self.socket.send(request) < len(request):
            raise OSError("a connection that does not take a request")

    def receive(self) -> bytearray | None:
        """Receive data; returns the answer's content once it is complete.

        Raises:
            OSError: the connection has ended.
            ValueError: what comes is too large, or no answer.
        """
        self.heard = time.monotonic()
        try:
            while self._content is None:
                received = self.socket.recv(_RECEIVED_AT_ONCE)
                if not received:
                    raise ConnectionResetError("the answer broke off")
                self._head += received
                self._read_head()
            while self._filled < len(self._content):
                rest = memoryview(self._content)[self._filled :]
                count = self.socket.recv_into(rest)
                if not count:
                    raise ConnectionResetError("the answer broke off")
                self._filled += count
        except (BlockingIOError, ssl.SSLWantReadError):
            return None
        return self._content

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
        self.is_last = False
        for line in lines:
            name, _, value = line.partition(b":")
            name = name.lower()
            if name == b"content-length":
                length = int(value)
            elif name == b"transfer-encoding":
                raise ValueError("a body in pieces of any length")
            elif name == b"connection":
                self.is_last = value.strip().lower() == b"close"
        if length is None or version != b"HTTP/1.1":
            raise ValueError("not an answer of HTTP/1.1 with its length")
        if not len(begun) <= length <= LARGEST:
            raise ValueError("larger than what is read at once")
        self.status = int(status)
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

    def connection() -> _Connection:
        plain = socket.create_connection(address, timeout=_CONNECT_S)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if context is None:
            return _Connection(plain)
        return _Connection(context.wrap_socket(plain, server_hostname=name))

    return connection
