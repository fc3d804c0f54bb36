"""A gate before servers: it counts requests, and kills the client at one of them."""

import http.client
import os
import re
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit


@dataclass
class Gate:
    """What passes, and what is not to.

    Attributes:
        passed: "METHOD path" of every request, in order.
        pid: of the client that is killed.
        at: the number of the request at which it is, from 1; 0: at none.
        match: or a pattern of the request.
        done: whether that request is passed on first.
    """

    passed: list[str] = field(default_factory=list)
    pid: int = 0
    at: int = 0
    match: str = ""
    done: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def before(self, target: str) -> Iterator[str]:
        """The address of a gate before the server at `target`."""
        handler = type("Handler", (_Handler,), {"gate": self, "target": target})
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        server.daemon_threads = True
        server.block_on_close = False
        thread = threading.Thread(
            target=server.serve_forever, args=(0.02,), daemon=True
        )
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            server.server_close()
            thread.join()

    def count(self, request: str) -> bool:
        """Note a request; whether the client is killed at it."""
        with self.lock:
            self.passed.append(request)
            if self.match:
                return re.search(self.match, request) is not None
            return len(self.passed) == self.at


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    gate: Gate
    target: str

    def handle_any(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        fatal = self.gate.count(f"{self.command} {urlsplit(self.path).path}")
        if fatal and not self.gate.done:
            self._kill()
            return
        status, headers, content = self._pass_on(body)
        if fatal:
            self._kill()
            return
        self.send_response(status)
        for name in ("Content-Type", "Link", "Retry-After"):
            if name in headers:
                self.send_header(name, headers[name])
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = handle_any  # noqa: N815

    def _pass_on(self, body: bytes) -> tuple[int, Any, bytes]:
        connection = http.client.HTTPConnection(urlsplit(self.target).netloc)
        own = ("host", "connection", "content-length")
        headers = {k: v for k, v in self.headers.items() if k.lower() not in own}
        connection.request(self.command, self.path, body or None, headers)
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        return answer.status, answer.headers, content

    def _kill(self) -> None:
        os.kill(self.gate.pid, signal.SIGKILL)
        self.close_connection = True

    def log_message(self, *_: Any) -> None:
        pass
