"""Processes wait for each other; here each is a thread."""

import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from contextlib import ExitStack, nullcontext, suppress

import pytest

from benchmarks.waiting import HANG_S, wait_until
from seglib.distributed import rendezvous
from seglib.distributed.cluster import host_and_port
from seglib.distributed.rendezvous import meet
from seglib.errors import SegError, UsageError

A_MOMENT_S = 0.3  # in which nothing happens

Start = Callable[[list[str], int], "Future[None]"]


@pytest.fixture
def workers() -> list[str]:
    with ExitStack() as stack:
        servers = [
            stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            for _ in range(3)
        ]
        return [f"127.0.0.1:{server.getsockname()[1]}" for server in servers]


@pytest.fixture
def start():
    def begin(workers: list[str], index: int) -> Future[None]:
        future: Future[None] = Future()

        def run() -> None:
            try:
                future.set_result(meet(workers, index))
            except SegError as error:
                future.set_exception(error)

        # A daemon: one that waits for ever is not waited for.
        threading.Thread(target=run, daemon=True).start()
        return future

    return begin


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2)])
def test_all_are_released_once_the_last_has_reported(start: Start, workers, order):
    first_two = [start(workers, index) for index in order[:2]]
    assert not wait(first_two, timeout=A_MOMENT_S).done
    for each in (*first_two, start(workers, order[2])):
        each.result(timeout=HANG_S)


def test_a_process_that_was_started_again_counts_once(start: Start, workers):
    first = start(workers, 0)
    host, port = host_and_port(workers[0])
    hello = f'{{"index": 1, "workers": {workers}}}'.replace("'", '"')
    _connect(host, port, hello.encode() + b"\n").close()
    rest = [start(workers, index) for index in (1, 2)]
    for each in (first, *rest):
        each.result(timeout=HANG_S)


def test_connections_of_other_programs_change_nothing(start: Start, workers):
    first = start(workers, 0)
    strangers = [
        _connect(*host_and_port(workers[0]), words)
        for words in (b"GET / HTTP/1.1\r\n\r\n", b"[]\n", b"\xff\n", b"")
    ]
    for each in (start(workers, 1), start(workers, 2), first):
        each.result(timeout=HANG_S)
    for stranger in strangers:
        stranger.close()


def test_a_second_process_of_the_same_index_is_refused(
    start: Start, workers, monkeypatch
):
    monkeypatch.setattr(rendezvous, "_TICK_S", 60.0)  # within which it says who it is
    first = start(workers, 0)
    hello = f'{{"index": 1, "workers": {workers}}}'.replace("'", '"')
    host, port = host_and_port(workers[0])
    one = _connect(host, port, hello.encode() + b"\n")
    with pytest.raises(UsageError, match="there is a process 1 already"):
        start(workers, 1).result(timeout=HANG_S)
    one.close()
    for each in (start(workers, 1), start(workers, 2), first):
        each.result(timeout=HANG_S)


def test_a_process_with_other_addresses_is_refused(start: Start, workers):
    first = start(workers, 0)
    with pytest.raises(UsageError, match="process 0 knows the processes"):
        start(workers[:2], 1).result(timeout=HANG_S)
    for each in (start(workers, 1), start(workers, 2), first):
        each.result(timeout=HANG_S)


@pytest.mark.parametrize("index", [0, 1])
def test_a_port_that_is_taken_is_named(index):
    with socket.create_server(("", 0)) as taken:
        port = taken.getsockname()[1]
        workers = ["127.0.0.1:1", "127.0.0.1:2"]
        workers[index] = f"127.0.0.1:{port}"
        with pytest.raises(SegError, match=rf"Port {port}.*Name another port"):
            meet(workers, index)


def test_ports_are_free_again_at_once(start: Start, workers):
    for each in [start(workers, index) for index in range(3)]:
        each.result(timeout=HANG_S)
    with socket.create_server(("127.0.0.1", host_and_port(workers[0])[1])):
        pass
    assert threading.active_count() < 50


@pytest.mark.parametrize("index", [0, 1])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_waiting_process(workers, repository, index, number):
    call = f"from seglib.distributed.rendezvous import meet; meet({workers}, {index})"
    first = host_and_port(workers[0])
    with (
        socket.create_server(first) if index else nullcontext() as server,
        subprocess.Popen(
            [sys.executable, "-c", call], cwd=repository, stderr=subprocess.DEVNULL
        ) as process,
    ):
        try:
            if server:
                server.settimeout(HANG_S)
            with server.accept()[0] if server else _connect(*first, b""):
                process.send_signal(number)
            assert process.wait(timeout=HANG_S) == -number
        finally:
            process.kill()


def _connect(host: str, port: int, words: bytes) -> socket.socket:
    """As soon as the first one listens."""
    strangers: list[socket.socket] = []

    def connected() -> bool:
        with suppress(OSError):
            strangers.append(socket.create_connection((host, port), HANG_S))
        return bool(strangers)

    wait_until(connected)
    strangers[0].sendall(words)
    return strangers[0]
