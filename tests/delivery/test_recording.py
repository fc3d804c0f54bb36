"""The MLflow runs that events make, in a real SQLite store."""

import json
import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pytest

from components.finalize import finalize
from components.gate_model import gate_model
from seglib.config import Config
from seglib.delivery.recorder import Recorder
from seglib.environment import EVENTS
from seglib.tracking.names import experiment_name
from seglib.tracking.queries import TrackedRuns
from tests.fakes.steps import SETTINGS, final_status

OPENING = {"data_md5": "d.dir", "code_version": "c"}
STEPS = ("verify", "augment", "train", "evaluate", "gate")


@pytest.fixture(scope="module")
def store(new_store: Callable[[], Any]) -> Any:
    return new_store()


@pytest.fixture(scope="module")
def tracker(store: Any) -> Recorder:
    return Recorder(store.uri, warn=pytest.fail)


@pytest.fixture(scope="module")
def first(chain: Any, tracker: Recorder, store: Any) -> Any:
    """The row of the run `first`, as MLflow gives it back."""
    tracker.apply(opening("first", epochs=2))
    for event in chain.events():
        tracker.apply(event)
    tracker.apply({**opening("first", epochs=2), "kind": "close", "state": "SUCCEEDED"})
    return store.row("first")


@pytest.fixture(scope="module")
def reused(
    first: Any,
    chain: Any,
    tracker: Recorder,
    store: Any,
    telling: Callable[..., Any],
    tmp_path_factory: pytest.TempPathFactory,
) -> Any:
    """The row of a run that took all but the gate from the cache."""
    folder = tmp_path_factory.mktemp("reused")
    other = type(chain)(folder, chain.data_md5, chain.remote, dict(chain.artifacts))
    with telling("reused", folder / "events.jsonl"):
        other.call(gate_model, ("manifest", "model", "evaluation"))
    tracker.apply(opening("reused", epochs=2))
    for event in other.events():
        tracker.apply(event)
    return store.row("reused")


def opening(run: str, **changes: Any) -> dict[str, Any]:
    parameters = {**Config().flat(), **SETTINGS, **changes}
    head = {"kind": "open", "run": run, "time_ms": 1_000_000}
    return {**head, "parameters": parameters, **OPENING}


def runs_of(store: Any, run: str) -> Any:
    """A run as a comparison of runs reads it."""
    runs = TrackedRuns(store.uri)
    return runs.whole(runs.find(run))


def table(store: Any, row: Any, path: str) -> list[dict[str, Any]]:
    """The rows of a table, as MLflow's page reads it."""
    place = store.client.download_artifacts(row.info.run_id, path)
    content = json.loads(Path(place).read_text())
    return [dict(zip(content["columns"], one, strict=True)) for one in content["data"]]


def read(chain: Any, artifact: str, name: str) -> Any:
    return json.loads((Path(chain.artifacts[artifact].path) / name).read_text())


def test_a_run_has_every_setting_its_data_and_its_code(first: Any, store: Any) -> None:
    wanted = {**Config().flat(), **SETTINGS}
    found = runs_of(store, "first")
    assert found.parameters == {name: str(value) for name, value in wanted.items()}
    assert first.data.tags["data_md5"] == "d.dir"
    assert first.data.tags["code_version"] == "c"
    assert len(first.data.tags["config_hash"]) == 12


def test_each_step_tells_its_settings(
    chain: Any, store: Any, tracker: Recorder
) -> None:
    for event in chain.events():
        tracker.apply({**event, "run": "without-opening"})
    told = runs_of(store, "without-opening").parameters
    assert told["epochs"] == "2"
    assert Config().flat().keys() - told.keys() == {
        *("export_formats", "max_logit_difference", "min_equal_pixels"),
        *("max_miou_loss", "export_examples", "publish_to", "publish_name"),
    }, "those of the export, which was not run"


