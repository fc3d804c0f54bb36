"""The commands as people type them: submit, status, wait, cancel, logs."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from benchmarks.waiting import HANG_S
from pipeline import __main__ as command_line
from pipeline.dag.document import Document
from pipeline.kfp.connection import KfpServer
from pipeline.kfp.order import Order
from pipeline.kfp.runs import get_run
from pipeline.kfp.submission import submit
from pipeline.kfp.watching import duration, follow
from seglib.data.image_io import write_bytes
from seglib.runtime.workflow import workflow_of
from tests.fakes.kfp_api import Fault, KfpApi, was_stopped
from tests.fakes.loopback import use_kubeconfig
from tests.fakes.pushing import push
from tests.fakes.recorded_runs import recorded_body
from tests.fakes.servers import free_port
from tests.pipeline.kfp.conftest import DATA, IMAGE

Run = Callable[..., tuple[int, str, str]]
# What `wait` tells of the recorded run, in order.
SUCCEEDING = [
    f"{step} {state}"
    for step in ("verify", "augment", "train", "evaluate", "gate", "export", "finalize")
    for state in ("PENDING", "RUNNING", "SUCCEEDED")
]
OUT_OF_MEMORY = [
    "verify PENDING",
    "verify CACHED",
    "augment PENDING",
    "augment CACHED",
    "train PENDING",
    "train RUNNING",
    "train FAILED",
    "evaluate SKIPPED",
    "gate SKIPPED",
    "finalize PENDING",
    "finalize RUNNING",
    "finalize SUCCEEDED",
]


@pytest.fixture
def run(
    api: KfpApi, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Run:
    """Runs a command of the command line: its exit status and what it printed."""
    monkeypatch.setenv("KFP_ENDPOINT", api.url)

    def call(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["pipeline", *words])
        with pytest.raises(SystemExit) as ended:
            command_line.main()
        out, err = capsys.readouterr()
        return int(ended.value.code or 0), out, err

    return call


@pytest.fixture
def submission(document: Document) -> list[str]:
    data = ["--data-md5", DATA.data_md5, "--remote", DATA.remote, "--no-push-check"]
    return ["submit", "--pipeline", str(document.path), *data]


@pytest.fixture
def started(cluster: KfpServer, order: Order) -> str:
    """The id of a run."""
    return submit(cluster, order).run.run_id


def test_submit_prints_the_page_of_the_run(
    run: Run, api: KfpApi, submission: list[str]
) -> None:
    status, out, _ = run(*submission, "--set", "epochs=3")
    assert status == 0
    made = api.run()
    assert made["runtime_config"]["parameters"]["epochs"] == 3
    assert f"run          {made['display_name']} is started" in out
    assert f"page         {api.url}/#/runs/details/{made['run_id']}" in out
    status, out, _ = run(*submission, "--set", "epochs=3")
    assert f"the same run is under way: {made['display_name']}" in out
    api.become(made["run_id"], "succeeded")
    status, out, _ = run(*submission, "--set", "epochs=3", "--wait")
    assert status == 0
    assert "the same run is there" in out
    assert "--force repeats it" in out


def test_submit_compiles_checks_the_data_and_uploads(
    run: Run, api: KfpApi, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(repository)
    remote = str(repository / "dvc-remote")
    status, out, _ = run("submit", "--image", IMAGE, "--remote", remote)
    assert status == 0, out
    assert api.run()["runtime_config"]["parameters"]["remote"] == remote
    assert api.run()["service_account"] == "pipeline-runner"


@pytest.mark.parametrize("command", ["submit", "train-job"])
def test_data_without_the_split_that_is_scored_are_not_sent(
    run: Run, api: KfpApi, tmp_path: Path, command: str
) -> None:
    write_bytes(tmp_path / "data" / "train_images" / "a.png", b"a")
    data_md5 = push(tmp_path / "data", tmp_path / "remote")
    given = ["--image", IMAGE, "--data-md5", data_md5, "--remote"]
    given += [str(tmp_path / "remote")]
    if command == "train-job":
        given += ["-o", str(tmp_path / "job.yaml"), "--nodes", "2"]
        given += ["--checkpoints", "s3://data/checkpoints"]
    status, _, error = run(command, *given)
    assert status == 1
    assert "no val split, which the model is scored on" in error
    assert not api.runs
    assert not (tmp_path / "job.yaml").exists()


def test_submit_as_json_is_only_json(
    run: Run, api: KfpApi, submission: list[str]
) -> None:
    _, out, _ = run(*submission, "--format", "json")
    content = json.loads(out)
    assert content.keys() == {"run_id", "name", "state", "new", "url"}
    assert content["new"] is True
    assert content["run_id"] == api.run()["run_id"]


@pytest.mark.parametrize(
    ("case", "expected", "told", "ending"),
    [
        ("succeeded", 0, SUCCEEDING, "succeeded after 0:08:16"),
        ("held", 0, None, "succeeded after 0:02:48"),
        (
            "oom",
            1,
            OUT_OF_MEMORY,
            "failed after 0:02:40: train: OOMKilled (exit code 1)",
        ),
        ("cancelled", 3, None, "canceled after 0:13:19"),
        ("sweep", 0, None, "succeeded after 0:17:41"),
    ],
)
def test_wait_shows_each_step_and_exits_as_the_run_ended(
    run: Run,
    api: KfpApi,
    started: str,
    case: str,
    expected: int,
    told: list[str] | None,
    ending: str,
) -> None:
    api.play(started, case)
    status, out, err = run("wait", started, "--every", "0.01")
    assert status == expected
    rows = [line.split() for line in out.splitlines()]
    shown = [f"{row[1]} {row[2]}" for row in rows if row and row[0].count(":") == 2]
    if told is not None:
        assert list(dict.fromkeys(shown)) == told
    assert ("train CACHED" in shown) == (case == "held")
    assert ("train CANCELED" in shown) == (case == "cancelled")
    assert ("train[1] SUCCEEDED" in shown) == (case == "sweep")
    machinery = ("root", "executor", "driver", "exit-handler", "iteration")
    assert not [text for text in shown if text.startswith(machinery)]
    assert out.splitlines()[-1].endswith(ending)
    assert ("python -m pipeline logs" in err) == (expected == 1)


def test_wait_tells_why_a_step_waits_and_how_often_it_was_tried(
    run: Run, api: KfpApi, started: str
) -> None:
    api.play(started, "deleted")
    _, out, _ = run("wait", started, "--every", "0.01", "--longest", "0.02")
    assert "train        PENDING    attempt 2  Unschedulable: 0/1 nodes" in out
    _, out, _ = run("status", started)
    (line,) = (line for line in out.splitlines() if line.startswith(" train"))
    assert line.split()[:4] == ["train", "PENDING", "2", "Unschedulable:"]
    content = json.loads(run("status", started, "--format", "json")[1])
    attempts = content["steps"][-1]["attempts"]
    assert [attempt["message"][:13] for attempt in attempts] == [
        "pod deleted",
        "Unschedulable",
    ]


@pytest.mark.parametrize(
    ("status", "body"),
    [(404, '{"code":5,"message":"Not Found"}'), (200, "<html>"), (200, "{}")],
)
def test_a_server_without_the_workflow_still_tells_how_a_run_ended(
    run: Run, api: KfpApi, started: str, status: int, body: str
) -> None:
    api.become(started, "cancelled")
    api.extra["GET", f"/apis/v1beta1/runs/{started}"] = (status, body)
    assert run("wait", started, "--every", "0.01")[0] == 3
    code, out, _ = run("status", started)
    assert code == 0
    assert "canceled after 0:13:19" in out
    assert "The steps are not known: " in out


def test_a_server_that_is_away_for_a_while_ends_no_wait(
    api: KfpApi, cluster: KfpServer, order: Order
) -> None:
    run_id = submit(cluster, order).run.run_id
    api.play(run_id, "succeeded")
    said: list[str] = []

    def say(line: str) -> None:
        if not said:
            api.faults.append(Fault("run_service_get_run", status=503, times=20))
        said.append(line)

    run = follow(cluster, run_id, say=say, every_s=0.01)
    assert run
    assert run.state == "SUCCEEDED"
    (line,) = (line for line in said if "503" in line)
    assert line.endswith("The run goes on; trying further.")


def test_wait_gives_up_after_the_longest_time_and_says_how_to_come_back(
    run: Run, api: KfpApi, started: str
) -> None:
    status, _, err = run("wait", started, "--every", "0.01", "--longest", "0.001")
    assert status == 4
    assert f"python -m pipeline wait {started}" in err
    assert api.run()["state"] == "PENDING"


def test_ctrl_c_leaves_the_run_running_and_says_how_to_come_back(
    api: KfpApi, submission: list[str], repository: Path
) -> None:
    api.play("*", "running")
    command = [sys.executable, "-m", "pipeline", *submission, "--wait"]
    process = subprocess.Popen(
        [*command, "--every", "0.05", "--host", api.url],
        cwd=repository,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    for line in process.stdout:
        if "train " in line and "RUNNING" in line:
            break
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=HANG_S)
    assert process.returncode == 130
    run_id = api.run()["run_id"]
    assert f"The run goes on. Back to it: python -m pipeline wait {run_id}" in err
    assert f"python -m pipeline cancel {run_id}" in err
    assert "Traceback" not in err
    assert api.run()["state"] == "RUNNING"


def test_a_wait_goes_on_with_the_run_that_the_own_one_gave_way_to(
    run: Run, api: KfpApi, cluster: KfpServer, order: Order
) -> None:
    now = datetime.now(UTC)
    api.clock = lambda: now
    loser = submit(cluster, order).run.run_id
    api.become(loser, "cancelled")
    winner = submit(cluster, order).run.run_id
    api.play(winner, "succeeded")
    status, out, _ = run("wait", loser, "--every", "0.01")
    assert status == 0
    assert "gave way to the same run" in out
    assert "train " in out
    created = now - timedelta(hours=1)  # canceled by hand, long before
    api.runs[loser]["created_at"] = created.isoformat()
    assert run("wait", loser, "--every", "0.01")[0] == 3


def test_cancel_stops_a_run_and_leaves_one_that_has_ended(
    run: Run, api: KfpApi, started: str
) -> None:
    status, out, _ = run("cancel", "latest")
    assert status == 0
    assert "is being stopped" in out
    assert api.run()["state"] == "CANCELING"
    assert run("wait", "latest", "--every", "0.01")[0] == 3
    status, out, _ = run("cancel", "latest")
    assert status == 0
    assert "canceled after" in out
    assert len(api.calls("run_service_terminate_run")) == 1


def test_cancel_is_content_with_a_run_that_ends_just_then(
    run: Run, api: KfpApi, started: str
) -> None:
    api.faults.append(Fault("run_service_terminate_run", status=500, after=True))
    assert run("cancel", "latest")[0] == 0
    assert was_stopped(api.run())


def test_status_lists_runs_and_the_steps_of_one(
    run: Run, api: KfpApi, started: str
) -> None:
    made = api.run()
    assert "PENDING" in run("status")[1]
    assert "No steps yet" in run("status", "latest")[1]
    api.become(started, "oom")
    content = json.loads(run("status", "latest", "--format", "json")[1])
    assert content["url"].endswith(made["run_id"])
    assert content["state"] == "FAILED"
    assert content["error"] == "train: OOMKilled (exit code 1)"
    assert [(s["name"], s["state"]) for s in content["steps"]] == [
        ("verify-data", "CACHED"),
        ("augment-data", "CACHED"),
        ("train-model", "FAILED"),
        ("evaluate-model", "SKIPPED"),
        ("gate-model", "SKIPPED"),
        ("finalize", "SUCCEEDED"),
    ]
    _, out, _ = run("status", made["run_id"])
    (line,) = (line for line in out.splitlines() if line.startswith(" train"))
    assert " ".join(line.split()) == ("train FAILED 0:01:17 1 OOMKilled (exit code 1)")
    (listed,) = json.loads(run("status", "--format", "json")[1])
    assert listed["name"] == made["display_name"]
    assert "FAILED" in run("status")[1]
    status, _, err = run("status", "--experiment", "none")
    assert status == 1
    assert "No experiment 'none'" in err


def test_a_run_that_was_stopped_is_listed_as_canceled(
    run: Run, api: KfpApi, started: str
) -> None:
    api.become(started, "cancelled")
    assert api.run()["state"] == "FAILED", "as KFP says"
    (listed,) = json.loads(run("status", "--format", "json")[1])
    assert listed["state"] == "CANCELED"


def test_a_failing_cluster_has_its_own_exit_status(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    status, _, err = run("status", "--host", f"http://127.0.0.1:{free_port()}")
    assert status == 6
    assert err.startswith("error: http://127.0.0.1:")
    assert "nothing listens there" in err
    assert "Traceback" not in err
    monkeypatch.delenv("KFP_ENDPOINT")
    status, _, err = run("status")
    assert status == 6
    assert "No cluster is named" in err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["status", "--format", "xml"], "Invalid value for '--format'"),
        (["submit", "--data-md5", DATA.data_md5, "--remote", "s3://x"], "--image NAME"),
        (
            ["submit", "--set", "epocs=1", "--image", IMAGE, "--remote", "s3://x"],
            "`epochs`",
        ),
    ],
)
def test_wrong_use_is_told_before_the_cluster_is_asked(
    run: Run, api: KfpApi, words: list[str], message: str
) -> None:
    status, _, err = run(*words)
    assert status == 2
    assert message in err
    assert not api.sent


def test_an_older_server_is_noted_once(run: Run, api: KfpApi) -> None:
    api.version = "2.4.1"
    _, _, err = run("status")
    assert "note: the server is KFP 2.4.1, older than the SDK" in err


def test_logs_come_from_kfp_by_the_name_of_the_pod(
    run: Run, api: KfpApi, started: str
) -> None:
    api.become(started, "oom")
    api.logs[started, _pod(api, "train-model")] = "one\ntwo\nthree\n"
    status, out, err = run("logs", "latest")
    assert (status, out) == (0, "one\ntwo\nthree\n")
    assert "train, failed" in err, "the step that failed"
    assert "OOMKilled" in err
    assert run("logs", "latest", "train", "--tail", "1")[1] == "three\n"
    assert run("logs", "latest", "train-model", "--tail", "1")[1] == "three\n"
    status, _, err = run("logs", "latest", "trian")
    assert status == 2
    assert "Did you mean `train`" in err


def test_lines_of_kfp_and_argo_are_left_out_unless_asked_for(
    run: Run, api: KfpApi, started: str
) -> None:
    api.become(started, "oom")
    _, recorded = recorded_body("log-of-a-pod")
    begun = recorded.rpartition("\n")[0] + "\n}\n"  # it was cut in its middle
    printed = "training compact on compact: 96 images\n{ 1 brace }\n"
    ended = "E1126 20:24:00.000001      16 main.go:81] failed: exit status 1\n"
    argo = 'time="2026-11-26T20:24:01.1Z" level=info msg="sub-process exited"\n'
    api.logs[started, _pod(api, "train-model")] = begun + printed + ended + argo
    _, out, _ = run("logs", "latest")
    assert out == printed + ended
    _, out, _ = run("logs", "latest", "--raw")
    assert out == begun + printed + ended + argo


@pytest.mark.parametrize("trial", [0, 1])
def test_each_trial_of_a_sweep_has_a_log_of_its_own(
    run: Run, api: KfpApi, started: str, trial: int
) -> None:
    api.become(started, "sweep")
    for number, pod in enumerate(_pods(api, "train-model")):
        api.logs[started, pod] = f"trial {number}\n"
    assert run("logs", "latest", f"train[{trial}]")[1] == f"trial {trial}\n"


def test_an_earlier_attempt_has_a_log_of_its_own(
    run: Run, api: KfpApi, started: str
) -> None:
    api.become(started, "cancelled")
    for number, pod in enumerate(_pods(api, "train-model"), 1):
        api.logs[started, pod] = f"attempt {number}\n"
    assert run("logs", "latest", "train")[1] == "attempt 3\n"
    assert run("logs", "latest", "train", "--attempt", "1")[1] == "attempt 1\n"
    status, _, err = run("logs", "latest", "train", "--attempt", "4")
    assert status == 2
    assert "train has 3 attempt(s)" in err


def test_logs_fall_back_to_the_pod_by_the_kubernetes_api(
    run: Run,
    api: KfpApi,
    started: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    api.become(started, "running")
    use_kubeconfig(monkeypatch, tmp_path, api.url, token="")
    pod = _pod(api, "train-model")
    path = f"/api/v1/namespaces/kubeflow/pods/{pod}/log"
    api.extra["GET", path] = (200, "epoch 3\n")
    assert run("logs", "latest", "train_model")[1] == "epoch 3\n"


def test_logs_that_nobody_has_say_where_they_may_be(
    run: Run, api: KfpApi, started: str
) -> None:
    status, _, err = run("logs", "latest")
    assert status == 1
    assert "has no steps yet: it is PENDING" in err
    api.become(started, "oom")
    status, out, err = run("logs", "latest")
    assert (status, out) == (1, "")
    assert "train (FAILED): no log of the pod" in err
    assert "NoSuchKey" in err, "what KFP said"
    assert "Kubernetes:" in err, "and what kubeconfig said"
    assert f"kubectl logs -n kubeflow -l pipeline/runid={started} -c main" in err
    status, _, err = run("logs", "latest", "verify")
    assert status == 1
    assert "its result is from the cache" in err
    status, _, err = run("logs", "latest", "gate")
    assert status == 1
    assert "gate has no pod: it is skipped" in err


def test_logs_can_be_followed_from_one_attempt_to_the_next(
    run: Run, api: KfpApi, started: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    api.become(started, "running")
    first = _pod(api, "train-model")
    api.logs[started, first] = "one\n"
    turns = iter(range(3))

    def goes_on(_: float) -> None:
        turn = next(turns)
        if turn == 0:
            api.logs[started, first] += "two\n"
        elif turn == 1:
            api.become(started, "cancelled")
            pods = _pods(api, "train-model")
            api.logs[started, pods[-1]] = "three\n"

    monkeypatch.setattr(time, "sleep", goes_on)
    _, out, _ = run("logs", "latest", "train", "--follow")
    assert out.splitlines() == ["one", "two", "--- attempt 3, after: RUNNING", "three"]


def test_a_run_that_ended_in_1970_has_not_ended(
    api: KfpApi, cluster: KfpServer, order: Order
) -> None:
    made = submit(cluster, order).run
    api.become(made.run_id, "running")
    assert api.run()["finished_at"] == "1970-01-01T00:00:00Z"
    assert get_run(cluster, made.run_id).ended is None
    times = [duration(s) for s in (None, 0, 59.6, 3671)]
    assert times == ["", "0:00:00", "0:01:00", "1:01:11"]


def _pods(api: KfpApi, name: str) -> list[str]:
    """Of a step of the only run, or of its trials."""
    with urllib.request.urlopen(
        f"{api.url}/apis/v1beta1/runs/{api.run()['run_id']}", timeout=HANG_S
    ) as answer:
        steps = workflow_of(answer.read().decode()).steps
    return [a.pod for step in steps if step.name == name for a in step.attempts]


def _pod(api: KfpApi, name: str) -> str:
    return _pods(api, name)[-1]
