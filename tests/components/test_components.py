"""The components' bodies on real artifacts of the local file system."""

import json
import logging
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from components.gate_model import gate_model
from components.train_model import train_model
from components.verify_data import verify_data
from seglib.data.image_io import MASK_DECODING
from seglib.data.manifest import read_manifest, write_manifest
from seglib.environment import CHECKPOINTS
from seglib.runtime.provenance import KEPT, read_lineage
from seglib.storage.hashes import hash_folder
from tests.fakes.pushing import push


@pytest.fixture
def other(chain: Any, tmp_path: Path) -> Any:
    """Another run on the outputs of the first one."""
    return type(chain)(tmp_path, chain.data_md5, chain.remote, dict(chain.artifacts))


@pytest.fixture
def train(other: Any, telling: Callable[..., Any]) -> Callable[..., dict[str, Any]]:
    """Trains in that run; gives the newest event of each kind."""

    def train(*, kept: str = "", **changes: Any) -> dict[str, Any]:
        with telling("r", other.folder / "events.jsonl") as patch:
            if kept:
                patch.setenv(CHECKPOINTS, kept)
            with suppress(SystemExit):
                other.call(train_model, ("manifest", "shards"), **changes)
        return {event["kind"]: event for event in other.events()}

    return train


def test_every_output_exists_so_that_kfp_can_cache_it(chain: Any) -> None:
    assert set(chain.artifacts) == {
        *("manifest", "report", "shards", "preview", "model", "evaluation", "metrics"),
        *("decision", "summary"),
    }
    missing = [n for n, a in chain.artifacts.items() if not Path(a.path).exists()]
    assert not missing


def test_no_output_holds_nan_or_infinity(chain: Any) -> None:
    """KFP's launcher refuses NaN and Infinity in parameters and metadata."""

    def refuse(name: str) -> float:
        raise AssertionError(name)

    files = [f for f in chain.folder.rglob("*.json") if "caches" not in f.parts]
    assert {"provenance.json", "metrics.json", "history.json"} <= {
        f.name for f in files
    }
    for file in files:
        json.loads(file.read_text(), parse_constant=refuse)
    for artifact in chain.artifacts.values():
        json.dumps(artifact.metadata, allow_nan=False)


def test_each_step_fetches_no_more_of_the_data_than_it_reads(chain: Any) -> None:
    fetched = {
        cache.name: {
            path.name.removesuffix("_images")
            for path in cache.rglob("*_images")
            if path.is_dir()
        }
        for cache in (chain.folder / "caches").iterdir()
    }
    assert fetched == {
        "verify-data": {"train", "val", "test"},
        "augment-data": {"train"},
        "train-model": {"val"},
        "evaluate-model": {"test"},
    }


def test_each_epoch_is_told_while_the_training_runs(chain: Any) -> None:
    told = [m for m in chain.events() if m.get("step") == "train"]
    epochs = [m["row"]["epoch"] for m in told if m["kind"] == "epoch"]
    history = json.loads(
        (Path(chain.artifacts["model"].path) / "history.json").read_text()
    )
    assert epochs == [row["epoch"] for row in history] == [1, 2]
    assert told[-1]["kind"] == "finished"


def test_kfps_metrics_are_the_evaluations(chain: Any) -> None:
    folder = Path(chain.artifacts["evaluation"].path)
    scores = json.loads((folder / "metrics.json").read_text())
    assert chain.artifacts["metrics"].metadata["miou"] == scores["miou"]
    assert scores["split"] == "test"
    assert scores["data_md5"] == chain.data_md5


def test_the_gate_promotes_above_its_limit_and_holds_below(
    other: Any, telling: Callable[..., Any]
) -> None:
    inputs = ("manifest", "model", "evaluation")
    with telling("second", other.folder / "events.jsonl"):
        verdict = other.call(gate_model, inputs, min_miou=1.0)
    assert verdict == "hold"
    assert "hold" in Path(other.artifacts["summary"].path).read_text()
    report = Path(other.artifacts["report"].path).read_text()
    assert "at least 1.0000 wanted" in report
    assert f"{(other.folder / 'verification.html').as_uri()}" in report
    decided = other.event("decided")
    assert decided["verdict"] == "hold"
    assert "at least 1.0000 wanted" in decided["reasons"]
    assert decided["lineage"]["train"]["run_id"] == "first"
    assert decided["lineage"]["gate"]["run_id"] == "second"


