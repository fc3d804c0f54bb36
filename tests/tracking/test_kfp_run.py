"""How runs ended, as their exit task finds out from what a real KFP 2.17.0 answered."""

import json
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from components.finalize import finalize
from seglib.config import Config
from seglib.delivery.recorder import Recorder
from seglib.environment import EVENTS, KFP_API, KFP_UI, RUN_ID
from seglib.runtime import kfp_run
from seglib.tracking.queries import TrackedRuns
from seglib.tracking.run_end import status_of
from tests.fakes.kfp_api import Fault, KfpApi
from tests.fakes.recorded_runs import RECORDED, Recorded, nodes_of
from tests.fakes.steps import final_status

NAME = "43fd10e-105973d-56cb7d4662048fc5"
# The word that the exit task got (README of the recorded answers).
WORDS = {
    "succeeded": "COMPLETE",
    "held": "RUNNING",
    "cancelled": "RUNNING",
    "oom": "FAILED",
    "sweep": "COMPLETE",
}
STATUSES = {
    "succeeded": "FINISHED",
    "held": "FINISHED",
    "cancelled": "KILLED",
    "oom": "FAILED",
    "sweep": "FINISHED",
}
IDENTITY = {"data_md5": "d.dir", "code_version": "c"}
LOG = """\
time=2026-11-26T20:57:25.586Z level=INFO msg="capturing logs" argo=true
I1126 20:57:25.801790      15 main.go:67] Setting log level to: '1'
[KFP Executor 2026-11-26 20:57:26,780 INFO]: Got executor_input:
{
    "inputs": {}
}
epoch 1 of 3
killed \x1b[31msoon: http://me:secret@host/
time=2026-11-26T20:59:13.161Z level=INFO msg="sub-process exited" argo=true error=<nil>
"""


@pytest.fixture
def kfp(monkeypatch: pytest.MonkeyPatch) -> Iterator[KfpApi]:
    with KfpApi() as kfp:
        monkeypatch.setenv(KFP_API, kfp.url)
        monkeypatch.setattr(kfp_run, "_PAUSES_S", (0, 0, 0))
        quick = kfp_run._PATIENCE.new(total=2, backoff_factor=0)
        monkeypatch.setattr(kfp_run, "_PATIENCE", quick)
        yield kfp


def add_run(kfp: KfpApi, case: str, moment: int = -1) -> str:
    """A run that became a recorded one: its id."""
    run = str(uuid.uuid4())
    kfp.runs[run] = {
        "run_id": run,
        "display_name": NAME,
        "created_at": "2026-11-27T08:00:00Z",
        "storage_state": "AVAILABLE",
        "runtime_config": {"parameters": parameters_of(case)},
    }
    kfp.become(run, case, moment)
    return run


def parameters_of(case: str) -> dict[str, Any]:
    """What the recorded run was given."""
    answer = json.loads((RECORDED / case / "v2beta1-run.json").read_text())
    return dict(answer["runtime_config"]["parameters"])


def begin_of_exit_task(case: str) -> int:
    """The moment at which its pod began."""
    answer = json.loads((RECORDED / case / "v1beta1-run.json").read_text())
    manifest = json.loads(answer["pipeline_runtime"]["workflow_manifest"])
    (begin,) = (
        node["startedAt"]
        for node in nodes_of(manifest).values()
        if node["name"].endswith("finalize(0).executor(0)")
    )
    return Recorded(case).moments.index(begin)


@pytest.fixture
def end(
    store: Any, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str, str], tuple[Any, dict[str, str]]]:
    """Run the exit task of a run: the row and its tags."""

    def end(run: str, word: str) -> tuple[Any, dict[str, str]]:
        monkeypatch.delenv(EVENTS, raising=False)
        monkeypatch.setenv(RUN_ID, run)
        monkeypatch.setenv("MLFLOW_TRACKING_URI", store.uri)
        finalize.python_func(status=final_status(word), remote="r", **IDENTITY)
        row = store.row(run)
        return row, dict(row.data.tags)

    return end


