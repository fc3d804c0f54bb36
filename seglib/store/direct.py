"""Objects over plain HTTP connections: a quarter of the CPU that boto3 takes for each.

boto3 signs the addresses, so credentials, region, endpoint and style of address are
its own; what comes back is checked by whoever reads it. Whatever does not go smoothly
is boto3's to try again and to explain: this way is only taken where it works.
"""

import os
import ssl
import threading
import weakref
from collections.abc import Callable, Iterator
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from seglib.store.objects import CHUNK, BrokenOffError

_TIMEOUT_S = 60.0  # without a byte
_MOST_FAILURES = 8  # before this way counts as closed


class DirectReader:
    """Reads from the addresses that `sign` makes; each thread has its connection."""

    def __init__(self, sign: Callable[[str], str]):
        self._sign = sign
        self._own = threading.local()
        self._failures = 0  # in a row
        self._context: ssl.SSLContext | None = None
        self._connections: list[HTTPConnection] = []
        weakref.finalize(self, _close_all, self._connections)

    def open(self, path: str, start: int) -> Iterator[bytes] | None:
        """The object's bytes from the `start`-th on; None where boto3 should try.

        The iterator raises BrokenOffError if the connection ends before the object.
        """
        if self._failures >= _MOST_FAILURES:
            return None
        try:
            answer = self._ask(self._sign(path), start)
        except (HTTPException, OSError, ValueError):
            self._give_up()
            return None
        if answer.status == 404:
            self._hang_up()
            return None
        if answer.status != (206 if start else 200):
            self._give_up()
            return None
        self._failures = 0
        return self._chunks(answer)

    def _ask(self, url: str, start: int) -> HTTPResponse:
        place, _, target = url.partition("://")[2].partition("/")
        connection = self._connection(url.partition("://")[0], place)
        headers = {"Range": f"bytes={start}-"} if start else {}
        connection.request("GET", f"/{target}", headers=headers)
        return connection.getresponse()

    def _connection(self, scheme: str, place: str) -> HTTPConnection:
        if getattr(self._own, "place", None) == (scheme, place):
            connection: HTTPConnection = self._own.connection
            return connection
        host = urlsplit(f"//{place}").hostname or ""
        if scheme in getproxies() and not proxy_bypass(host):
            self._failures = _MOST_FAILURES
            raise ValueError("behind a proxy, which is boto3's to use")
        if scheme == "https":
            connection = HTTPSConnection(
                place, timeout=_TIMEOUT_S, context=self._trusted()
            )
        else:
            connection = HTTPConnection(place, timeout=_TIMEOUT_S)
        self._own.place, self._own.connection = (scheme, place), connection
        self._connections.append(connection)
        return connection

    def _trusted(self) -> ssl.SSLContext:
        if self._context is None:
            bundle = os.environ.get("AWS_CA_BUNDLE") or None
            self._context = ssl.create_default_context(cafile=bundle)
        return self._context

    def _chunks(self, answer: HTTPResponse) -> Iterator[bytes]:
        whole = False
        try:
            if answer.length is not None and answer.length <= CHUNK:
                yield answer.read()
            else:
                while chunk := answer.read(CHUNK):
                    yield chunk
            if answer.length:  # bytes that should have come
                raise BrokenOffError(f"{answer.length} bytes are missing")
            whole = True
        except (HTTPException, OSError) as error:
            raise BrokenOffError(str(error)) from error
        finally:
            if not whole:
                self._hang_up()

    def _give_up(self) -> None:
        self._failures += 1
        self._hang_up()

    def _hang_up(self) -> None:
        if hasattr(self._own, "connection"):
            self._own.connection.close()


def _close_all(connections: list[HTTPConnection]) -> None:
    for connection in connections:
        connection.close()
