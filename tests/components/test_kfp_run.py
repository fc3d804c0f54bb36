"""How runs ended, as their exit task finds out from what a real KFP 2.17.0 answered."""

import copy
import json
import re
import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from kfp import dsl

from components import kfp_run
from components.finalize import finalize
from components.step import MESSAGES, RUN_ID
from components.tracking import Tracker
from seglib.config import Config

pytestmark = pytest.mark.filterwarnings(
    # MLflow's own use of SQLAlchemy.
    "ignore:The ``noload`` loader strategy is deprecated"
)
RECORDED = Path(__file__).parents[1] / "pipeline" / "recorded"
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
Answer = tuple[int, bytes]
IDENTITY = {"data_md5": "d.dir", "code_version": "c"}
LOG = b"""\
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


class Kfp:
    """KFP's API on loopback: answers by their paths, and what was asked."""

    def __init__(self) -> None:
        self.answers: dict[str, Answer] = {}
        self.later: list[dict[str, Answer]] = []  # one after another, from then on
        self.asked: list[str] = []
        kfp = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                kfp.asked.append(self.path)
                status, body = kfp.answers.get(self.path, (404, b'{"code": 5}'))
                if "v1beta1" in self.path and kfp.later:
                    kfp.answers.update(kfp.later.pop(0))
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


def recorded(case: str, version: str) -> dict[str, Any]:
    return json.loads((RECORDED / case / f"{version}-run.json").read_text())


def run_of(case: str) -> str:
    return str(recorded(case, "v2beta1")["run_id"])


def begin_of_exit_task(case: str) -> datetime:
    nodes = manifest_of(recorded(case, "v1beta1"))["status"]["nodes"].values()
    (pod,) = (n for n in nodes if n["name"].endswith("finalize(0).executor(0)"))
    return datetime.fromisoformat(pod["startedAt"])


def manifest_of(answer: dict[str, Any]) -> dict[str, Any]:
    return json.loads(answer["pipeline_runtime"]["workflow_manifest"])


def answers(case: str, *, at: datetime | None = None) -> dict[str, Answer]:
    """What KFP said of a run at its end, or would have said at a moment before."""
    workflow, run = recorded(case, "v1beta1"), recorded(case, "v2beta1")
    if at:
        workflow["pipeline_runtime"]["workflow_manifest"] = json.dumps(
            rewound(manifest_of(workflow), at)
        )
        run["state_history"] = [
            one
            for one in run["state_history"]
            if datetime.fromisoformat(one["update_time"]) <= at
        ]
        run["state"] = run["state_history"][-1]["state"]
    path = f"/runs/{run['run_id']}"
    return {
        f"/apis/v1beta1{path}": (200, json.dumps(workflow).encode()),
        f"/apis/v2beta1{path}": (200, json.dumps(run).encode()),
    }


def rewound(manifest: dict[str, Any], at: datetime) -> dict[str, Any]:
    """A workflow as it was: what ended later still runs, what began later is not."""
    before = copy.deepcopy(manifest)
    before["status"].update(phase="Running", message="")
    nodes = before["status"]["nodes"]
    for key, node in list(nodes.items()):
        if datetime.fromisoformat(node["startedAt"]) > at:
            del nodes[key]
        elif datetime.fromisoformat(node["finishedAt"]) > at:
            node.update(phase="Running", message="", finishedAt=None)
    return before


@pytest.fixture
def kfp(monkeypatch: pytest.MonkeyPatch) -> Iterator[Kfp]:
    kfp = Kfp()
    monkeypatch.setenv(kfp_run.API, kfp.url)
    monkeypatch.setattr(kfp_run, "_PAUSES_S", (0, 0, 0))
    yield kfp
    kfp.server.shutdown()
    kfp.server.server_close()


@pytest.fixture
def end(
    store: Any, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str, str], tuple[Any, dict[str, str]]]:
    """Run the exit task of a run: the row and its tags."""

    def end(run: str, word: str) -> tuple[Any, dict[str, str]]:
        monkeypatch.delenv(MESSAGES, raising=False)
        monkeypatch.setenv(RUN_ID, run)
        monkeypatch.setenv("MLFLOW_TRACKING_URI", store.uri)
        final = dsl.PipelineTaskFinalStatus(
            state=word,
            pipeline_job_resource_name="",
            pipeline_task_name="",
            error_code=None,
            error_message=None,
        )
        settings = {**Config().flat(), "epochs": 9}
        finalize.python_func(status=final, remote="r", **IDENTITY, **settings)
        experiment = store.client.search_experiments()[0].experiment_id
        (row,) = store.client.search_runs([experiment], f"tags.`kfp.run_id` = '{run}'")
        return row, dict(row.data.tags)

    return end


