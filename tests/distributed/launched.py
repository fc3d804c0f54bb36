"""Functions that tests call in processes of their own, without TensorFlow."""

import os
import signal
import sys
from pathlib import Path

from seglib.distributed.cluster import Cluster
from seglib.distributed.launcher import run_processes
from seglib.errors import SegError


def write_rank(folder: str) -> None:
    rank = Cluster.from_environment().index
    Path(folder, str(rank)).write_text(str(os.getpid()))
    print(f"printed by {rank}", flush=True)  # noqa: T201


def fail_in(rank: int, status: int) -> None:
    """One fails with a status, or with a SegError; the others wait to be ended."""
    if Cluster.from_environment().index == rank:
        if status:
            sys.exit(status)
        raise SegError("there is no such dataset")
    # As after the loss of another process.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(75))
    signal.pause()


def wait_for_sigterm(folder: str) -> None:
    def end(*_: object) -> None:
        Path(folder, f"ended {rank}").touch()
        sys.exit(128 + signal.SIGTERM)

    rank = Cluster.from_environment().index
    signal.signal(signal.SIGTERM, end)
    write_rank(folder)
    while True:
        signal.pause()


def main() -> None:
    """A launcher of two processes, which tests send signals to."""
    clusters = [Cluster(("a:1", "b:1"), index) for index in range(2)]
    sys.exit(run_processes(wait_for_sigterm, (sys.argv[1],), clusters))


if __name__ == "__main__":
    main()
