"""`train-job --wait` against what a real Kubeflow Trainer answered."""

import os
import signal
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

from pipeline.__main__ import app
from pipeline.kfp.failures import ClusterError
from seglib.errors import UsageError
from tests.fakes.train_job_api import JOB_B, LOGS, TrainJobApi
from tests.pipeline.train_job.test_command import GIVEN

JOB_A, JOB_E = "train-43fd10e-105973d-20c99f3d", "train-43fd10e-105973d-92a69a45"
Wait = Callable[..., Any]


@pytest.fixture
def wait(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Wait:
    """Runs the command against an API: its status and its lines, or its error."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("pipeline.train_job.job._PAUSE_S", 0.0)
    for name in ("SEGLIB_IMAGE", "SEGLIB_CHECKPOINTS", "KUBERNETES_SERVICE_HOST"):
        monkeypatch.delenv(name, raising=False)

    def call(api: TrainJobApi, name: str, *options: str) -> Any:
        api.use(monkeypatch, tmp_path)
        words = ["train-job", "--wait", "--nodes", "2", "--name", name, *GIVEN]
        words += ["--no-push-check", "--every", "0.01", *options]
        done = CliRunner().invoke(app, words)
        if done.exception and not isinstance(done.exception, SystemExit):
            raise done.exception
        return SimpleNamespace(
            status=done.exit_code, text=done.output, lines=done.output.splitlines()
        )

    return call


def test_it_shows_each_attempt_and_its_logs_and_ends_as_the_job(wait: Wait) -> None:
    moments = ("B-one-pending", "B-deleted", "B-killed", "B-complete")
    with TrainJobApi(*moments) as api:
        done = wait(api, JOB_B)
    assert done.status == 0, done.text
    assert [line for line in done.lines if line.startswith("attempt")] == [
        "attempt 1 of 6",
        "attempt 2 of 6",
        "attempt 3 of 6",
    ]
    assert "pod 1: Error, exit code 137" in done.lines  # the process that was killed
    assert "Complete: jobset completed successfully" in done.lines
    # Each line once, though `sinceTime` brings those of a second again.
    shown = [line[4:] for line in done.lines if line.startswith("0 | ")]
    first, second, third = (
        LOGS[f"{JOB_B}-node-0-0-{pod}"] for pod in ("vth7l", "z7drg", "4tdqn")
    )
    assert shown == [*first[:-1], *second[:-1], *third]
    assert "python -m pipeline submit" in done.text


def test_it_applies_in_the_order_that_admission_needs(wait: Wait) -> None:
    with TrainJobApi("A-complete") as api:
        wait(api, JOB_A)
        made = [one for one in api.asked if one.startswith("PATCH")]
    assert made == [
        "PATCH networkpolicies dry run",
        "PATCH trainingruntimes dry run",
        "PATCH networkpolicies",
        "PATCH trainingruntimes",
        "PATCH trainjobs dry run",
        "PATCH trainjobs",
    ]


def test_a_job_that_failed_gives_a_status_of_failure_and_its_reason(wait: Wait) -> None:
    with TrainJobApi("E-failed") as api:
        done = wait(api, JOB_E)
    assert done.status == 1
    assert "pod 0: Error, exit code 1" in done.lines
    assert "Failed: jobset failed due to reaching max number of restarts" in done.text
    assert "no-such-bucket/x" in done.text
    assert "pipeline submit" not in done.text


def test_an_ended_job_is_deleted_only_when_asked_to(wait: Wait) -> None:
    with TrainJobApi("A-running", "A-complete") as api:
        api.there()
        done = wait(api, JOB_A)
        assert done.status == 0
        assert "--again deletes it and starts it once more" in done.text
        assert not [one for one in api.asked if "PATCH" in one or "DELETE" in one]
        done = wait(api, JOB_A, "--again")
        assert done.status == 0
        deleted = api.asked.index("DELETE trainjobs")
        assert "GET pods" in api.asked[deleted : api.asked.index("PATCH trainjobs")]
    assert "is started" in done.text


def test_a_job_that_runs_is_followed_and_another_under_its_name_is_refused(
    wait: Wait,
) -> None:
    with TrainJobApi("A-running", "A-running", "A-running") as api:
        done = wait(api, JOB_A, "--longest", "0.0001")
        assert done.status == 4
        assert f"{JOB_A} still runs. The same command follows it again" in done.text
        assert f"kubectl -n kubeflow delete trainjob/{JOB_A}" in done.text
        done = wait(api, JOB_A, "--longest", "0.0001")
        assert "is there already, and is followed" in done.text
        with pytest.raises(UsageError, match="Another training runs as"):
            wait(api, JOB_A, "--set", "epochs=7")


def test_a_job_that_somebody_deletes_meanwhile_is_told_apart(wait: Wait) -> None:
    with TrainJobApi("D-running") as api:
        api.moments.append([])
        done = wait(api, "train-43fd10e-105973d-cdf37fa9")
    assert done.status == 3
    assert "was deleted; `python -m pipeline track` closes its row" in done.text


def test_a_server_that_fails_for_a_while_is_asked_again(wait: Wait) -> None:
    with TrainJobApi("A-complete") as api:
        api.there()
        api.faults = [200, 503, 503]  # from the second request on
        done = wait(api, JOB_A)
        assert done.status == 0
        assert done.text.count("It is asked again") == 1
        api.faults = [200, 403]
        with pytest.raises(ClusterError, match="403"):
            wait(api, JOB_A)


def test_without_kubeflow_trainer_it_says_so_and_leaves_nothing(wait: Wait) -> None:
    with (
        TrainJobApi(has_trainer=False) as api,
        pytest.raises(ClusterError, match="Kubeflow Trainer is not installed there"),
    ):
        wait(api, JOB_A)
    assert api.asked == ["GET trainjobs"]


def test_what_a_refused_job_left_is_removed(wait: Wait) -> None:
    with TrainJobApi("A-complete") as api:
        answer = api.answer

        def refusing(method: str, path: str, query: Any, body: Any) -> Any:
            if method == "PATCH" and path.rpartition("/")[0].endswith("trainjobs"):
                return 403, {"message": "admission webhook denied the request"}
            return answer(method, path, query, body)

        api.answer = refusing  # type: ignore[method-assign]
        with pytest.raises(ClusterError, match="webhook denied the request"):
            wait(api, JOB_A)
        assert not api.objects


def test_ctrl_c_leaves_the_job_running_and_says_how_to_go_on(wait: Wait) -> None:
    with TrainJobApi("A-running") as api:
        answer = api.answer

        def interrupting(method: str, path: str, query: Any, body: Any) -> Any:
            if path.endswith("/log"):
                os.kill(os.getpid(), signal.SIGINT)
            return answer(method, path, query, body)

        api.answer = interrupting  # type: ignore[method-assign]
        done = wait(api, JOB_A)
        assert "trainjobs" in api.objects
    assert done.status == 130
    assert f"{JOB_A} goes on. The same command follows it again" in done.text


def test_without_a_file_or_wait_nothing_is_done(tmp_path: Path) -> None:
    words = ["train-job", "--nodes", "2", *GIVEN]
    done = CliRunner().invoke(app, words)
    assert isinstance(done.exception, UsageError)
    assert "-o FILE.yaml" in str(done.exception)
