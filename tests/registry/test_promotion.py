"""Gate and registry together: what a run's messages make of its model."""

import json
import shutil
import socket
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from kfp import dsl

from components.gate_model import gate_model
from seglib.delivery.recorder import Recorder
from seglib.registry.champion import ModelVersion, Registry
from seglib.registry.lineage import LINEAGE, read_lineage, write_lineage
from seglib.registry.release import publish_export
from seglib.storage.atomic_write import write_bytes
from seglib.storage.files import file_sha256, model_digest
from seglib.storage.pointers import latest

NAME = "scenes"
INPUTS = ("manifest", "model", "evaluation")


def passing(evaluation: Any, folder: Path) -> Any:
    """A copy of an evaluation that passes the fixed limits, however training went."""
    shutil.copytree(evaluation.path, folder)
    metrics = json.loads((folder / "metrics.json").read_text())
    metrics |= {"miou": 0.9, "baseline_miou": 0.1}
    (folder / "metrics.json").write_text(json.dumps(metrics))
    return dsl.Artifact(name="evaluation", uri=str(folder))


class Contest:
    """Runs gate and promotion of models against one registry."""

    def __init__(self, chain: Any, telling: Callable[..., Any], folder: Path, uri: str):
        self.uri = uri
        self.registry = Registry(self.uri)
        self.chain, self.telling, self.folder = chain, telling, folder
        self.passing = passing(chain.artifacts["evaluation"], folder / "evaluation")
        self.rows: dict[str, Any] = {}
        self.told: dict[str, list[dict[str, Any]]] = {}

    def run(
        self,
        run: str,
        *,
        ends: str = "SUCCEEDED",
        uri: str = "",
        publish_to: str = "",
        **changes: Any,
    ) -> dict[str, Any]:
        """Gate the chain's model in a run, export it if promoted, and track it all.

        Returns:
            The gate's event.
        """
        chain = type(self.chain)(
            self.folder / run,
            self.chain.data_md5,
            self.chain.remote,
            self.chain.artifacts
            | {"evaluation": self.passing}
            | changes.pop("artifacts", {}),
        )
        messages = chain.folder / "events.jsonl"
        chain.folder.mkdir()
        with self.telling(run, messages) as patch:
            patch.setenv("MLFLOW_TRACKING_URI", uri or self.uri)
            settings = {"registered_model": NAME, "max_class_drop": 0.9, **changes}
            verdict = chain.call(gate_model, INPUTS, **settings)
        told = chain.events()
        decided = chain.event("decided")
        assert decided["verdict"] == verdict
        told.insert(0, {**self._head(run, "open"), "parameters": {}})
        if verdict == "promote" and ends == "SUCCEEDED":
            exported = {"export": self._export(chain)}
            if publish_to:
                with self.telling(run, messages) as patch:
                    patch.setenv("MLFLOW_TRACKING_URI", self.uri)
                    there = publish_export(Path(exported["export"]), publish_to, NAME)
                exported["publication"] = asdict(there)
            told.append({**self._head(run, "exported"), **exported})
        closing = {"parameters": {}, "state": ends}
        told.append({**self._head(run, "close"), **closing})
        self.told[run] = told
        self.track(told)
        return dict(decided)

    def track(self, messages: list[dict[str, Any]]) -> None:
        tracker = Recorder(self.uri, warn=pytest.fail)
        for message in messages:
            tracker.apply(message)
        self.rows.update(tracker.runs)

    def tag(self, run: str, name: str) -> str:
        return self.rows[run].tags().get(name, "")

    def version(self, number: int) -> ModelVersion:
        return self.registry.get(NAME, number)

    def _head(self, run: str, kind: str) -> dict[str, Any]:
        head = {"kind": kind, "run": run, "time_ms": 1_000_000, "code_version": "1"}
        return {**head, "data_md5": self.chain.data_md5}

    def _export(self, chain: Any) -> str:
        export = chain.folder / "export"
        write_bytes(export / "served", b"model")
        (export / "SHA256SUMS").write_text(
            f"{file_sha256(export / 'served')}  served\n"
        )
        paths = {name: Path(chain.artifacts[name].path) for name in INPUTS}
        decision = Path(chain.artifacts["decision"].path)
        write_lineage(export, **paths, decision=decision, steps={})
        return str(export)


