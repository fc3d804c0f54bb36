"""Fixtures: the components, run one after another on real artifacts, and stores.

A plugin of pytest (tests/conftest.py).
"""

import hashlib
import json
import os
import pickle
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from kfp import dsl

from benchmarks.waiting import HANG_S
from components.augment_data import augment_data
from components.evaluate_model import evaluate_model
from components.gate_model import gate_model
from components.train_model import train_model
from components.verify_data import verify_data
from seglib.config import Config
from seglib.environment import CHECKPOINTS, EVENTS, RUN_ID
from seglib.runtime.events import read_events
from seglib.storage.atomic_write import file_lock
from tests.fakes.stored import through_a_store

SETTINGS = {
    "epochs": 2,
    "batch_size": 4,
    "copies": 0,
    "image_height": 32,
    "image_width": 48,
    "precision": "float32",
    "num_overlays": 2,
    "min_miou": 0.0,
}
STEPS = (
    (verify_data, ()),
    (augment_data, ("manifest",)),
    (train_model, ("manifest", "shards")),
    (evaluate_model, ("manifest", "model")),
    (gate_model, ("manifest", "model", "evaluation")),
)


@dataclass
class Chain:
    """What the steps gave, in their order."""

    folder: Path
    data_md5: str
    remote: str
    artifacts: dict[str, dsl.Artifact] = field(default_factory=dict)
    verdict: str = ""
    kept: dict[str, Any] = field(default_factory=dict)  # outcomes, with their notes

    def call(self, component: Any, inputs: tuple[str, ...], **changes: Any) -> Any:
        """Run a component's body; its outputs become artifacts of the chain.

        As on a cluster, each is what an artifact store gives back.
        """
        name = component.component_spec.name
        given = {
            **Config().flat(),
            **SETTINGS,
            "data_md5": self.data_md5,
            "remote": self.remote,
            "code_version": "1",
            **changes,
        }
        given = {k: v for k, v in given.items() if k in component.component_spec.inputs}
        outputs = {
            output: dsl.Artifact(name=output, uri=str(self.folder / name / output))
            for output in component.component_spec.outputs
            if output != "Output"
        }
        for output, spec in component.component_spec.outputs.items():
            if spec.type == "system.Metrics@0.0.1":
                outputs[output] = dsl.Metrics(name=output, uri=outputs[output].uri)
        (self.folder / name).mkdir(parents=True, exist_ok=True)  # as KFP does
        taken = {key: self.artifacts[key] for key in inputs}
        result = component.python_func(**given, **taken, **outputs)
        for output in outputs.values():
            through_a_store(Path(output.path))
        self.artifacts.update(outputs)
        return result

    def events(self) -> list[dict[str, Any]]:
        """All that the steps told."""
        return read_events(self.folder / "events.jsonl")

    def event(self, kind: str, step: str = "") -> dict[str, Any]:
        """The first event of a kind, of any step or of one."""
        told = (event for event in self.events() if event["kind"] == kind)
        return next(event for event in told if step in ("", event["step"]))


@pytest.fixture(autouse=True)
def _patient_with_stores(request: pytest.FixtureRequest) -> None:
    if {"chain", "fresh_store"} & set(request.fixturenames):
        request.getfixturevalue("patient")


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stores that answer are waited for, however busy the machine is."""
    for limit in (
        "seglib.registry.promotion._LONGEST_WAIT_S",
        "seglib.delivery.sender._FIRST_ANSWER_S",
        "seglib.tracking.mlflow_client._HEALTH_CHECK_S",
        "seglib.delivery.sending._FAILING_S",
        "seglib.delivery.sending._LONGEST_S",
        "pipeline.local.tracker._FAILING_WAIT_S",
        "pipeline.local.tracker._LONGEST_WAIT_S",
    ):
        monkeypatch.setattr(limit, HANG_S)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", str(int(HANG_S)))


@pytest.fixture
def impatient(patient: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that does not answer is given up soon."""
    monkeypatch.setattr("seglib.tracking.mlflow_client._HEALTH_CHECK_S", 0.2)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")


@pytest.fixture(scope="session")
def remote(
    tiny_root: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, str]:
    """A DVC remote with the scenes, written by hand: data_md5 and folder."""
    root = tmp_path_factory.mktemp("remote")
    listing = []
    for path in sorted(p for p in tiny_root.rglob("*") if p.is_file()):
        md5 = _put(root, path.read_bytes())
        listing.append({"md5": md5, "relpath": path.relative_to(tiny_root).as_posix()})
    listing.sort(key=lambda entry: entry["relpath"])
    return _put(root, json.dumps(listing).encode(), suffix=".dir"), str(root)


