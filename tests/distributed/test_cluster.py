import json

import pytest

from seglib.distributed import join
from seglib.distributed.cluster import Cluster, host_and_port
from seglib.errors import UsageError


@pytest.mark.parametrize(
    "config",
    [
        "no JSON",
        "[]",
        '{"cluster": {"ps": ["a:1"], "worker": ["b:1"]}}',
        '{"cluster": {"worker": ["a:1", "b:1"]}, "task": {"index": 2}}',
        '{"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "chief"}}',
    ],
)
def test_a_malformed_tf_config_is_shown(monkeypatch, config):
    monkeypatch.setenv("TF_CONFIG", config)
    with pytest.raises(UsageError, match=r"TF_CONFIG: expected") as error:
        join()
    assert config in str(error.value)


@pytest.mark.parametrize(
    "config", ["", "{}", '{"cluster": {"worker": ["a:1"]}, "task": {"index": 0}}']
)
def test_one_process_waits_for_no_other(monkeypatch, config):
    monkeypatch.setenv("TF_CONFIG", config)
    group = join()
    assert (group.index, group.count) == (0, 1)


def test_a_cluster_survives_its_variable():
    cluster = Cluster(("a:1", "b:1", "b:2"), 2)
    text = cluster.to_json()
    assert Cluster.from_environment({"TF_CONFIG": text}) == cluster
    assert json.loads(text)["task"] == {"type": "worker", "index": 2}
    assert (cluster.index_on_host, cluster.count_on_host) == (1, 2)


@pytest.mark.parametrize(
    ("address", "parts"),
    [
        ("a.b:2222", ("a.b", 2222)),
        ("[::1]:7", ("::1", 7)),
        ("10.0.0.1:1", ("10.0.0.1", 1)),
    ],
)
def test_an_address_has_a_host_and_a_port(address, parts):
    assert host_and_port(address) == parts


@pytest.mark.parametrize("address", ["a", "a:", ":1", "a:b"])
def test_an_address_without_host_or_port_is_refused(address):
    with pytest.raises(UsageError, match="expected HOST:PORT"):
        host_and_port(address)
