"""The runs of steps below that of their pipeline run, and those that KFP makes."""

from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from mlflow.entities import Metric, Param

from seglib.delivery.recorder import Recorder
from seglib.environment import EVENTS
from seglib.errors import DivergedError, SegError
from seglib.runtime.trials import trial_may_fail
from seglib.tasks.task import task

IDENTITY = {"parameters": {}, "data_md5": "d", "code_version": "c"}
FAILURE = {"failed_step", "failure"}


@pytest.fixture
def in_pod(
    store: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> Callable[..., Any]:
    """Within it, a step belongs to a run, and no runner follows it."""
    monkeypatch.delenv(EVENTS, raising=False)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store.uri)

    def begin(run: str, name: str, trial: dict[str, Any] | None = None) -> Any:
        monkeypatch.setenv("KFP_RUN_ID", run)
        out = SimpleNamespace(path=str(tmp_path / run / name), uri=f"{run}/{name}")
        return task(name, out=out, watched=True, trial=trial)

    return begin


@pytest.fixture
def of_kfp(store: Any, tmp_path: Path) -> Iterator[Callable[..., str]]:
    """Creates runs as KFP's plugin does, in the experiment that it was told to use."""
    artifacts = (tmp_path / "artifacts").as_uri()
    experiment = store.client.create_experiment(
        "KFP-Default", artifact_location=artifacts
    )

    def create(name: str, parent: str = "") -> str:
        tags = {"mlflow.parentRunId": parent} if parent else {}
        created = store.client.create_run(experiment, run_name=name, tags=tags)
        return str(created.info.run_id)

    yield create
    store.client.rename_experiment(experiment, f"gone-{experiment}")
    store.client.delete_experiment(experiment)


def by_step(store: Any, run: str, *experiment: str) -> tuple[Any, dict[str, Any]]:
    """The run of a pipeline run, and those of its steps."""
    row = store.row(run, *experiment)
    return row, {child.data.tags.get("step"): child for child in store.children(row)}


def test_each_executed_step_has_a_run_with_its_end_and_the_load_of_its_machine(
    store: Any, in_pod: Any
) -> None:
    with in_pod("own", "train"):
        pass
    with pytest.raises(SystemExit), in_pod("own", "evaluate"):
        raise SegError("Too dark.")
    row, children = by_step(store, "own")
    assert {name: child.info.status for name, child in children.items()} == {
        "train": "FINISHED",
        "evaluate": "FAILED",
    }
    train = children["train"]
    assert train.info.experiment_id == row.info.experiment_id
    assert train.data.tags["folder"] == "own/train"
    assert train.info.end_time >= train.info.start_time
    load = {k: v for k, v in train.data.metrics.items() if k.startswith("system/")}
    assert 0 <= load["system/cpu_utilization_percentage"] <= 100
    assert load["system/process_memory_usage_megabytes"] > 10
    assert not any(k.startswith("system/") for k in row.data.metrics), "not in the list"
    assert not train.data.params


def test_a_failed_trial_says_why_and_its_pipeline_run_does_not_fail(
    store: Any, in_pod: Any
) -> None:
    with in_pod("swept", "train", {"epochs": 3}) as training, trial_may_fail(training):
        raise DivergedError("The loss is nan at step 7.")
    with in_pod("swept", "train", {"epochs": 4}) as training, trial_may_fail(training):
        pass
    with (
        pytest.raises(SystemExit),
        in_pod("swept", "train", {"epochs": 5}) as training,
        trial_may_fail(training),
    ):
        raise SegError("s3://bucket does not answer.")
    row = store.row("swept")
    told = {
        trial.info.run_name: (trial.info.status, trial.data.tags.get("fell_out"))
        for trial in store.children(row)
    }
    assert told == {
        "train epochs=3": ("FAILED", "The loss is nan at step 7."),
        "train epochs=4": ("FINISHED", None),
        "train epochs=5": ("FAILED", None),
    }
    assert row.data.tags["failure"] == "s3://bucket does not answer."


@pytest.fixture
def attempts(store: Any) -> Callable[..., Any]:
    """Tells a step's start, failure or end, or the run's end, at a moment."""
    recorder = Recorder(store.uri, warn=pytest.fail)

    def tell(run: str, kind: str, time_ms: int, **content: Any) -> Any:
        origin = {"run_id": run, "folder": "f"}
        if kind == "finished":
            origin |= {"duration_s": 1.0, "finished": "2026-11-26T20:52:00Z"}
        event = {"step": "train", "lineage": {"train": origin}, **content}
        if kind in ("open", "close"):
            event = {**IDENTITY, **content}
        recorder.apply({"run": run, "kind": kind, "time_ms": time_ms, **event})
        return by_step(store, run)

    return tell