def test_a_run_has_the_scores_of_the_evaluation(
    first: Any, chain: Any, store: Any
) -> None:
    scores = read(chain, "evaluation", "metrics.json")
    found = runs_of(store, "first").metrics
    names = ("miou", "baseline_miou", "pixel_accuracy", "miou_frequency_weighted")
    assert {name: found[name] for name in names} == {
        name: scores[name] for name in names
    }
    ious = {f"iou/{name}": iou for name, iou in scores["class_iou"].items()}
    logged = {k: v for k, v in found.items() if k.startswith("iou/")}
    assert logged == {name: iou for name, iou in ious.items() if iou is not None}
    steps = {name for name in found if name.startswith("duration_s/")}
    assert steps == {f"duration_s/{step}" for step in STEPS}


def test_the_charts_of_a_run_are_its_curves_and_one_bar(first: Any) -> None:
    """MLflow draws a chart for each metric, by prefix in the order of the alphabet."""
    charts = {"miou", *(name for name in first.data.metrics if "/" not in name)}
    assert charts == {"miou"}
    curves = {name for name in first.data.metrics if name.startswith("curves/")}
    assert curves == first.data.metrics.keys() - charts
    assert curves >= {"curves/loss", "curves/val_miou", "curves/learning_rate"}


def test_the_caption_of_a_picture_is_short(first: Any) -> None:
    """MLflow writes all parameters over each picture, and so covers it."""
    assert first.data.params == {
        "architecture": "compact",
        "epochs": "2",
        "batch_size": "4",
        "learning_rate": "0.001",
    }
    assert first.data.tags["changed"] == (
        "batch_size=4, copies=0, epochs=2, image_height=32, image_width=48, "
        "min_miou=0.0, num_overlays=2, precision=float32"
    )


def test_the_classes_are_a_table(first: Any, chain: Any, store: Any) -> None:
    scores = read(chain, "evaluation", "metrics.json")
    rows = table(store, first, "classes.json")
    assert {row["class"]: row["iou"] for row in rows} == scores["class_iou"]
    assert {row["class"]: row["dice"] for row in rows} == scores["class_dice"]
    shown = json.loads(first.data.tags["mlflow.loggedArtifacts"])
    assert {"path": "classes.json", "type": "table"} in shown
    assert {"path": "settings.json", "type": "table"} in shown


def test_what_a_setting_came_to_is_beside_what_was_configured(
    first: Any, store: Any
) -> None:
    rows = {row["setting"]: row for row in table(store, first, "settings.json")}
    found = {name: (row["configured"], row["resolved"]) for name, row in rows.items()}
    assert found["precision"] == ("float32", "float32")
    assert found["steps_per_epoch"] == ("0", "2")
    assert found["encoder"] == ("", "compact")
    assert found["split"] == ("auto", "test")
    assert found["crop_height"] == ("0", "32")
    assert found["xla"] == ("auto", "never")
    assert rows["epochs"]["default"] == "30"


def test_a_run_is_described_with_scores_data_and_reasons(
    first: Any, chain: Any, store: Any
) -> None:
    miou = read(chain, "evaluation", "metrics.json")["miou"]
    text = first.data.tags["mlflow.note.content"]
    verdict = first.data.tags["verdict"]
    assert f"**{verdict}**: mIoU **{miou:.4f}** on the test split" in text
    assert "no champion yet" in text
    assert chain.data_md5 in text
    assert "8 train, 3 val, 3 test images" in text
    assert f"- ✓ mIoU {miou:.4f}, at least 0.0000 wanted" in text
    assert "| IoU road |" in text


def test_curves_augmentations_and_report_are_artifacts(first: Any, store: Any) -> None:
    places = ("training", "evaluation")
    found = {
        one.path
        for place in places
        for one in store.client.list_artifacts(first.info.run_id, place)
    }
    assert found >= {
        "training/curves.png",
        "training/augmentation.html",
        "evaluation/report.html",
    }


