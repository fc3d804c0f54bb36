"""Servers for tests that need them to fail: MLflow's own, and ones that misbehave."""

import base64
import os
import signal
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from benchmarks.waiting import HANG_S, wait_for_answer


class MlflowServer:
    """A real MLflow server that can be killed and started again, on the same port."""

    def __init__(self, folder: Path, *, store: str = ""):
        self.folder = folder
        self.port = free_port()
        self.uri = f"http://127.0.0.1:{self.port}"
        self._store = store or f"sqlite:///{folder}/server.db"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.begin()
        self.wait()

    def begin(self) -> None:
        """Start it without waiting until it answers."""
        folder = str(self.folder / "artifacts")
        with (self.folder / "server.log").open("a") as log:
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "mlflow", "server", "--workers", "1"),
                    *("--port", str(self.port), "--host", "127.0.0.1"),
                    *("--backend-store-uri", self._store),
                    *("--artifacts-destination", folder),
                ],
                env={**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def wait(self) -> None:
        assert self._process
        log = self.folder / "server.log"
        wait_for_answer(f"{self.uri}/health", self._process, log=log)

    def kill(self) -> None:
        """End it and its workers at once, in the middle of whatever they do."""
        if self._process and self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()


class Proxy:
    """Passes requests on to a server, answers by itself (500, 401), or not at all."""

    def __init__(self, target: str, *, login: str = ""):
        self.away = False
        self.failing = False
        self.login = login  # user:password, without which it answers 401
        self.failed = 0
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                body = self.rfile.read(length)
                if proxy.away:
                    self.close_connection = True
                    return
                if proxy.failing:
                    proxy.failed += 1
                    self._answer(500, b"broken", {})
                    return
                if proxy.login and not self._is_let_in():
                    self._answer(401, b"<html>Log in.</html>", {})
                    return
                request = urllib.request.Request(
                    target + self.path, data=body or None, method=self.command
                )
                for name in ("Content-Type", "Accept"):
                    if name in self.headers:
                        request.add_header(name, self.headers[name])
                try:
                    with urllib.request.urlopen(request, timeout=HANG_S) as answer:
                        self._answer(answer.status, answer.read(), answer.headers)
                except urllib.error.HTTPError as error:
                    with error:
                        self._answer(error.code, error.read(), error.headers)

            def _is_let_in(self) -> bool:
                given = self.headers.get("Authorization", "").removeprefix("Basic ")
                return base64.b64decode(given).decode() == proxy.login

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any  # noqa: N815

            def _answer(self, status: int, body: bytes, headers: Any) -> None:
                self.send_response(status)
                kind = headers.get("Content-Type") or "text/plain"
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self.uri = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@contextmanager
def silent_server() -> Iterator[str]:
    """The address of a server that accepts connections and never answers."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(128)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
