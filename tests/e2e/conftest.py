"""Whole runs by the command line, on the local runner, shared by all tests."""

import io
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from mlflow import MlflowClient

from benchmarks.waiting import HANG_S
from pipeline.__main__ import main
from tests.fakes.steps import Store

SETTINGS = {
    "epochs": 6,
    "batch_size": 4,
    "copies": 1,
    "num_shards": 1,
    "image_height": 48,
    "image_width": 64,
    "precision": "float32",
    "learning_rate": 0.003,
    "num_overlays": 2,
    "min_miou": 0.0,
}


@dataclass(frozen=True)
class Run:
    """A finished `python -m pipeline run`."""

    status: int
    text: str  # all that it printed
    folder: Path  # of the run

    def json(self, name: str) -> Any:
        return json.loads((self.folder / name).read_text())


class Done(NamedTuple):
    """A finished command."""

    status: int
    stdout: str
    stderr: str


class Runs:
    """A folder of runs, and the commands on it."""

    def __init__(self, folder: Path, repository: Path):
        self.folder = folder
        self._repository = repository

    def command(self, *arguments: str, **variables: str) -> Done:
        """A command in this process, which imports MLflow once, on this folder."""
        code, words = 0, ["pipeline", *arguments, "--runs", str(self.folder)]
        with (
            pytest.MonkeyPatch.context() as patch,
            redirect_stdout(io.StringIO()) as out,
            redirect_stderr(io.StringIO()) as err,
        ):
            patch.setattr(sys, "argv", words)
            for name, value in {"COLUMNS": "250", **variables}.items():
                patch.setenv(name, value)
            try:
                main()
            except SystemExit as end:
                code = int(end.code or 0)
        return Done(code, out.getvalue(), err.getvalue())

    def start(self, data: Path, **changes: Any) -> subprocess.Popen[str]:
        settings = {**SETTINGS, **changes}
        return subprocess.Popen(
            [
                *(sys.executable, "-m", "pipeline", "run"),
                *("--data", str(data), "--runs", str(self.folder)),
                *(part for k, v in settings.items() for part in ("--set", f"{k}={v}")),
            ],
            env={**os.environ, "COLUMNS": "200"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=self._repository,
            text=True,
        )

    def finish(self, process: subprocess.Popen[str], text: str = "") -> Run:
        rest, _ = process.communicate(timeout=HANG_S)
        return Run(process.returncode, text + rest, (self.folder / "latest").resolve())

    def run(self, data: Path, **changes: Any) -> Run:
        return self.finish(self.start(data, **changes))

    def run_until(self, data: Path, words: str, number: int, **changes: Any) -> Run:
        """Send a signal once some words have been printed."""
        process = self.start(data, **changes)
        guard = threading.Timer(HANG_S, process.kill)
        guard.start()
        text = ""
        for line in process.stdout or ():
            text += line
            if words in line:
                process.send_signal(number)
                break
        guard.cancel()
        return self.finish(process, text)


@pytest.fixture(scope="session")
def runs(
    tmp_path_factory: pytest.TempPathFactory,
    repository: Path,
    fresh_store: Callable[[Path], str],
) -> Runs:
    # A space: paths go through a shell inside KFP.
    runs = Runs(tmp_path_factory.mktemp("with space") / "runs", repository)
    runs.folder.mkdir()
    fresh_store(runs.folder / "mlflow.db")
    return runs


@pytest.fixture(scope="session")
def first(runs: Runs, tiny_root: Path) -> Run:
    """A run that executes everything, promotes the model and publishes the export."""
    return runs.run(tiny_root, publish_to=runs.folder.parent / "published")


@pytest.fixture(scope="session")
def second(first: Run, runs: Runs, tiny_root: Path) -> Run:
    """The same once more."""
    return runs.run(tiny_root)


@pytest.fixture(scope="session")
def held(first: Run, runs: Runs, tiny_root: Path) -> Run:
    """A run that scores another split, and whose gate wants more than it gets."""
    return runs.run(tiny_root, min_miou=1.0, split="val")


@pytest.fixture(scope="session")
def failed(first: Run, runs: Runs, tiny_root: Path) -> Run:
    """A run whose training fails; the steps before it are reused."""
    return runs.run(tiny_root, class_weights="1,2")


@pytest.fixture(scope="session")
def stopped(first: Run, runs: Runs, tiny_root: Path) -> Run:
    """A run that is stopped by Ctrl-C in the middle of training."""
    return runs.run_until(tiny_root, "epoch 1/", signal.SIGINT, epochs=500)


@pytest.fixture(scope="session")
def rows(runs: Runs) -> Iterator[Callable[[Run], Any]]:
    """The MLflow run of a run, from the store; `rows.children`: those of its steps."""
    uri = f"sqlite:///{runs.folder}/mlflow.db"
    store = Store(uri, MlflowClient(uri))

    def row(run: Run) -> Any:
        return store.row(run.folder.name)

    row.children = lambda run: store.children(row(run))  # type: ignore[attr-defined]
    yield row
    store.client._tracking_client.store._dispose_engine()
