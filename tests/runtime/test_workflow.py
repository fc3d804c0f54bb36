"""The reader of Argo's JSON, on what a real Kubeflow Pipelines 2.17.0 answered."""

import base64
import copy
import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from seglib.errors import SegError
from seglib.runtime.workflow import Workflow, pod_name, workflow_of

_ODD_NODES = '{"metadata": {"name": "w"}, "status": {"nodes": {"w": 1}}}'
RECORDED = Path(__file__).parents[1] / "fakes" / "recorded"


def answer(case: str) -> dict[str, Any]:
    return json.loads((RECORDED / case / "v1beta1-run.json").read_text())


def read(told: str | dict[str, Any]) -> Workflow:
    """Of a recorded case, or of an answer."""
    return workflow_of(json.dumps(answer(told) if isinstance(told, str) else told))


def read_as(told: dict[str, Any]) -> list[tuple[str, str, int]]:
    return [(s.label, s.state, len(s.attempts)) for s in read(told).steps]


STATES = {
    "running": "verify SUCCEEDED, augment SUCCEEDED, train RUNNING",
    "succeeded": "verify SUCCEEDED, augment SUCCEEDED, train SUCCEEDED,"
    " evaluate SUCCEEDED, gate SUCCEEDED, export SUCCEEDED,"
    " finalize SUCCEEDED",
    "held": "verify CACHED, augment CACHED, train CACHED,"
    " evaluate CACHED, gate SUCCEEDED, finalize SUCCEEDED",
    "deleted": "verify CACHED, augment CACHED, train PENDING",
    "cancelled": "verify CACHED, augment CACHED, train CANCELED,"
    " evaluate SKIPPED, gate SKIPPED, finalize SUCCEEDED",
    "oom": "verify CACHED, augment CACHED, train FAILED,"
    " evaluate SKIPPED, gate SKIPPED, finalize SUCCEEDED",
    "a0-ok": "work SUCCEEDED, report SUCCEEDED",
    "a0-failed": "work FAILED, report SUCCEEDED",
    "retry-max-60s": "work FAILED",
    "retry-max-20s": "work SUCCEEDED",
    "sweep": "verify SUCCEEDED, augment SUCCEEDED, train[0] SUCCEEDED,"
    " train[1] SUCCEEDED, select SUCCEEDED, evaluate SUCCEEDED,"
    " gate SUCCEEDED, export SUCCEEDED, finalize SUCCEEDED",
}


@pytest.mark.parametrize("case", STATES)
def test_steps_are_those_of_the_pipeline_with_their_states(case: str) -> None:
    shown = ", ".join(f"{step.label} {step.state}" for step in read(case).steps)
    assert shown == STATES[case]


def test_every_recorded_run_is_read() -> None:
    recorded = {path.parent.name for path in RECORDED.glob("*/v1beta1-run.json")}
    assert recorded == set(STATES)


@pytest.mark.parametrize(
    ("case", "reason"),
    [
        ("oom", "OOMKilled (exit code 1)"),
        ("a0-failed", "Error (exit code 1)"),
        ("retry-max-60s", "Error (exit code 143); Max duration limit exceeded"),
    ],
)
def test_a_failed_step_tells_why(case: str, reason: str) -> None:
    failed = read(case).failed
    assert failed
    assert failed.message == reason


def test_a_waiting_pod_tells_why() -> None:
    step = read("deleted").steps[-1]
    assert step.message == (
        "Unschedulable: 0/1 nodes are available: 1 Insufficient cpu"
    )
    assert [attempt.message[:11] for attempt in step.attempts] == [
        "pod deleted",
        "Unschedulab",
    ]


def test_a_run_that_was_told_to_stop_is_known_by_it() -> None:
    stopped = {case for case in STATES if read(case).stopped}
    assert stopped == {"cancelled"}


def test_a_step_with_annotations_is_one_too() -> None:
    text = json.dumps(answer("running"))
    for template in ("executor", "impl"):
        old = f"retry-system-container-{template}"
        text = text.replace(old, f"metadata-1-0-{old}")
    assert read_as(json.loads(text)) == read_as(answer("running"))


@pytest.mark.parametrize("spec", [{"shutdown": "Stop"}, {"activeDeadlineSeconds": 0}])
def test_a_run_is_told_to_stop_by_its_specification(spec: dict[str, Any]) -> None:
    told = answer("running")
    manifest = json.loads(told["pipeline_runtime"]["workflow_manifest"])
    manifest["spec"] |= spec
    told["pipeline_runtime"]["workflow_manifest"] = json.dumps(manifest)
    assert read(told).stopped


def test_attempts_of_repeated_tasks_are_those_of_one_step() -> None:
    (step,) = read("retry-max-20s").steps
    assert [(a.state, a.message) for a in step.attempts] == [
        ("FAILED", "pod deleted"),
        ("SUCCEEDED", ""),
    ]


def test_pods_are_called_as_kubernetes_called_them() -> None:
    (step,) = (s for s in read("running").steps if s.name == "train-model")
    assert [attempt.pod for attempt in step.attempts] == [
        "segmentation-training-mcfr4-retry-system-container-impl-1365307750"
    ]
    assert len(pod_name("w" * 200, "t" * 100, "w-1234567890")) == 253


def test_the_run_and_its_name_are_known() -> None:
    workflow = read("oom")
    assert workflow.run_name == "43fd10e-105973d-3e1afab4ccfa177f"


def with_status(case: str, **status: Any) -> dict[str, Any]:
    """A recorded answer with another status of the workflow."""
    changed = copy.deepcopy(answer(case))
    manifest = json.loads(changed["pipeline_runtime"]["workflow_manifest"])
    manifest["status"] = status
    changed["pipeline_runtime"]["workflow_manifest"] = json.dumps(manifest)
    return changed


def test_a_workflow_that_has_not_begun_has_no_steps() -> None:
    assert read(with_status("running")).steps == ()


def test_of_a_very_large_workflow_it_is_said_where_its_nodes_are() -> None:
    with pytest.raises(SegError, match="keeps its nodes in a database of its own"):
        read(with_status("running", offloadNodeStatusVersion="fnv:1"))


@pytest.mark.parametrize(
    "packed", ["%", base64.b64encode(b"no gzip").decode(), "", None, [], 7]
)
def test_damaged_nodes_are_told(packed: Any) -> None:
    given = with_status("running", compressedNodes=packed)
    if not packed:
        assert read(given).steps == ()
        return
    with pytest.raises(SegError, match="holds no workflow that can be read"):
        read(given)


def test_nodes_that_unpack_to_too_much_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("seglib.runtime.workflow._MOST_BYTES", 1000)
    packed = base64.b64encode(gzip.compress(b" " * 2000)).decode()
    with pytest.raises(SegError, match="over 1,000 bytes"):
        read(with_status("running", compressedNodes=packed))


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"pipeline_runtime": None},
        {"pipeline_runtime": {"workflow_manifest": "no JSON"}},
        {"pipeline_runtime": {"workflow_manifest": "[]"}},
        {"pipeline_runtime": {"workflow_manifest": '{"metadata": {}}'}},
        {"pipeline_runtime": {"workflow_manifest": _ODD_NODES}},
    ],
)
def test_an_answer_without_a_workflow_is_told(given: dict[str, Any]) -> None:
    with pytest.raises(SegError, match="holds no workflow that can be read"):
        read(given)