def test_a_run_is_called_as_its_user_called_it_in_the_experiment_of_its_data(
    store: Any, tracker: Recorder
) -> None:
    names = {"title": "mine", "experiment": "streets"}
    tracker.apply({**opening("20260101-000000-mine"), **names})
    tracker.apply({**opening("20260102-000000-mine"), **names, "time_ms": 2_000_000})
    row = store.row("20260101-000000-mine", "streets")
    assert row.info.run_name == "mine"
    assert TrackedRuns(store.uri).find("mine").tags["kfp.run_id"].startswith("20260102")
    assert experiment_name({"registered_model": "cars"}, "s3://b/dvc") == "cars"
    assert experiment_name({"registered_model": ""}, "/data/camvid") == "camvid"


@pytest.mark.parametrize("run", ["first", "reused"])
def test_curves_are_whole_and_no_point_is_logged_twice(
    run: str, first: Any, reused: Any, chain: Any, store: Any
) -> None:
    row = {"first": first, "reused": reused}[run]
    history = read(chain, "model", "history.json")
    for curve in ("loss", "val_miou"):
        wanted = [(epoch["epoch"], epoch[curve]) for epoch in history]
        assert store.curve(row, f"curves/{curve}") == wanted


def test_the_dataset_is_an_input_with_its_dvc_hash_as_digest(
    first: Any, chain: Any
) -> None:
    (given,) = first.inputs.dataset_inputs
    assert given.dataset.digest == chain.data_md5
    assert json.loads(given.dataset.profile)["train"] == 8
    assert json.loads(given.dataset.source)["remote"] == chain.remote


def test_overlays_have_the_same_keys_in_every_run(
    first: Any, reused: Any, store: Any
) -> None:
    keys = [
        {
            Path(file.path).name.split("+")[0]
            for file in store.client.list_artifacts(row.info.run_id, "images")
        }
        for row in (first, reused)
    ]
    assert keys[0] == keys[1]
    assert len(keys[0]) == 2
    assert all(key.startswith("overlays~") for key in keys[0])


def test_a_retried_gate_adds_nothing_twice(
    first: Any, chain: Any, tracker: Recorder, store: Any
) -> None:
    before = store.client.list_artifacts(first.info.run_id, "images")
    decided = chain.event("decided")
    tracker.apply(decided)
    assert len(store.client.list_artifacts(first.info.run_id, "images")) == len(before)
    again = store.client.get_run(first.info.run_id)
    assert len(again.outputs.model_outputs) == len(again.inputs.dataset_inputs) == 1


def test_reports_are_artifacts_of_the_run(first: Any, store: Any) -> None:
    names = {
        file.path
        for place in ("verification", "evaluation", "gate")
        for file in store.client.list_artifacts(first.info.run_id, place)
    }
    assert names >= {
        "verification/manifest.json",
        "verification/report.html",
        "evaluation/metrics.json",
        "evaluation/report.html",
        "gate/decision.json",
    }


def test_the_model_is_logged_once_and_reused_by_reference(
    first: Any, reused: Any, store: Any
) -> None:
    (output,) = first.outputs.model_outputs
    assert [m.model_id for m in reused.inputs.model_inputs] == [output.model_id]
    assert not reused.outputs.model_outputs
    experiment = [first.info.experiment_id]
    assert len(store.client.search_logged_models(experiment)) == 1
    model = store.client.get_logged_model(output.model_id)
    assert model.source_run_id == first.info.run_id
    place = Path(model.artifact_location.removeprefix("file://"))
    assert {"model.keras", "contract.json", "MLmodel"} <= {
        p.name for p in place.iterdir()
    }
    with warnings.catch_warnings(action="ignore"):  # of MLflow's own imports
        served = mlflow.pyfunc.load_model(str(place))
    assert served.predict(np.zeros((1, 48, 64, 3), np.uint8)).shape == (1, 48, 64)


def test_models_can_be_searched_by_their_score_on_a_dataset(
    first: Any, chain: Any, store: Any
) -> None:
    dataset = first.inputs.dataset_inputs[0].dataset
    found = store.client.search_logged_models(
        [first.info.experiment_id],
        filter_string=f"metrics.miou >= {first.data.metrics['miou'] - 1e-6}",
        datasets=[{"dataset_name": dataset.name, "dataset_digest": dataset.digest}],
    )
    assert [model.model_id for model in found] == [
        first.outputs.model_outputs[0].model_id
    ]