def test_broken_data_end_the_first_step_and_leave_its_report(
    tiny_root: Path, telling: Callable[..., Any], chain: Any, tmp_path: Path
) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(tiny_root, broken)
    mask = next((broken / "val_segmentation").iterdir())
    mask.write_bytes(mask.read_bytes()[:100])
    other = type(chain)(tmp_path / "steps", hash_folder(broken), str(broken))
    messages = tmp_path / "steps" / "events.jsonl"
    messages.parent.mkdir()
    with telling("broken", messages), pytest.raises(SystemExit):
        other.call(verify_data, ())
    failed = other.events()[-1]
    assert failed["kind"] == "failed"
    assert mask.name in failed["message"]
    assert (
        mask.name in (tmp_path / "steps/verify-data/manifest/report.html").read_text()
    )


def test_a_verification_stores_the_class_counts_beside_the_data_once(
    tiny_root: Path,
    telling: Callable[..., Any],
    chain: Any,
    tmp_path: Path,
    caplog: Any,
) -> None:
    caplog.set_level(logging.INFO)
    data_md5, remote = push(tiny_root, tmp_path / "remote"), str(tmp_path / "remote")
    told = []
    for name in ("one", "two"):
        caplog.clear()
        with telling(name, tmp_path / "events.jsonl"):
            type(chain)(tmp_path / name, data_md5, remote).call(verify_data, ())
        told.append(caplog.text)
    place = f"class counts are stored in {remote}/seglib/class-counts/{MASK_DECODING}/"
    assert place in told[0]
    assert "class counts" not in told[1], "they are there"


@pytest.mark.parametrize("trial", ["", '{"epochs": 1}'])
@pytest.mark.parametrize("place", ["gs://bucket/kept", "/dev/null/kept"])
def test_an_unusable_place_for_checkpoints_fails_the_task(
    train: Callable[..., Any], place: str, trial: str
) -> None:
    message = train(kept=place, trial=trial)["failed"]["message"]
    assert place[:5] in message


def test_the_outcome_of_a_training_is_kept_until_its_model_is_evaluated(
    chain: Any,
) -> None:
    """Until then a pod may die while KFP fetches the model from it."""
    origin = read_lineage(Path(chain.artifacts["model"].path))["train"]
    ((place, notes),) = chain.kept.items()
    assert place == origin[KEPT]
    assert not (chain.folder / "kept").exists(), "the evaluation has read the model"
    assert (notes["run"], notes["attempts"]) == ("first", 1)
    assert 0 < notes["spent_s"] < origin["duration_s"]
    assert origin["before_s"] == 0.0


def test_a_trial_that_diverges_leaves_its_reason_and_nothing_else(
    train: Callable[..., Any], other: Any, tmp_path: Path
) -> None:
    told = train(kept=str(tmp_path / "kept"), trial='{"learning_rate": 1e+30}')
    out = Path(other.artifacts["model"].path)
    assert [path.name for path in out.iterdir()] == ["provenance.json"]
    origin = read_lineage(out)["train"]
    assert "training diverged" in origin["fell_out"]
    assert "Lower `learning_rate` (now 1e+30)" in origin["fell_out"]
    assert origin["trial"] == {"learning_rate": 1e30}
    assert not (tmp_path / "kept").exists(), "its checkpoints are of no use"
    assert told["fell_out"]["reason"] == origin["fell_out"]
    assert told["fell_out"]["for_good"] is True
    assert "finished" in told
    assert "failed" not in told


def test_a_trial_whose_settings_do_not_go_together_may_be_tried_again(
    train: Callable[..., Any],
) -> None:
    told = train(trial='{"architecture": "segnet", "encoder": "mobilenet"}')
    assert "Use one of" in told["fell_out"]["reason"]
    assert told["fell_out"]["for_good"] is False


def test_a_trial_without_a_val_split_is_refused_before_training(
    train: Callable[..., Any], other: Any, tmp_path: Path
) -> None:
    manifest = other.artifacts["manifest"]
    facts = read_manifest(Path(manifest.path))
    splits = {"train": facts.pairs("train")}
    write_manifest(replace(facts, splits=splits), tmp_path / "manifest")
    other.artifacts["manifest"] = type(manifest)(uri=str(tmp_path / "manifest"))
    told = train(trial='{"epochs": 1}')
    assert "Give the dataset a val split" in told["failed"]["message"]