def told(kfp: Kfp, case: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.setenv(RUN_ID, run_of(case))
    return kfp_run.ending(WORDS[case])


@pytest.mark.parametrize("case", STATUSES)
def test_the_row_of_a_recorded_run_says_how_it_ended(
    case: str, kfp: Kfp, end: Callable[..., Any]
) -> None:
    kfp.answers.update(answers(case))
    row, tags = end(run_of(case), WORDS[case])
    assert row.info.status == STATUSES[case]
    assert row.info.run_name == recorded(case, "v2beta1")["display_name"]
    assert tags["kfp.page"] == f"/#/runs/details/{run_of(case)}"
    shown = {k: v for k, v in tags.items() if k.startswith("step.")}
    if case == "oom":
        assert tags["failed_step"] == "train"
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


@pytest.mark.parametrize("case", [case for case in STATUSES if case != "sweep"])
def test_the_end_is_known_while_the_exit_task_runs(
    case: str, kfp: Kfp, monkeypatch: pytest.MonkeyPatch
) -> None:
    kfp.answers.update(answers(case))
    at_last = told(kfp, case, monkeypatch)
    moment = begin_of_exit_task(case) + timedelta(seconds=2)
    kfp.answers.update(answers(case, at=moment))
    assert told(kfp, case, monkeypatch) == at_last


def test_an_older_copy_of_the_workflow_is_asked_for_again(
    kfp: Kfp, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = begin_of_exit_task("held")
    kfp.answers.update(answers("held", at=begin - timedelta(seconds=35)))
    kfp.later.append(answers("held", at=begin + timedelta(seconds=2)))
    assert told(kfp, "held", monkeypatch)["state"] == "SUCCEEDED"
    assert len(kfp.asked) == 4


def test_the_failure_has_the_last_lines_of_the_steps_log(
    kfp: Kfp, monkeypatch: pytest.MonkeyPatch
) -> None:
    kfp.answers.update(answers("oom"))
    pod = "segmentation-training-r2hsb-retry-system-container-impl-194004551"
    path = f"/apis/v1alpha1/runs/{run_of('oom')}/nodes/{pod}/log"
    kfp.answers[path] = (200, LOG)
    assert told(kfp, "oom", monkeypatch)["failure"].splitlines() == [
        "OOMKilled (exit code 1)",
        "epoch 1 of 3",
        r"killed \x1b[31msoon: http://host/",
    ]
    refusal = (RECORDED / "http" / "log-wrong-pod.txt").read_text()
    kfp.answers[path] = (200, refusal.rpartition("\n\n")[2].encode())
    assert told(kfp, "oom", monkeypatch)["failure"] == "OOMKilled (exit code 1)"


def test_the_steps_own_word_for_its_failure_stays(
    kfp: Kfp, store: Any, end: Callable[..., Any]
) -> None:
    """The recorded run of one step is called `work`; its exit task is `report`."""
    run = run_of("a0-failed")
    kfp.answers.update(answers("a0-failed"))
    failure = {"step": "work", "message": "Too dark.", "lineage": {}}
    head = {"kind": "failed", "run": run, "time_ms": 1_000_000}
    Tracker(store.uri, warn=pytest.fail).apply({**head, **failure})
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
@pytest.mark.parametrize("answer", [None, (500, b"no"), (200, b"<html>login</html>")])
def test_without_an_answer_what_the_steps_told_decides(
    answer: Answer | None,
    told: dict[str, str],
    word: str,
    status: str,
    kfp: Kfp,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from components.run_end import status_of

    run = run_of("held")
    if answer:
        kfp.answers[f"/apis/v2beta1/runs/{run}"] = answer
    monkeypatch.setenv(RUN_ID, run)
    message = kfp_run.ending(word)
    assert message == {"state": word, "word": word}
    assert status_of(message, told) == status
    assert len(kfp.asked) == (1 if answer is None else 3)  # 404 stays 404


def test_steps_that_ended_well_do_not_hide_that_the_workflow_failed(
    kfp: Kfp, monkeypatch: pytest.MonkeyPatch
) -> None:
    from components.run_end import status_of

    kfp.answers.update(answers("held"))
    monkeypatch.setenv(RUN_ID, run_of("held"))
    message = kfp_run.ending("FAILED")  # such as by the driver of a condition
    assert message["state"] == "SUCCEEDED"
    assert status_of(message, {"verdict": "promote"}) == "FAILED"
    assert status_of(message, {"verdict": "hold"}) == "FINISHED"


def test_a_row_has_the_runs_name_and_its_page_while_it_runs(
    kfp: Kfp, store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(kfp_run.UI, "https://kfp.example.com/")
    run = run_of("retry-max-60s")
    kfp.answers.update(answers("retry-max-60s"))
    tracker = Tracker(store.uri, warn=pytest.fail)
    head = {"kind": "failed", "run": run, "time_ms": 1_000_000}
    tracker.apply({**head, "step": "train", "message": "m", "lineage": {}})
    row = store.client.get_run(tracker.rows[run].id)
    assert row.info.run_name == recorded("retry-max-60s", "v2beta1")["display_name"]
    page = f"https://kfp.example.com/#/runs/details/{run}"
    assert row.data.tags["kfp.page"] == page


def test_the_api_is_that_of_the_pods_namespace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kfp_run, "_PLACE", tmp_path / "namespace")
    run = run_of("held")
    assert kfp_run._address(run) == ""
    (tmp_path / "namespace").write_text("team-a")
    assert kfp_run._address(run) == "http://ml-pipeline.team-a:8888"
    assert kfp_run._address("20261122-140501") == "", "a local run asks nobody"


def test_no_recorded_run_has_an_id_that_is_not_asked_for() -> None:
    cases = [path.parent.name for path in RECORDED.glob("*/v2beta1-run.json")]
    assert all(re.fullmatch(kfp_run._RUN, run_of(case)) for case in cases)
