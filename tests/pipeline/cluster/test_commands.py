"""The commands as people type them: submit, status, wait, cancel, logs."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from benchmarks.waiting import HANG_S
from pipeline import __main__ as command_line
from pipeline.cluster.connection import Cluster
from pipeline.cluster.document import Document
from pipeline.cluster.order import Order
from pipeline.cluster.runs import get_run
from pipeline.cluster.showing import duration, news_lines
from pipeline.cluster.submission import submit
from pipeline.cluster.watching import follow
from seglib.data.images import write_bytes
from tests.pipeline.cluster.conftest import DATA, IMAGE
from tests.pipeline.kfp_api import Fault, KfpApi
from tests.pushing import push
from tests.servers import free_port

Run = Callable[..., tuple[int, str, str]]
STEPS = (
    ("verify-data", "RUNNING"),
    ("verify-data", "SUCCEEDED"),
    ("train-model", "RUNNING"),
)


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
def started(cluster: Cluster, order: Order) -> str:
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
    api.finish(made["run_id"])
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
    ("state", "expected"), [("SUCCEEDED", 0), ("FAILED", 1), ("CANCELED", 3)]
)
def test_wait_shows_each_task_and_exits_as_the_run_ended(
    run: Run, api: KfpApi, submission: list[str], state: str, expected: int
) -> None:
    now = datetime.now(UTC)
    api.clock = lambda: now
    api.play("*", *STEPS, ("train-model", state), ("", state))
    status, out, err = run(*submission, "--wait", "--every", "0.01")
    assert status == expected
    tasks = ("verify-data", "train-model")
    shown = [tuple(line.split()[1:3]) for line in out.splitlines()]
    assert [one for one in shown if one and one[0] in tasks] == [
        *STEPS,
        ("train-model", state),
    ]
    assert f"{state.lower()} after 0:00:00" in out.splitlines()[-1]
    assert ("python -m pipeline logs" in err) == (state == "FAILED")


def test_a_server_that_is_away_for_a_while_ends_no_wait(
    api: KfpApi, cluster: Cluster, order: Order
) -> None:
    run_id = submit(cluster, order).run.run_id
    api.play(run_id, *STEPS, ("", "SUCCEEDED"))
    news = follow(cluster, run_id, every_s=0.01)
    next(news)
    api.faults.append(Fault("run_service_get_run", status=503, times=20))
    rest = list(news)
    assert [bool(one.trouble) for one in rest].count(True) == 1, "it is told once"
    (line,) = (text for one in rest if one.trouble for text in news_lines(one))
    assert line.endswith("The run goes on; trying further.")
    assert rest[-1].run.state == "SUCCEEDED"


def test_wait_gives_up_after_the_longest_time_and_says_how_to_come_back(
    run: Run, api: KfpApi, submission: list[str]
) -> None:
    longest = ["--every", "0.01", "--longest", "0.001"]
    status, _, err = run(*submission, "--wait", *longest)
    assert status == 4
    run_id = api.run()["run_id"]
    assert f"python -m pipeline wait {run_id}" in err
    assert api.run()["state"] == "PENDING"


def test_ctrl_c_leaves_the_run_running_and_says_how_to_come_back(
    api: KfpApi, submission: list[str], repository: Path
) -> None:
    api.play("*", *STEPS)
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
        if "train-model" in line:
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
    run: Run, api: KfpApi, cluster: Cluster, order: Order
) -> None:
    now = datetime.now(UTC)
    api.clock = lambda: now
    loser = submit(cluster, order).run.run_id
    api.finish(loser, "CANCELED")
    winner = submit(cluster, order).run.run_id
    api.play(winner, *STEPS, ("", "SUCCEEDED"))
    status, out, _ = run("wait", loser, "--every", "0.01")
    assert status == 0
    assert "gave way to the same run" in out
    assert "train-model" in out
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
    assert api.run()["state"] == "CANCELING"


def test_status_lists_runs_and_the_tasks_of_one(
    run: Run, api: KfpApi, started: str
) -> None:
    made = api.run()
    now = datetime.now(UTC).replace(microsecond=0)
    api.task(made["run_id"], "verify-data", "SUCCEEDED", cached=True)
    api.task(made["run_id"], "train-model", "RUNNING")
    for task in made["run_details"]["task_details"]:
        task["start_time"] = (now - timedelta(seconds=90)).isoformat()
        if task["state"] == "SUCCEEDED":
            task["end_time"] = now.isoformat()
    content = json.loads(run("status", "latest", "--format", "json")[1])
    assert content["url"].endswith(made["run_id"])
    assert [(t["name"], t["state"]) for t in content["tasks"]] == [
        ("verify-data", "CACHED"),
        ("train-model", "RUNNING"),
    ]
    _, out, _ = run("status", made["run_id"])
    assert "verify-data" in out
    assert "CACHED" in out
    assert "driver" not in out
    assert "0:01:30" in out
    (listed,) = json.loads(run("status", "--format", "json")[1])
    assert listed["name"] == made["display_name"]
    assert "PENDING" in run("status")[1]
    status, _, err = run("status", "--experiment", "none")
    assert status == 1
    assert "No experiment 'none'" in err


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
        (["status", "--format", "xml"], "Expected: text, json"),
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
    run_id = api.run()["run_id"]
    api.task(run_id, "verify-data", "SUCCEEDED")
    api.task(run_id, "train-model", "FAILED")
    node = _node(api, "train-model")
    workflow, _, number = node.rpartition("-")
    api.logs[run_id, f"{workflow}-system-container-impl-{number}"] = "one\ntwo\nthree\n"
    status, out, err = run("logs", "latest")
    assert (status, out) == (0, "one\ntwo\nthree\n")
    assert "train-model, failed" in err, "the task that failed"
    assert run("logs", "latest", "train", "--tail", "1")[1] == "three\n"
    status, _, err = run("logs", "latest", "trian")
    assert status == 2
    assert "Did you mean `train-model`" in err


def test_logs_fall_back_to_the_pod_by_the_kubernetes_api(
    run: Run,
    api: KfpApi,
    started: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run_id = api.run()["run_id"]
    api.task(run_id, "train-model", "RUNNING")
    _kubeconfig(tmp_path, monkeypatch, api.url)
    pods = "/api/v1/namespaces/kubeflow/pods"
    items = [
        _pod("driver", "wf.root.train-model-driver", 1),
        _pod("first", "wf.root.exit-handler-1.train-model.executor(0)", 2),
        _pod("second", "wf.root.exit-handler-1.train-model.executor(1)", 3),
        _pod("other", "wf.root.exit-handler-1.verify-data.executor", 4),
    ]
    answer = {"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": items}
    api.extra["GET", pods] = (200, json.dumps(answer))
    api.extra["GET", f"{pods}/second/log"] = (200, "epoch 3\n")
    assert run("logs", "latest", "train_model")[1] == "epoch 3\n"


def test_logs_that_nobody_has_say_where_they_may_be(
    run: Run, api: KfpApi, started: str
) -> None:
    run_id = api.run()["run_id"]
    status, _, err = run("logs", "latest")
    assert status == 1
    assert "has no tasks yet: it is PENDING" in err
    api.task(run_id, "train-model", "FAILED")
    api.task(run_id, "verify-data", "SUCCEEDED", cached=True)
    status, _, err = run("logs", "latest")
    assert status == 1
    assert "train-model (FAILED): no log" in err
    assert "not found" in err, "what KFP said"
    assert "Kubernetes:" in err, "and what kubeconfig said"
    assert f"kubectl logs -n kubeflow -l pipeline/runid={run_id} -c main" in err
    status, _, err = run("logs", "latest", "verify")
    assert status == 1
    assert "its result is from the cache" in err


def test_logs_can_be_followed(
    run: Run, api: KfpApi, started: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = api.run()["run_id"]
    api.task(run_id, "train-model", "RUNNING")
    node = _node(api, "train-model")
    api.logs[run_id, node] = "one\n"

    def goes_on(_: float) -> None:
        api.logs[run_id, node] += "two\n"
        api.task(run_id, "train-model", "SUCCEEDED")

    monkeypatch.setattr(time, "sleep", goes_on)
    assert run("logs", "latest", "train", "--follow")[1] == "one\ntwo\n"


def test_the_help_names_every_exit_status(run: Run) -> None:
    _, out, _ = run("submit", "--help")
    words = " ".join(out.split())
    for text in (
        "0 when the run succeeded",
        "3 when it was canceled",
        "130 after Ctrl",
    ):
        assert text in words


def test_a_task_without_times_and_a_run_in_1970_are_shown(
    api: KfpApi, cluster: Cluster, order: Order
) -> None:
    made = submit(cluster, order).run
    details = {"task_details": [{"display_name": "train-model", "task_id": "x"}]}
    api.runs[made.run_id]["run_details"] = details
    api.runs[made.run_id]["finished_at"] = "1970-01-01T00:00:00Z"
    found = get_run(cluster, made.run_id)
    assert found.ended is None
    assert found.tasks[0].state == "PENDING"
    assert found.tasks[0].duration_s() is None
    times = [duration(s) for s in (None, 0, 59.6, 3671)]
    assert times == ["", "0:00:00", "0:01:00", "1:01:11"]


def _node(api: KfpApi, name: str) -> str:
    tasks: Any = api.run()["run_details"]["task_details"]
    task = next(one for one in tasks if one["display_name"] == name)
    return str(task["child_tasks"][0]["pod_name"])


def _pod(name: str, node: str, minute: int) -> dict[str, Any]:
    return {
        "metadata": {
            "name": name,
            "annotations": {"workflows.argoproj.io/node-name": node},
            "creationTimestamp": f"2026-11-23T03:{minute:02}:00Z",
        },
        "spec": {"containers": [{"name": "main"}]},
    }


def _kubeconfig(place: Path, patch: pytest.MonkeyPatch, server: str) -> None:
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "here",
        "clusters": [{"name": "c", "cluster": {"server": server}}],
        "users": [{"name": "u", "user": {}}],
        "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u"}}],
    }
    file = place / "kubeconfig"
    file.write_text(yaml.safe_dump(content))
    from kubernetes.config import kube_config

    patch.setattr(kube_config, "KUBE_CONFIG_DEFAULT_LOCATION", str(file))
