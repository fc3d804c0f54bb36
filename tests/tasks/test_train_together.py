"""How the processes of a training in several pods learn of each other."""

import json

import pytest

from seglib.config import Config
from seglib.delivery.sending import own_sender
from seglib.distributed.process_group import Terminated
from seglib.environment import EVENTS
from seglib.errors import DatasetError, RefusedError, SegError, UsageError
from seglib.runtime.pod_processes import clusters_of_pod
from seglib.tasks.train_together import exit_status, main


@pytest.mark.parametrize(
    ("environment", "addresses", "indices"),
    [
        ({}, [], [0]),
        (
            {"SEGLIB_HOSTS": "a.x,b.x", "SEGLIB_HOST_INDEX": "1"},
            ["a.x:2222", "b.x:2222"],
            [1],
        ),
        (
            {
                "SEGLIB_HOSTS": "a.x,b.x",
                "SEGLIB_HOST_INDEX": "1",
                "SEGLIB_PROCESSES": "2",
                "SEGLIB_PORTS_FROM": "3000",
            },
            ["a.x:3000", "a.x:3001", "b.x:3000", "b.x:3001"],
            [2, 3],
        ),
        ({"SEGLIB_PROCESSES": "2"}, ["localhost:2222", "localhost:2223"], [0, 1]),
        ({"SEGLIB_HOSTS": "a:7,a:9"}, ["a:7", "a:9"], [0]),
        ({"SEGLIB_HOSTS": " a:7, b ,"}, ["a:7", "b:2222"], [0]),
        (
            {"SEGLIB_HOSTS": "[::1]:7,::1,[fe80::2]"},
            ["[::1]:7", "[::1]:2222", "[fe80::2]:2222"],
            [0],
        ),
    ],
)
def test_every_process_learns_where_all_are(environment, addresses, indices):
    clusters = clusters_of_pod(environment)
    assert [cluster.index for cluster in clusters] == indices
    for cluster in clusters:
        assert list(cluster.workers) == addresses


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        (
            {"SEGLIB_HOSTS": "a,b", "SEGLIB_HOST_INDEX": "2"},
            "SEGLIB_HOST_INDEX.*0 to 1",
        ),
        ({"SEGLIB_PROCESSES": "two"}, "SEGLIB_PROCESSES: expected a number.*two"),
        ({"SEGLIB_HOSTS": "a:x,b"}, "SEGLIB_HOSTS: expected names.*a:x"),
        ({"SEGLIB_HOSTS": "a b"}, "SEGLIB_HOSTS: expected names.*a b"),
    ],
)
def test_an_invalid_variable_is_named(environment, message):
    with pytest.raises(UsageError, match=message):
        clusters_of_pod(environment)


@pytest.mark.parametrize("arguments", [[], ["no JSON"], ["{}"], ["[1]"]])
def test_arguments_that_are_no_parameters_are_refused(arguments):
    with pytest.raises(UsageError, match="Expected one argument: the parameters"):
        main(arguments)


@pytest.mark.parametrize("place", ["", "/a/folder"])
def test_checkpoints_must_be_on_s3(monkeypatch, place):
    monkeypatch.setenv("SEGLIB_CHECKPOINTS", place)
    parameters = {"data_md5": "0.dir", "remote": "s3://a", "code_version": "1"}
    with pytest.raises(UsageError, match="SEGLIB_CHECKPOINTS must be s3://bucket"):
        main([json.dumps(parameters)])


@pytest.fixture
def pod(store, s3_server, monkeypatch):
    """The first pod of a job, whose bucket for checkpoints is not there."""

    def start(name, attempt):
        monkeypatch.delenv(EVENTS, raising=False)
        for variable, value in {
            "KFP_RUN_ID": name,
            "MLFLOW_TRACKING_URI": store.uri,
            "SEGLIB_TRAIN_JOB": f"kubeflow/{name}",
            "SEGLIB_CHECKPOINTS": "s3://no-such-bucket/x",
            "SEGLIB_ATTEMPT": attempt,
            "SEGLIB_RETRIES": "5",
        }.items():
            monkeypatch.setenv(variable, value)
        given = {"data_md5": "0.dir", "remote": "s3://nor-this", "code_version": "1"}
        try:
            main([json.dumps(given)])
        finally:
            own_sender.cache_clear()

    return start


def test_a_missing_bucket_ends_the_job_before_the_data_are_fetched(pod, store):
    with pytest.raises(RefusedError, match="no-such-bucket.*NoSuchBucket") as caught:
        pod("train-bad", "0")
    assert exit_status(caught.value) == 78
    row = store.row("train-bad")
    assert row.info.status == "FAILED"
    assert "no-such-bucket" in row.data.tags["failure"]
    assert row.data.tags["train_job"] == "kubeflow/train-bad"
    assert row.data.params["epochs"] == str(Config().train.epochs)
    assert not store.children(row), "no step has started"


@pytest.mark.parametrize(("attempt", "status"), [("4", "RUNNING"), ("5", "FAILED")])
def test_the_run_stays_open_until_the_last_attempt_has_failed(
    pod, store, monkeypatch, attempt, status
):
    monkeypatch.setattr(
        "seglib.storage.backends.s3._REFUSED", ()
    )  # it may be there next time
    name = f"train-again-{attempt}"
    with pytest.raises(SegError, match="no-such-bucket") as caught:
        pod(name, attempt)
    assert exit_status(caught.value) == 1
    assert store.row(name).info.status == status


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (UsageError("no"), 78),
        (DatasetError("no"), 78),
        (SegError("Process 0 of 2 has lost process 1."), 1),
        (OSError("no space left"), 1),
        (Terminated(), 143),
    ],
)
def test_the_exit_status_says_whether_another_attempt_is_of_use(error, status):
    assert exit_status(error) == status
    if not isinstance(error, SystemExit):
        by_step = SystemExit(1)
        by_step.__cause__ = error
        assert exit_status(by_step) == status
