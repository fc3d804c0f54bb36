"""How the processes of a training in several pods learn of each other."""

import json
import subprocess
import sys

import pytest

from components import train_together
from components.train_together import main, tf_configs
from seglib.errors import UsageError


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
        # Some operators set it where there is one pod alone.
        ({"TF_CONFIG": " {} ", "SEGLIB_HOSTS": "a,b"}, ["a:2222", "b:2222"], [0]),
    ],
)
def test_every_process_learns_where_all_are(environment, addresses, indices):
    configs = [json.loads(config or "{}") for config in tf_configs(environment)]
    assert [c.get("task", {}).get("index", 0) for c in configs] == indices
    for config in configs:
        assert config.get("cluster", {}).get("worker", []) == addresses


def test_what_an_operator_has_set_is_taken_as_it_is():
    assert tf_configs({"TF_CONFIG": "{…}", "SEGLIB_HOSTS": "a,b"}) == ["{…}"]


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        (
            {"SEGLIB_HOSTS": "a,b", "SEGLIB_HOST_INDEX": "2"},
            "SEGLIB_HOST_INDEX.*0 to 1",
        ),
        ({"SEGLIB_PROCESSES": "two"}, "SEGLIB_PROCESSES: expected a number.*two"),
        ({"TF_CONFIG": "{…}", "SEGLIB_PROCESSES": "2"}, "SEGLIB_PROCESSES must be 1"),
        ({"SEGLIB_HOSTS": "a:x,b"}, "SEGLIB_HOSTS: expected names.*a:x"),
        ({"SEGLIB_HOSTS": "a b"}, "SEGLIB_HOSTS: expected names.*a b"),
    ],
)
def test_a_variable_that_cannot_be_is_named(environment, message):
    with pytest.raises(UsageError, match=message):
        tf_configs(environment)


@pytest.mark.parametrize("failing", [0, 1])
def test_a_process_that_fails_is_noticed_while_another_waits(monkeypatch, failing):
    monkeypatch.setattr(train_together, "_GRACE_S", 0.1)
    codes = ["import sys; sys.stdin.read()"] * 2
    codes[failing] = "raise SystemExit(3)"
    running = [
        subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE)
        for code in codes
    ]
    try:
        assert train_together._first_failure(running) == 3
        assert running[1 - failing].poll() is None  # it has not been waited for
    finally:
        for process in running:
            process.kill()
            process.communicate()


@pytest.mark.parametrize("arguments", [[], ["no JSON"], ["{}"], ["[1]"]])
def test_parameters_that_are_none_are_refused(arguments):
    with pytest.raises(UsageError, match="Expected one argument: the parameters"):
        main(arguments)


@pytest.mark.parametrize("place", ["", "/a/folder"])
def test_without_a_place_on_s3_nothing_is_trained(monkeypatch, place):
    monkeypatch.setenv("SEGLIB_CHECKPOINTS", place)
    parameters = {"data_md5": "0.dir", "remote": "s3://a", "code_version": "1"}
    with pytest.raises(UsageError, match="SEGLIB_CHECKPOINTS must be s3://bucket"):
        main([json.dumps(parameters)])