def test_another_attempt_reopens_the_run_and_removes_the_failure(attempts: Any) -> None:
    """As in B-seed2 of the recordings: a lost process, then success."""
    run = "reopened"
    attempts(run, "open", 1000)
    attempts(run, "started", 1000)
    attempts(run, "failed", 2000, message="Process 0 of 2 has lost process 1.")
    row, children = attempts(run, "close", 2500, state="FAILED")
    assert row.info.status == children["train"].info.status == "FAILED"
    assert row.data.tags["failed_step"] == "train"
    row, children = attempts(run, "started", 9000)
    assert row.info.status == children["train"].info.status == "RUNNING"
    assert not row.data.tags.keys() & FAILURE
    attempts(run, "finished", 12000)
    row, children = attempts(run, "close", 12500, state="SUCCEEDED")
    assert list(children) == ["train"], "one run for both attempts"
    assert row.info.status == children["train"].info.status == "FINISHED"
    assert row.info.end_time == 12500


def test_a_run_names_the_job_that_trained_and_the_time_of_all_its_attempts(
    attempts: Any,
) -> None:
    """As in C-submit of the recordings, whose step `train` took 11 s of its own."""
    run = "takes over"
    origin = {"run_id": run, "folder": "f", "finished": "2026-11-26T20:56:00Z"}
    by = "run train-43fd10e-105973d-20c99f3d in 1 attempt"
    origin |= {"duration_s": 10.853, "before_s": 379.1, "trained_by": by}
    attempts(run, "open", 1000)
    attempts(run, "started", 1000)
    row, children = attempts(run, "finished", 12000, lineage={"train": origin})
    assert row.data.tags["trained_by"] == by
    assert children["train"].data.metrics["duration_s"] == 389.953


def test_late_events_of_an_earlier_attempt_change_nothing(attempts: Any) -> None:
    run = "told late"
    attempts(run, "open", 1000)
    attempts(run, "started", 5000)
    attempts(run, "finished", 6000)
    attempts(run, "close", 6500, state="SUCCEEDED")
    attempts(run, "started", 1500)
    row, children = attempts(run, "failed", 2000, message="Evicted.")
    assert row.info.status == children["train"].info.status == "FINISHED"
    assert not row.data.tags.keys() & FAILURE
    assert row.data.tags["step.train"] == "executed"


def test_a_starting_step_keeps_the_failure_of_another_step(attempts: Any) -> None:
    run = "of another"
    attempts(run, "open", 1000)
    attempts(run, "started", 1000)
    attempts(run, "failed", 2000, message="Out of memory.")
    origin = {"evaluate": {"run_id": run, "folder": "f"}}
    row, _ = attempts(run, "started", 3000, step="evaluate", lineage=origin)
    assert row.data.tags["failed_step"] == "train"


def test_the_open_steps_of_a_stopped_run_are_closed_with_it(attempts: Any) -> None:
    attempts("stopped", "open", 1000)
    attempts("stopped", "started", 1000)
    row, children = attempts("stopped", "close", 2000, state="CANCELLED")
    assert row.info.status == children["train"].info.status == "KILLED"
    assert children["train"].info.end_time == 2000


def test_runs_of_kfps_plugin_are_adopted_and_its_launcher_can_still_log(
    store: Any, in_pod: Any, of_kfp: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = of_kfp("pipeline")
    task_id = of_kfp("train-model", of_kfp("exit-handler-1", pipeline))
    monkeypatch.setenv("MLFLOW_RUN_ID", task_id)
    with in_pod("adopted", "train") as training:
        training.epoch({"epoch": 1, "loss": 0.5})
    # What KFP's launcher does once the task has ended.
    quoted = [Param("architecture", '"compact"'), Param("epochs", "20")]
    store.client.log_batch(task_id, params=quoted, metrics=[Metric("miou", 0.5, 1, 0)])
    row, children = by_step(store, "adopted", "KFP-Default")
    assert row.info.run_id == pipeline, "one run for the pipeline's, and it is KFP's"
    assert children["train"].info.run_id == task_id
    assert children["train"].info.run_name == "train-model"
    assert children["train"].info.status == "RUNNING", "KFP ends what it made"
    assert row.data.metrics["curves/loss"] == 0.5
    assert store.client.get_run(task_id).data.params["architecture"] == '"compact"'


def test_parameters_of_an_adopted_run_have_a_prefix(store: Any, of_kfp: Any) -> None:
    pipeline = of_kfp("pipeline")
    store.client.log_param(pipeline, "epochs", '"20"')
    event = {"kind": "close", "run": "prefixed", "time_ms": 1, "state": "SUCCEEDED"}
    event |= {**IDENTITY, "parameters": {"epochs": 20}}
    event["adopted"] = of_kfp("finalize", pipeline)
    Recorder(store.uri, warn=pytest.fail).apply(event)
    row = store.row("prefixed", "KFP-Default")
    assert row.data.params == {"epochs": '"20"', "seg/epochs": "20"}
    assert row.info.status == "FINISHED"
