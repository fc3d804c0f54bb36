"""Of several trained models, the best by its score on the val split."""

import hashlib
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from kfp.dsl import Artifact, Markdown, Model

from components.select_model import select_model
from seglib.catalogue import resolve
from seglib.errors import DatasetError, DivergedError, SegError
from seglib.models import build_model
from seglib.models.weights import load_weights
from seglib.runtime.trials import (
    best_of,
    can_be_referred_to,
    label,
    read_trial,
    trial_failure,
)


@pytest.fixture
def models(tmp_path: Path) -> list[Path]:
    """Three trainings, of which the second was best, in the middle of it."""
    scores = {0.001: [0.2, 0.3], 0.003: [0.1, 0.6, 0.4], 0.01: [math.nan, 0.5]}
    folders = []
    for rate, mious in scores.items():
        folder = tmp_path / f"run-1/train/{rate}/model"
        folder.mkdir(parents=True)
        history = [{"epoch": i, "val_miou": m} for i, m in enumerate(mious, start=1)]
        (folder / "history.json").write_text(json.dumps(history))
        kept = tmp_path / "kept" / hashlib.sha256(str(rate).encode()).hexdigest()
        kept.mkdir(parents=True)
        origin: dict[str, Any] = {"run_id": "run-1", "folder": str(folder)}
        origin |= {"trial": {"learning_rate": rate}, "checkpoints": str(kept)}
        (folder / "provenance.json").write_text(json.dumps({"train": origin}))
        folders.append(folder)
    return folders


def test_a_trial_is_as_good_as_the_epoch_that_was_kept(models: list[Path]) -> None:
    trials = [read_trial(model) for model in models]
    assert [trial.val_miou for trial in trials] == [0.3, 0.6, 0.5]
    assert [trial.epochs for trial in trials] == [2, 3, 2]
    assert best_of(trials) == 1
    assert best_of([trials[0], trials[0]]) == 0, "of equals, the first"


def test_a_sweep_without_a_val_split_is_refused(tmp_path: Path) -> None:
    (tmp_path / "history.json").write_text('[{"epoch": 1, "loss": 1.0}]')
    with pytest.raises(SegError, match="Give the dataset a val split"):
        read_trial(tmp_path)


@pytest.fixture
def fallen(tmp_path: Path) -> Path:
    """What a failed trial of run-1 left."""
    folder = tmp_path / "run-1/train/1e30/model"
    folder.mkdir(parents=True)
    origin = {"run_id": "run-1", "folder": str(folder), "fell_out": "The loss is nan."}
    origin["trial"] = {"learning_rate": 1e30}  # type: ignore[assignment]
    (folder / "provenance.json").write_text(json.dumps({"train": origin}))
    return folder


def test_the_best_of_the_trials_that_have_a_model_is_passed_on_by_reference(
    models: list[Path], fallen: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = tmp_path / "events.jsonl"
    monkeypatch.setenv("SEGLIB_EVENTS", str(events))
    monkeypatch.setenv("KFP_RUN_ID", "run-1")
    out = Model(uri=str(tmp_path / "select/model"))
    selection = Artifact(uri=str(tmp_path / "select/selection"))
    table = Markdown(uri=str(tmp_path / "select/table"))
    select_model.python_func(
        models=[Model(uri=str(path)) for path in [fallen, *models]],
        model=out,
        selection=selection,
        table=table,
    )
    assert out.uri == str(models[1])
    assert not (tmp_path / "select/model").exists()
    assert Path(table.path).read_text().splitlines()[2:] == [
        "| learning_rate=0.003 | 0.6000 | 3 |",
        "| learning_rate=0.01 | 0.5000 | 2 |",
        "| learning_rate=0.001 | 0.3000 | 2 |",
        "| learning_rate=1e+30 | failed | – |",
        "",
        "Failed trials, without a model:",
        "",
        "- learning_rate=1e+30: The loss is nan.",
    ]
    rows = json.loads((Path(selection.path) / "selection.json").read_text())
    assert rows[3]["val_miou"] is None
    told = [json.loads(line) for line in events.read_text().splitlines()]
    (selected,) = (event for event in told if event["kind"] == "selected")
    assert selected["trial"] == {"learning_rate": 0.003}
    assert selected["lineage"]["train"]["folder"] == str(models[1])
    assert selected["fell_out"] == {"learning_rate=1e+30": "The loss is nan."}
    assert selected["trials"] == 4
    (left,) = (tmp_path / "kept").iterdir()
    chosen = json.loads((models[1] / "provenance.json").read_text())["train"]
    assert str(left) == chosen["checkpoints"], "the evaluation forgets this one"


def test_a_failed_trial_of_an_earlier_run_names_that_run(
    fallen: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KFP_RUN_ID", "run-2")
    assert read_trial(fallen).failure == "The loss is nan. (reused from run run-1)"


def test_a_sweep_whose_trials_all_failed_names_each_reason(fallen: Path) -> None:
    with pytest.raises(SegError, match="No trial is left") as caught:
        best_of([read_trial(fallen)])
    assert "learning_rate=1e+30: The loss is nan." in str(caught.value)


def _error_of(work: Callable[[], object]) -> Exception:
    with pytest.raises(Exception) as caught:  # noqa: PT011 - each has its own
        work()
    assert isinstance(caught.value, Exception)
    return caught.value


def test_an_error_that_settings_cause_fails_the_trial_only() -> None:
    import tensorflow as tf

    misfit = _error_of(lambda: resolve("segnet", "mobilenet"))
    assert trial_failure(misfit) == str(misfit)
    assert trial_failure(DivergedError("The loss is nan.")) == "The loss is nan."
    # As TensorFlow 2.21 says it, after 10 s, of tf.zeros((2**23, 2**23)).
    text = "{{function_node __wrapped__Fill}} OOM when allocating tensor with shape[…]"
    exhausted = tf.errors.ResourceExhaustedError(None, None, text)
    assert trial_failure(exhausted).startswith("Not enough memory here: ")
    in_numpy = _error_of(lambda: np.ones((2**23, 2**23)))
    assert "Unable to allocate" in trial_failure(in_numpy)


def test_an_error_outside_of_a_trial_fails_the_task() -> None:
    import tensorflow as tf

    full = tf.errors.ResourceExhaustedError(None, None, "No space left on device")
    model = build_model("unet", num_classes=2, image_size=(32, 32), encoder="vgg16")
    missing = _error_of(lambda: load_weights(model, "/nowhere.h5"))
    assert "No such file" in str(missing)
    others = [
        SegError("s3://bucket does not answer."),
        DatasetError("Not the files that were verified.", ["a.png: md5"]),
        OSError(28, "No space left on device"),
        RuntimeError("Unforeseen."),
    ]
    assert [trial_failure(error) for error in [full, missing, *others]] == [""] * 6


def test_an_artifact_of_another_run_is_copied_because_kfp_refuses_a_reference() -> None:
    here = "s3://bucket/v2/artifacts/segmentation-sweep/run-1/train-model/u/model"
    assert can_be_referred_to(here, "run-1")
    assert not can_be_referred_to(here, "run-2")
    assert not can_be_referred_to(here, "")
    assert can_be_referred_to("/runs/20261122-140501/steps/model", "run-2")


def test_a_label_names_the_settings_in_one_order() -> None:
    assert label({"epochs": 5, "batch_size": 4}) == "batch_size=4, epochs=5"
    assert label({}) == ""
