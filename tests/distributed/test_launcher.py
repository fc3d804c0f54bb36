"""Processes that are started on this machine; they need no TensorFlow here."""

import os
import signal
import subprocess
import sys
from contextlib import suppress

import pytest

from benchmarks.waiting import HANG_S, wait_until
from seglib.distributed import launcher as launching
from seglib.distributed.cluster import Cluster
from seglib.distributed.launcher import run_processes
from tests.distributed import launched

TWO = [Cluster(("a:1", "b:1"), index) for index in range(2)]


def test_each_process_knows_its_index_and_the_first_alone_prints(tmp_path, capfd):
    assert run_processes(launched.write_rank, (str(tmp_path),), TWO) == 0
    pids = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert pids.keys() == {"0", "1"}
    assert len({*pids.values(), str(os.getpid())}) == 3
    assert capfd.readouterr().out == "printed by 0\n"


@pytest.fixture
def impatient(monkeypatch):
    """The other process never ends by itself."""
    monkeypatch.setattr(launching, "_GRACE_S", 0.1)


def test_the_error_of_another_process_than_the_first_is_shown(impatient, capfd):
    assert run_processes(launched.fail_in, (1, 0), TWO) == 1
    told = capfd.readouterr().err
    assert told == "process 2 of 2 failed:\nerror: there is no such dataset\n"


@pytest.mark.parametrize("rank", [0, 1])
def test_the_status_is_that_of_the_process_that_failed_first(impatient, rank):
    assert run_processes(launched.fail_in, (rank, 3), TWO) == 3


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_reaches_all_processes_as_sigterm(tmp_path, repository, number):
    with _launcher(tmp_path, repository) as launcher:
        launcher.send_signal(number)
        status = launcher.wait(timeout=HANG_S)
    assert status == (143 if number == signal.SIGTERM else -signal.SIGINT)
    assert {path.name for path in tmp_path.glob("ended*")} == {"ended 0", "ended 1"}


def test_processes_end_when_their_launcher_is_killed(tmp_path, repository):
    with _launcher(tmp_path, repository) as launcher:
        pids = [int((tmp_path / str(rank)).read_text()) for rank in range(2)]
        launcher.kill()
        wait_until(lambda: len(list(tmp_path.glob("ended*"))) == 2)
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _launcher(folder, repository) -> subprocess.Popen:
    """Once both of its processes are there."""
    launcher = subprocess.Popen(
        [sys.executable, "-m", "tests.distributed.launched", str(folder)],
        cwd=repository,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    wait_until(lambda: all((folder / rank).exists() for rank in "01"))
    wait_until(lambda: all((folder / rank).read_text() for rank in "01"))
    return launcher
