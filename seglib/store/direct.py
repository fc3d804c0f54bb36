"""Objects over plain HTTP connections: a quarter of the CPU that boto3 takes for each.

boto3's credentials, region, endpoint and style of address are used; what comes back is
checked by whoever reads it. Whatever does not go smoothly is boto3's to try again and
to explain: this way is only taken where it works.
"""

import os
import ssl
import threading
import weakref
from collections.abc import Callable, Iterator
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any, BinaryIO, NamedTuple
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from seglib.store.objects import CHUNK, BrokenOffError

_TIMEOUT_S = 60.0  # without a byte
_MOST_FAILURES = 8  # in a row, before this way counts as closed
_LONGEST_LINE = 65_536  # bytes, of a header
_REQUEST = "GET /{} HTTP/1.1\r\nHost: {}\r\nAccept-Encoding: identity\r\n{}\r\n"


class _Line(NamedTuple):
    """A connection, and what is read from it."""

    connection: HTTPConnection
    place: tuple[str, str]  # scheme; host and port
    file: BinaryIO


class _Answer(NamedTuple):
    status: int
    length: int  # bytes of the body
    is_last: bool  # on its connection


class DirectReader:
    """Reads from the addresses that `sign` makes; each thread has its connection."""

    def __init__(self, sign: Callable[[str], str]):
        self._sign = sign
        self._own = threading.local()
        self._failures = 0
        self._context: ssl.SSLContext | None = None
        self._lines: list[_Line] = []
        weakref.finalize(self, _close_all, self._lines)

    def open(self, path: str, start: int) -> Iterator[bytes] | None:
        """The object's bytes from the `start`-th on; None where boto3 should try.

        The iterator raises BrokenOffError if the connection ends before the object.
        """
        if self._failures >= _MOST_FAILURES:
            return None
        try:
            line, answer = self._ask(self._sign(path), start)
        except (HTTPException, OSError, ValueError):
            self._failures += 1
            self._hang_up()
            return None
        if answer.status != (206 if start else 200):
            self._failures += answer.status != 404
            self._hang_up()
            return None
        self._failures = 0
        return self._chunks(line, answer)

    def _ask(self, url: str, start: int) -> tuple[_Line, _Answer]:
        scheme, _, rest = url.partition("://")
        place, _, target = rest.partition("/")
        line = self._line(scheme, place)
        part = f"Range: bytes={start}-\r\n" if start else ""
        line.connection.sock.sendall(_REQUEST.format(target, place, part).encode())
        return line, _read_head(line.file)

    def _line(self, scheme: str, place: str) -> _Line:
        line: _Line | None = getattr(self._own, "line", None)
        if line and line.place == (scheme, place):
            return line
        if scheme in getproxies() and not proxy_bypass(
            urlsplit(f"//{place}").hostname or ""
        ):
            self._failures = _MOST_FAILURES
            raise ValueError("behind a proxy, which is boto3's to use")
        if scheme == "https":
            connection: HTTPConnection = HTTPSConnection(
                place, timeout=_TIMEOUT_S, context=self._trusted()
            )
        else:
            connection = HTTPConnection(place, timeout=_TIMEOUT_S)
        connection.connect()
        file: Any = connection.sock.makefile("rb", buffering=1 << 16)
        self._own.line = _Line(connection, (scheme, place), file)
        self._lines.append(self._own.line)
        return self._own.line

    def _trusted(self) -> ssl.SSLContext:
        if self._context is None:
            bundle = os.environ.get("AWS_CA_BUNDLE") or None
            self._context = ssl.create_default_context(cafile=bundle)
        return self._context

    def _chunks(self, line: _Line, answer: _Answer) -> Iterator[bytes]:
        left = answer.length
        try:
            while left:
                chunk = line.file.read(min(left, CHUNK))
                if not chunk:
                    raise BrokenOffError(f"{left} of {answer.length} bytes are missing")
                left -= len(chunk)
                yield chunk
        except OSError as error:
            raise BrokenOffError(str(error)) from error
        finally:
            if left or answer.is_last:
                self._hang_up()

    def _hang_up(self) -> None:
        line: _Line | None = getattr(self._own, "line", None)
        if line:
            del self._own.line
            self._lines.remove(line)
            _close_all([line])


def _read_head(file: BinaryIO) -> _Answer:
    """Status and length of an answer.

    Raises:
        ValueError: its body is not of a length that is said, or it is no answer.
    """
    version, status = file.readline(_LONGEST_LINE).split(None, 2)[:2]
    length, is_last = None, False
    while (header := file.readline(_LONGEST_LINE)) not in (b"\r\n", b"\n", b""):
        name, _, value = header.partition(b":")
        name = name.lower()
        if name == b"content-length":
            length = int(value)
        elif name == b"transfer-encoding":
            raise ValueError("a body in pieces of any length")
        elif name == b"connection":
            is_last = value.strip().lower() == b"close"
    if length is None or version != b"HTTP/1.1":
        raise ValueError("not an answer of HTTP/1.1 with its length")
    return _Answer(int(status), length, is_last)


def _close_all(lines: list[_Line]) -> None:
    for line in lines:
        line.file.close()
        line.connection.close()
