"""A PostgreSQL server of the machine's own packages, for one test."""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from benchmarks.waiting import wait_until
from tests.fakes.servers import free_port


@contextmanager
def database() -> Iterator[str]:
    """The SQLAlchemy address of a fresh, empty database."""
    programs = _programs()
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="postgres") as name:
        folder = Path(name)
        options = {}
        if os.getuid() == 0:  # PostgreSQL refuses to be root's
            shutil.chown(folder, "postgres", "postgres")
            options = {"user": "postgres", "group": "postgres", "extra_groups": ()}
        made = [programs / "initdb", "-D", folder / "data", "-U", "test", "-A", "trust"]
        subprocess.run(
            made, check=True, stdout=subprocess.DEVNULL, cwd=folder, **options
        )
        log = folder / "log"
        with log.open("w") as output:
            process = subprocess.Popen(
                [
                    *(programs / "postgres", "-D", folder / "data", "-k", folder),
                    *("-p", str(port), "-c", "listen_addresses=127.0.0.1"),
                ],
                cwd=folder,
                stdout=output,
                stderr=output,
                **options,
            )
        asking = [programs / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(port)]
        try:
            wait_until(
                lambda: not subprocess.run(asking, check=False).returncode,
                process=process,
                log=log,
            )
            yield f"postgresql+pg8000://test@127.0.0.1:{port}/postgres"
        finally:
            process.send_signal(signal.SIGINT)  # waits for no client
            process.wait()


def _programs() -> Path:
    """The folder of PostgreSQL's programs."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    found = [folder for folder in folders if (folder / "initdb").exists()]
    if not found:
        pytest.skip("PostgreSQL is not installed. To run it: apt install postgresql.")
    return found[-1]
