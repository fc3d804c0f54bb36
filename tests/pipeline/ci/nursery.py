"""A process that has imported the pipeline and forks: a command costs a moment.

Run as a module it is that process, and takes orders a line each. `Nursery` talks to it.
A command is stopped at its start, so that whoever wants to kill it knows its number.
"""

import importlib
import json
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

_IMPORTED = (
    "seglib.registry.champion",
    "seglib.tracking.queries",
    "kfp.compiler",
    "kfp_server_api",
    "mlflow.tracking",
    "mlflow.store.tracking.sqlalchemy_store",
    "pipeline.__main__",
    "pipeline.kfp.client",
    "pipeline.kfp.submission",
    "pipeline.dag.compile",
    "pipeline.preflight.checkup",
    "pipeline.ci.connection",
    "pipeline.ci.retrain",
    "pipeline.dag.training",
    "seglib.storage.backends.boto3_client",
)


@dataclass
class Command:
    """A command that the nursery started, and stopped at its first moment."""

    pid: int
    log: Path
    _nursery: "Nursery"

    def go(self) -> Self:
        os.kill(self.pid, signal.SIGCONT)
        return self

    def wait(self) -> int:
        """The exit status; -9 if it was killed."""
        return int(self._nursery.ask({"wait": self.pid}))

    @property
    def output(self) -> str:
        return self.log.read_text(encoding="utf-8")


class Nursery:
    """Starts commands of the pipeline."""

    def __init__(self, folder: Path, repository: Path):
        self._folder = folder
        self._count = 0
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.pipeline.ci.nursery"],
            cwd=repository,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.ask({"ready": True}) is True

    def start(
        self, words: Sequence[str], *, folder: Path, environment: Mapping[str, str]
    ) -> Command:
        self._count += 1
        log = self._folder / f"{self._count}.log"
        order = {
            "words": list(words),
            "folder": str(folder),
            "environment": dict(environment),
            "log": str(log),
        }
        return Command(int(self.ask({"start": order})), log, self)

    def ask(self, order: Mapping[str, Any]) -> Any:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def close(self) -> None:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait()


def _serve() -> None:
    for name in _IMPORTED:
        importlib.import_module(name)
    for line in sys.stdin:
        (kind, order), *_ = json.loads(line).items()
        answer = {"start": _start, "wait": _wait, "ready": bool}[kind](order)
        print(json.dumps(answer), flush=True)  # noqa: T201 (that is how it answers)


def _start(order: Mapping[str, Any]) -> int:
    pid = os.fork()
    if pid == 0:
        _be_command(order)
    os.waitpid(pid, os.WUNTRACED)
    return pid


def _wait(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def _be_command(order: Mapping[str, Any]) -> None:
    status: Any = 1
    try:
        os.kill(os.getpid(), signal.SIGSTOP)
        os.environ.clear()
        os.environ.update(order["environment"])
        os.chdir(order["folder"])
        log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(log, 1)
        os.dup2(log, 2)
        sys.argv = ["pipeline", *order["words"]]
        sys.modules["pipeline.__main__"].main()
    except SystemExit as error:
        status = error.code or 0
    except BaseException:  # noqa: BLE001 (a fork must not go on as its parent)
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(status)


if __name__ == "__main__":
    _serve()