def ending(run: str, word: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.setenv(RUN_ID, run)
    return kfp_run.ending(word)


@pytest.mark.parametrize("case", STATUSES)
def test_the_mlflow_run_of_a_recorded_run_says_how_it_ended(
    case: str, kfp: KfpApi, store: Any, end: Callable[..., Any]
) -> None:
    run = add_run(kfp, case)
    row, tags = end(run, WORDS[case])
    assert row.info.status == STATUSES[case]
    assert row.info.run_name == NAME
    given = parameters_of(case)
    experiment = store.client.get_experiment(row.info.experiment_id).name
    named = given.get("registered_model") or Path(given["remote"]).name
    assert experiment == named, "of the parameters that KFP tells"
    assert tags["kfp.page"] == f"/#/runs/details/{run}"
    swept = set(given.get("swept", "").split(","))
    runs = TrackedRuns(store.uri)
    settings = runs.whole(runs.find(run)).parameters
    assert settings.keys() == Config().flat().keys() & given.keys() - swept
    assert settings["class_weight_power"] == "0.5"
    assert settings["max_minutes"] == "0.0", "and not 0, as JSON has it"
    shown = {k: v for k, v in tags.items() if k.startswith("step.")}
    if case == "oom":
        searched = (
            f"tags.failed_step = 'train' and attributes.run_id = '{row.info.run_id}'"
        )
        assert store.client.search_runs([row.info.experiment_id], searched)
        assert tags["failure"] == "OOMKilled (exit code 1)"
    else:
        assert "failed_step" not in tags
    if case in ("oom", "cancelled"):
        assert shown == {
            "step.verify": "cached",
            "step.augment": "cached",
            "step.train": {"oom": "failed", "cancelled": "stopped"}[case],
            "step.evaluate": "not reached",
            "step.gate": "not reached",
        }


@pytest.mark.parametrize("case", STATUSES)
def test_the_end_is_known_while_the_exit_task_runs(
    case: str, kfp: KfpApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = add_run(kfp, case)
    at_last = ending(run, WORDS[case], monkeypatch)
    kfp.become(run, case, begin_of_exit_task(case))
    assert ending(run, WORDS[case], monkeypatch) == at_last
    assert at_last["state"] != WORDS[case] or case == "oom"


def test_an_older_copy_of_the_workflow_is_asked_for_again(
    kfp: KfpApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = add_run(kfp, "held", 0)
    assert ending(run, "RUNNING", monkeypatch)["state"] == "RUNNING"
    kfp.play(run, "held")
    monkeypatch.setattr(kfp_run, "_PAUSES_S", (0,) * 100)
    assert ending(run, "RUNNING", monkeypatch)["state"] == "SUCCEEDED"


def test_the_failure_has_the_last_lines_of_the_steps_log(
    kfp: KfpApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = add_run(kfp, "oom")
    pod = "segmentation-training-r2hsb-retry-system-container-impl-194004551"
    kfp.logs[run, pod] = LOG
    assert ending(run, "FAILED", monkeypatch)["failure"].splitlines() == [
        "OOMKilled (exit code 1)",
        "epoch 1 of 3",
        r"killed \x1b[31msoon: http://host/",
    ]


def test_the_steps_own_word_for_its_failure_stays(
    kfp: KfpApi, store: Any, end: Callable[..., Any]
) -> None:
    """The recorded run of one step is called `work`; its exit task is `report`."""
    run = add_run(kfp, "a0-failed")
    failure = {"step": "work", "message": "Too dark.", "lineage": {}}
    head = {"kind": "failed", "run": run, "time_ms": 1_000_000}
    Recorder(store.uri, warn=pytest.fail).apply({**head, **failure})
    row, tags = end(run, "FAILED")
    assert row.info.status == "FAILED"
    assert (tags["failed_step"], tags["failure"]) == ("work", "Too dark.")


@pytest.mark.parametrize(
    ("told", "word", "status"),
    [
        ({"verdict": "hold"}, "RUNNING", "FINISHED"),
        ({"verdict": "promote", "step.export": "executed"}, "?", "FINISHED"),
        ({}, "COMPLETE", "FINISHED"),
        ({"verdict": "promote"}, "RUNNING", "KILLED"),
        ({}, "RUNNING", "KILLED"),
        ({}, "FAILED", "FAILED"),
        ({"failed_step": "train", "step.train": "failed"}, "RUNNING", "FAILED"),
        ({"failed_step": "train", "step.train": "executed"}, "COMPLETE", "FINISHED"),
        ({"verdict": "promote"}, "?", "FAILED"),
    ],
)
def test_without_an_answer_the_events_of_the_steps_decide(
    told: dict[str, str], word: str, status: str
) -> None:
    assert status_of({"state": word, "word": word}, told) == status


@pytest.mark.parametrize(
    ("fault", "asked"),
    [
        (Fault("run_service_get_run", 503, times=9), 3),
        (Fault("run_service_get_run", 0, times=9), 3),
        (Fault("run_service_get_run", 203, text="<html>a login", times=9), 1),
        (Fault("run_service_get_run", 404, times=9), 1),
    ],
)
def test_without_an_answer_the_state_is_the_exit_tasks(
    fault: Fault, asked: int, kfp: KfpApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = add_run(kfp, "succeeded")
    kfp.faults.append(fault)
    assert ending(run, "?", monkeypatch) == {"state": "?", "word": "?"}
    assert len(kfp.calls("run_service_get_run")) == asked


def test_a_workflow_that_failed_beside_its_steps_has_failed(
    kfp: KfpApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = ending(add_run(kfp, "held"), "FAILED", monkeypatch)
    assert message["state"] == "SUCCEEDED"
    assert status_of(message, {"verdict": "promote"}) == "FAILED"
    assert status_of(message, {"verdict": "hold"}) == "FINISHED"


def test_the_mlflow_run_has_the_name_and_page_of_the_run_while_it_runs(
    kfp: KfpApi, store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(KFP_UI, "https://kfp.example.com/")
    run = add_run(kfp, "running")
    kfp.runs[run]["display_name"] = "one-of-its-kind"
    tracker = Recorder(store.uri, warn=pytest.fail)
    lineage = {
        "verify": {"run_id": "first", "finished": "2026-01-01T00:00:00Z"},
        "train": {"run_id": run, "folder": "f"},
    }
    head = {"kind": "started", "run": run, "time_ms": 1_000_000}
    tracker.apply({**head, "step": "train", "lineage": lineage})
    row = store.client.get_run(tracker.runs[run].id)
    assert row.info.run_name == "one-of-its-kind"
    page = f"https://kfp.example.com/#/runs/details/{run}"
    assert row.data.tags["kfp.page"] == page
    cached = "cached from run first of 2026-01-01T00:00:00Z"
    assert row.data.tags["step.verify"] == cached
    assert "step.train" not in row.data.tags
    rows = TrackedRuns(store.uri)
    assert rows.find("one-of-its-kind").id == row.info.run_id
    assert rows.find(run).name == "one-of-its-kind"


def test_the_api_is_that_of_the_pods_namespace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kfp_run, "_PLACE", tmp_path / "namespace")
    run = str(uuid.uuid4())
    assert kfp_run._address(run) == ""
    (tmp_path / "namespace").write_text("team-a")
    assert kfp_run._address(run) == "http://ml-pipeline.team-a:8888"
    assert kfp_run._address("20261122-140501") == "", "a local run asks nobody"