def test_a_run_has_the_times_of_its_events_and_is_open_until_it_is_closed(
    first: Any, reused: Any, chain: Any, store: Any
) -> None:
    assert first.info.start_time == 1_000_000
    assert (first.info.status, reused.info.status) == ("FINISHED", "RUNNING")
    told = chain.event("epoch")
    points = store.client.get_metric_history(first.info.run_id, "curves/loss")
    assert points[0].timestamp == told["time_ms"]


@pytest.mark.parametrize(
    ("state", "status"),
    [("SUCCEEDED", "FINISHED"), ("FAILED", "FAILED"), ("CANCELLED", "KILLED")],
)
def test_the_exit_task_closes_the_run_as_the_pipeline_ended(
    state: str, status: str, store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(EVENTS, raising=False)
    monkeypatch.setenv("KFP_RUN_ID", f"ended-{state}")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store.uri)
    finalize.python_func(status=final_status(state), remote="r", **OPENING)
    assert store.row(f"ended-{state}").info.status == status


def test_a_run_names_its_failed_step(tracker: Recorder, store: Any) -> None:
    tracker.apply(opening("bad"))
    origin = {"run_id": "first", "finished": "2026-01-01T00:00:00Z", "duration_s": 1}
    lineage = {"verify": {**origin, "folder": "/"}}
    head = {"kind": "failed", "run": "bad", "time_ms": 1_000_000}
    failure = {"step": "train", "message": "Too dark.", "lineage": lineage}
    tracker.apply({**head, **failure})
    tags = store.row("bad").data.tags
    assert tags["failed_step"] == "train"
    assert tags["failure"] == "Too dark."
    assert tags["step.train"] == "failed"
    assert tags["step.verify"] == "cached from run first of 2026-01-01T00:00:00Z"


def test_a_class_may_have_any_name(
    tracker: Recorder, store: Any, chain: Any, tmp_path: Path
) -> None:
    ious = {"road (wet)": 0.1, "road [wet]": 0.2, "дорога": 0.3, "道路": 0.4, ".": 0.5}
    many = {f"class {number}": 0.5 for number in range(1100)}
    more = {"trottoir/été": None, "x" * 300: 0.6}
    scores = {"miou": 0.5, "split": "test", "class_iou": {**ious, **more, **many}}
    (tmp_path / "metrics.json").write_text(json.dumps(scores))
    decided = chain.event("decided")
    tracker.apply({**decided, "run": "names", "evaluation": str(tmp_path)})
    metrics = runs_of(store, "names").metrics
    logged = {name: iou for name, iou in metrics.items() if name.startswith("iou/")}
    assert len(logged) == len(ious) + 1 + len(many)
    assert (logged["iou/дорога"], logged["iou/道路"]) == (0.3, 0.4)
    wet = [iou for name, iou in logged.items() if name.startswith("iou/road _wet_-")]
    assert sorted(wet) == [0.1, 0.2]


def test_a_refused_part_is_reported_and_kept_and_the_others_are_applied(
    store: Any, chain: Any
) -> None:
    warnings: list[str] = []
    tracker = Recorder(store.uri, warn=warnings.append)
    tracker.apply(opening("refused", epochs=2))
    tracker.apply(opening("refused", epochs=3))  # MLflow keeps parameters as they are
    decided = chain.event("decided")
    tracker.apply({**decided, "run": "refused", "model": "/nowhere"})
    assert [text.partition(" (")[0] for text in warnings] == [
        "not tracked: identity",
        "not tracked: curves",
        "not tracked: model",
        "not tracked: resolved",
        "not tracked: description",
    ]
    assert [event["kind"] for event in tracker.refused] == ["open", "decided"]
    assert re.match("curves: .*; model: ", tracker.refused[1]["refused"])
    row = store.row("refused")
    assert row.data.params["epochs"] == "2"
    assert row.data.metrics["miou"] >= 0