@pytest.fixture(scope="module")
def contest(
    chain: Any,
    telling: Callable[..., Any],
    new_store: Callable[[], Any],
    tmp_path_factory: pytest.TempPathFactory,
) -> Contest:
    folder = tmp_path_factory.mktemp("contest")
    return Contest(chain, telling, folder, new_store().uri)


@pytest.fixture(scope="module")
def first(contest: Contest) -> list[dict[str, Any]]:
    """The events of the run whose model became the first champion."""
    contest.run("contest-1", publish_to=str(contest.folder / "published"))
    return contest.told["contest-1"]


@pytest.fixture(scope="module")
def rival(chain: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Another model with its evaluation: one that is right everywhere."""
    from seglib.evaluation.counts import ImageCounts, read_counts, write_counts
    from seglib.models.model import load_model

    folder = tmp_path_factory.mktemp("rival")
    shutil.copytree(chain.artifacts["model"].path, folder / "model")
    evaluation = passing(chain.artifacts["evaluation"], folder / "evaluation")
    model = load_model(folder / "model")
    model.network.set_weights([w * 1.01 for w in model.network.get_weights()])
    model.network.save(folder / "model" / "model.keras")
    counts = read_counts(folder / "evaluation" / "counts.npz")
    perfect = ImageCounts(counts.stems, counts.union, np.maximum(counts.union, 1))
    write_counts(perfect, folder / "evaluation" / "counts.npz")
    model_artifact = dsl.Artifact(name="model", uri=str(folder / "model"))
    return {"model": model_artifact, "evaluation": evaluation}


def test_the_first_model_that_passes_is_the_champion(
    contest: Contest, first: Any, chain: Any
) -> None:
    assert contest.registry.numbers(NAME) == {"champion": 1}
    champion = contest.version(1)
    assert champion.digest == model_digest(Path(chain.artifacts["model"].path))
    assert champion.tags["kfp.run_id"] == "contest-1"
    assert contest.tag("contest-1", "registered_model") == f"{NAME}/1"
    promotion = contest.tag("contest-1", "promotion")
    assert promotion == f"{NAME}: version 1 is the champion, the first"


def test_a_version_and_its_model_are_described_as_the_run_that_registered_it(
    contest: Contest, first: Any
) -> None:
    client = contest.registry._client
    text = client.get_model_version(NAME, "1").description
    assert text == contest.tag("contest-1", "mlflow.note.content")
    assert "**promote**: mIoU **0.9000** on the test split, no champion yet" in text
    model = client.get_registered_model(NAME)
    assert model.description == f"**Champion: version 1**\n\n{text}"


def test_events_that_are_applied_again_change_nothing(
    contest: Contest, first: Any
) -> None:
    contest.track(first)
    assert [v.number for v in contest.registry.versions(NAME)] == [1]
    assert contest.registry.numbers(NAME) == {"champion": 1}


def test_the_champion_before_the_gate_makes_no_new_version(
    contest: Contest, first: Any
) -> None:
    decided = contest.run("contest-2")
    assert decided["verdict"] == "promote"
    assert [v.number for v in contest.registry.versions(NAME)] == [1]
    described = contest.registry._client.get_model_version(NAME, "1").description
    assert described == contest.tag("contest-1", "mlflow.note.content")
    promotion = contest.tag("contest-2", "promotion")
    assert promotion == f"{NAME}: version 1 is the champion"


def test_a_model_that_is_not_better_is_held_and_stays_challenger(
    contest: Contest, first: Any, rival: Any, chain: Any
) -> None:
    """The champion's own scores, of another model: no difference at all."""
    same = {"model": rival["model"]}
    decided = contest.run("contest-3", artifacts=same, min_delta=0.5)
    assert decided["verdict"] == "hold"
    assert "against the champion, version 1" in decided["reasons"]
    assert decided["metrics"]["champion_miou"] > 0
    held = contest.version(2)
    assert held.state == "held"
    assert held.against == 1
    assert contest.registry.numbers(NAME) == {"champion": 1, "challenger": 2}
    assert "promotion" not in contest.rows["contest-3"].tags()
    text = contest.registry._client.get_model_version(NAME, "2").description
    assert "**hold**: mIoU **0.9000** on the test split, against the champion" in text
    assert "Why held:" in text
    assert "- ✗ mIoU +" in text
    assert "| **mIoU** | 0.9000 | +0.0" in text, "the change"


def test_a_run_that_fails_after_its_gate_blocks_no_promotion(
    contest: Contest, first: Any, rival: Any
) -> None:
    contest.run("contest-4", artifacts=rival, ends="FAILED")
    failed = contest.registry.versions(NAME)[-1]
    assert failed.state == "withdrawn"
    assert failed.tags["state_reason"] == "its run ended FAILED"
    place = str(contest.folder / "published")
    before = latest(place, NAME)
    contest.run("contest-5", artifacts=rival, publish_to=place)
    champion = contest.registry.champion(NAME)
    assert champion is not None
    assert champion.number == failed.number + 1
    assert contest.registry.numbers(NAME)["previous"] == 1
    assert latest(place, NAME).key != before.key
    contest.track(first)  # once more, as from a folder that had waited
    assert latest(place, NAME).key != before.key
    assert contest.version(1).state == "replaced"


def test_a_rolled_back_model_is_not_promoted_again(
    contest: Contest, first: Any, rival: Any
) -> None:
    gone, back = contest.registry.rollback(NAME)
    assert back.number == 1
    decided = contest.run("contest-6", artifacts=rival)
    assert decided["verdict"] == "hold"
    assert f"this model was {gone.title} and was rolled back" in decided["reasons"]
    assert contest.registry.numbers(NAME)["champion"] == 1


def test_a_registry_that_does_not_answer_holds_every_model(contest: Contest) -> None:
    with socket.socket() as taken:  # bound, but nobody listens
        taken.bind(("127.0.0.1", 0))
        uri = f"http://user:secret@127.0.0.1:{taken.getsockname()[1]}"
        decided = contest.run("contest-away", uri=uri)
    assert decided["verdict"] == "hold"
    assert "the champion is not known. MLflow at http" in decided["reasons"]
    assert "secret" not in json.dumps(contest.told["contest-away"])
    assert "registered_model" not in contest.rows["contest-away"].uri


def test_a_silent_registry_does_not_hold_up_a_run(
    contest: Contest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("seglib.registry.promotion._LONGEST_WAIT_S", 2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        uri = f"http://127.0.0.1:{silent.getsockname()[1]}"
        decided = contest.run("contest-silent", uri=uri)
    assert decided["verdict"] == "hold"
    assert "does not answer in time" in decided["reasons"]


def test_a_lineage_leads_from_the_export_to_every_mask(
    contest: Contest, first: Any, chain: Any, tiny_root: Path
) -> None:
    export = contest.folder / "contest-1" / "export"
    lineage = read_lineage(export)
    masks = {path for split in lineage["data"]["masks"].values() for path in split}
    folders = ("train_segmentation", "val_segmentation", "test_segmentation")
    assert masks == {
        path.relative_to(tiny_root).as_posix()
        for folder in folders
        for path in (tiny_root / folder).iterdir()
    }
    assert lineage["data"]["data_md5"] == chain.data_md5
    assert lineage["export"] == {"served": file_sha256(export / "served")}
    sha256 = contest.version(1).tags["lineage_sha256"]
    assert sha256 == file_sha256(export / LINEAGE)