@pytest.fixture(scope="session")
def telling() -> Callable[..., Any]:
    """Within it, steps belong to a run and tell a file of messages."""

    @contextmanager
    def within(run: str, messages: Path) -> Iterator[pytest.MonkeyPatch]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv(RUN_ID, run)
            patch.setenv(EVENTS, str(messages))
            yield patch

    return within


@pytest.fixture(scope="session")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Gives a folder that the first process of the tests makes, for all of them."""
    base = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent

    def once(name: str, make: Callable[[Path], None]) -> Path:
        folder, made = base / name, base / f"{name}.made"
        with file_lock(base / f"{name}.lock"):
            if not made.exists():
                shutil.rmtree(folder, ignore_errors=True)  # of one that failed
                folder.mkdir()
                make(folder)
                made.touch()
        return folder

    return once


@pytest.fixture(scope="session")
def chain(
    remote: tuple[str, str],
    telling: Callable[..., Any],
    made_once: Callable[..., Path],
) -> Chain:
    """The steps of a run called `first`, each with a cache of its own.

    All but the export: what it adds is run by the whole pipeline's test.
    """

    def make(folder: Path) -> None:
        chain = Chain(folder, *remote)
        with telling("first", folder / "events.jsonl") as patch:
            patch.setenv(CHECKPOINTS, str(folder / "kept"))
            for component, inputs in STEPS:
                cache = folder / "caches" / component.component_spec.name
                patch.setenv("SEGLIB_CACHE", str(cache))
                chain.verdict = chain.call(component, inputs) or chain.verdict
                if component is train_model:
                    from seglib.training.checkpoints import Snapshot

                    for path in (folder / "kept").glob("*/*.checkpoint"):
                        facts = Snapshot.facts_of(path.read_bytes())
                        chain.kept[str(path.parent)] = facts["notes"]
        (folder / "chain.pickle").write_bytes(pickle.dumps(chain))

    made = made_once("chain", make)
    chain: Chain = pickle.loads((made / "chain.pickle").read_bytes())
    return chain


@dataclass
class Store:
    """An MLflow store, with what tests ask it."""

    uri: str
    client: Any

    def row(self, run: str, experiment: str = "") -> Any:
        """The one MLflow run of a pipeline run, whole; of any experiment, or of one."""
        found = self._search(experiment, f"tags.`kfp.run_id` = '{run}'")
        assert len(found) == 1
        return self.client.get_run(found[0].info.run_id)

    def children(self, row: Any) -> list[Any]:
        """The runs of its steps."""
        parent = f"tags.`mlflow.parentRunId` = '{row.info.run_id}'"
        return list(self.client.search_runs([row.info.experiment_id], parent))

    def curve(self, row: Any, name: str) -> list[tuple[int, float]]:
        """The points of a metric: step and value."""
        points = self.client.get_metric_history(row.info.run_id, name)
        return [(point.step, point.value) for point in points]

    def _search(self, experiment: str, condition: str) -> list[Any]:
        found = self.client.search_experiments()
        ids = [one.experiment_id for one in found if experiment in ("", one.name)]
        return list(self.client.search_runs(ids, condition))


@pytest.fixture(scope="session")
def fresh_store(made_once: Callable[..., Path]) -> Callable[[Path], str]:
    """Puts a fresh SQLite store at a path: its address. MLflow takes 10 s for one."""
    from seglib.tracking.sqlite_store import SQLITE, make_whole

    made = made_once("fresh-store", lambda folder: make_whole(folder / "mlflow.db"))

    def copy(path: Path) -> str:
        shutil.copy(made / "mlflow.db", path)
        return f"{SQLITE}{path}"

    return copy


@pytest.fixture(scope="session")
def new_store(
    fresh_store: Callable[[Path], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[], Store]]:
    """Makes stores of their own."""
    from seglib.tracking.mlflow_client import connect

    stores = []

    def make() -> Store:
        uri = fresh_store(tmp_path_factory.mktemp("store") / "mlflow.db")
        stores.append(Store(uri, connect(uri)))
        return stores[-1]

    yield make
    for store in stores:
        store.client._tracking_client.store._dispose_engine()


@pytest.fixture(scope="session")
def store(new_store: Callable[[], Store]) -> Store:
    """An SQLite store that tests share; each has runs of its own in it."""
    return new_store()


def final_status(state: str) -> dsl.PipelineTaskFinalStatus:
    """What KFP tells the exit task."""
    return dsl.PipelineTaskFinalStatus(
        state=state,
        pipeline_job_resource_name="",
        pipeline_task_name="",
        error_code=None,
        error_message=None,
    )


def _put(root: Path, content: bytes, *, suffix: str = "") -> str:
    md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
    path = root / "files" / "md5" / md5[:2] / (md5[2:] + suffix)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return md5 + suffix
