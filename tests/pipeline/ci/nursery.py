"""A process that has imported the pipeline and forks: a command costs a moment.

Run as a module it is that process, and takes orders a line each. `Nursery` talks to it.
"""

import importlib
import json
import os
import subprocess
import sys
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_IMPORTED = (
    "kfp.compiler",
    "kfp.kubernetes",
    "mlflow.tracking",
    "mlflow.store.tracking.sqlalchemy_store",
    "pipeline.__main__",
    "pipeline.ci.pull_request",
    "pipeline.ci.retrain",
    "pipeline.dag.sweep",
    "pipeline.kfp.client",
    "pipeline.kfp.submission",
    "pipeline.preflight.checkup",
    "pipeline.preflight.sizes",
    "seglib.data.image_io",
    "seglib.registry.champion",
    "seglib.storage.backends.boto3_client",
    "seglib.tracking.queries",
)


@dataclass(frozen=True)
class Ended:
    """A command that has ended."""

    status: int  # its exit status
    output: str


class Nursery:
    """Runs commands of the pipeline."""

    def __init__(self, folder: Path, repository: Path):
        self._log = folder / "log"
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.pipeline.ci.nursery"],
            cwd=repository,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(
        self, words: Sequence[str], *, folder: Path, environment: Mapping[str, str]
    ) -> Ended:
        order = {
            "words": list(words),
            "folder": str(folder),
            "environment": dict(environment),
            "log": str(self._log),
        }
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        status = int(self._process.stdout.readline())
        return Ended(status, self._log.read_text(encoding="utf-8"))

    def close(self) -> None:
        self._process.communicate()  # the end of its input ends it


def _serve() -> None:
    for name in _IMPORTED:
        importlib.import_module(name)
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            _be_command(json.loads(line))
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        print(status, flush=True)  # noqa: T201 (that is how it answers)


def _be_command(order: Mapping[str, Any]) -> None:
    status: Any = 1
    try:
        os.environ.clear()
        os.environ.update(order["environment"])
        os.chdir(order["folder"])
        log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
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
