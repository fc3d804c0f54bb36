"""A proxy on loopback that counts requests, and makes a real server behind it fail."""

import http.client
import http.server
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from benchmarks.waiting import HANG_S

_ERROR = b"<Error><Code>%s</Code><Message>Try again.</Message></Error>"
_CODES = {500: b"InternalError", 503: b"ServiceUnavailable"}


@dataclass
class Proxy:
    """Requests go through, save those for which `fault` names what befalls them.

    A number: this status, and the server never hears of it. "short": half of the body,
    "torn": half of it, in chunks, and then a reset of the connection.
    "lost": the server does what it was asked, and its answer gets lost. "slow": in
    small pieces. "plain": without the conditions of the request. "hold": nothing, until
    `release` is set.
    """

    address: str
    fault: Callable[[str, str, int], int | str] = lambda *_: ""
    seen: Counter = field(default_factory=Counter)  # (method, path) -> requests
    ranges: list[str] = field(default_factory=list)  # parts that were asked for
    unchecked: list[str] = field(default_factory=list)  # written without an md5
    held: threading.Event = field(default_factory=threading.Event)
    release: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def reads(self) -> dict[str, int]:
        """How often each object was asked for."""
        return {
            path.rpartition("/md5/")[2]: count
            for (method, path), count in self.seen.items()
            if method == "GET" and "/md5/" in path
        }


@contextmanager
def proxy(server: str) -> Iterator[Proxy]:
    """A proxy in front of a server."""

    class Handler(_Handler):
        upstream = server.removeprefix("http://")

    listener = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    listener.daemon_threads = True
    Handler.proxy = Proxy(f"http://127.0.0.1:{listener.server_address[1]}")
    thread = threading.Thread(target=listener.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield Handler.proxy
    finally:
        Handler.proxy.release.set()
        listener.shutdown()
        thread.join()
        listener.server_close()


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # or each answer takes 40 ms
    proxy: Proxy
    upstream: str

    def handle_request(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = self.path.partition("?")[0]
        with self.proxy.lock:
            self.proxy.seen[self.command, path] += 1
            self.proxy.ranges += self.headers.get_all("Range") or []
            if self.command == "PUT" and "Content-MD5" not in self.headers:
                self.proxy.unchecked.append(path)
            number = self.proxy.seen[self.command, path]
        fault = self.proxy.fault(self.command, path, number)
        if isinstance(fault, int):
            self._answer(fault, {"Content-Type": "text/xml"}, _ERROR % _CODES[fault])
            return
        if fault == "hold":
            self.proxy.held.set()
            self.proxy.release.wait()
        status, headers, content = self._forward(body, plain=fault == "plain")
        if fault == "lost":
            self.close_connection = True
        else:
            self._answer(status, headers, content, fault)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = handle_request  # noqa: N815

    def _forward(self, body: bytes, *, plain: bool) -> tuple[int, dict, bytes]:
        headers = {
            name: value
            for name, value in self.headers.items()
            if not (plain and name.lower() in ("if-match", "if-none-match"))
            and name.lower() not in ("expect", "connection")
        }
        connection = http.client.HTTPConnection(self.upstream, timeout=HANG_S)
        try:
            connection.request(self.command, self.path, body, headers)
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()
        finally:
            connection.close()

    def _answer(
        self, status: int, headers: dict, content: bytes, fault: str = ""
    ) -> None:
        self.send_response(status)
        for name, value in headers.items():
            if name.lower() not in ("content-length", "transfer-encoding", "date"):
                self.send_header(name, value)
        length = headers.get("Content-Length") if self.command == "HEAD" else None
        if fault == "torn":
            self.send_header("Transfer-Encoding", "chunked")
        else:
            self.send_header("Content-Length", length or str(len(content)))
        self.end_headers()
        if self.command == "HEAD":
            return
        if fault == "torn":
            half = content[: len(content) // 2]
            self.wfile.write(b"%x\r\n%s\r\n" % (len(half) + 9, half))
            self.close_connection = True
            # No wait for what was sent: the peer gets a reset.
            linger = struct.pack("ii", 1, 0)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            return
        if fault == "short" and content:
            content, self.close_connection = content[: len(content) // 2], True
        pieces = 8 if fault == "slow" else 1
        size = -(-len(content) // pieces) or 1
        for start in range(0, len(content), size):
            self.wfile.write(content[start : start + size])
            if fault == "slow":
                time.sleep(0.02)

    def log_message(self, *args: object) -> None:
        """Stay quiet."""

    def handle(self) -> None:
        try:
            super().handle()
        except OSError:  # whoever asked is gone
            self.close_connection = True
