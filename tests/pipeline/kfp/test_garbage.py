"""`gc` on a real S3 server, a real store, a cache on the disk, and the loopback KFP."""

import os
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import Result
from typer.testing import CliRunner

from pipeline.__main__ import app
from pipeline.garbage import Needs, in_place
from pipeline.kfp.connection import KfpServer
from pipeline.kfp.failures import ClusterError
from pipeline.kfp.order import Order
from pipeline.kfp.submission import submit
from seglib.data.decoded import open_decoded
from seglib.delivery.outbox import RemoteOutbox
from seglib.delivery.recorder import Recorder
from seglib.storage.fetching import fetch
from seglib.storage.remotes import open_remote
from seglib.tracking.mlflow_client import connect as connect_mlflow
from seglib.training.checkpoints import Checkpoints, Snapshot
from tests.fakes.kfp_api import KfpApi
from tests.fakes.kubernetes_api import KubernetesApi
from tests.fakes.pushing import push

pytestmark = pytest.mark.filterwarnings(
    # MLflow's own use of SQLAlchemy.
    "ignore:The ``noload`` loader strategy is deprecated"
)
ENDED, RUNNING, LOST = "train-ended", "train-running", "train-of-nobody"
DAY_S = 86_400


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """With the rows of two runs, one of which goes on."""
    uri = f"sqlite:///{tmp_path_factory.mktemp('store')}/mlflow.db"
    client = connect_mlflow(uri)
    tracker = Recorder(uri, warn=pytest.fail)
    identity = {"parameters": {}, "data_md5": "0.dir", "code_version": "c"}
    for run in (ENDED, RUNNING):
        tracker.apply({"kind": "open", "run": run, "time_ms": 1000, **identity})
    end = {"kind": "close", "state": "FAILED"}
    tracker.apply({**end, "run": ENDED, "time_ms": 2000})
    yield uri
    client._tracking_client.store._dispose_engine()


@pytest.fixture
def place(request: Any, tmp_path: Path) -> str:
    """Three trainings that were given up or go on, an outcome, and unsent events."""
    url = getattr(request, "param", "") or str(tmp_path / "place")
    for number, run in enumerate((ENDED, RUNNING, LOST)):
        _checkpoint(url, str(number) * 64, run, is_outcome=run == LOST)
    open_remote(url, create=True).write("files/md5/ab/cdef", b"of somebody else")
    for run in (ENDED, RUNNING, LOST):
        message = {"kind": "epoch", "run": run, "row": {"epoch": 1}}
        RemoteOutbox(f"{url}/untracked/{run}").keep("train", [message])
    return url


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """Two fetched datasets that share a file, one of them long ago."""
    for name, texts in {"old": ("both", "alone"), "new": ("both",)}.items():
        for text in texts:
            file = tmp_path / name / f"{text}.txt"
            file.parent.mkdir(exist_ok=True)
            file.write_text(text)
        key = push(tmp_path / name, tmp_path / "remote")
        fetch(key, str(tmp_path / "remote"), cache=tmp_path / "cache")
        if name == "old":
            then = time.time() - 30 * DAY_S
            lock = tmp_path / "cache" / "locks" / key.removesuffix(".dir")
            os.utime(lock, (then, then))
    return tmp_path / "cache"


@pytest.fixture
def collect(
    store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Result]:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store)
    monkeypatch.setenv("SEGLIB_CACHE", str(tmp_path / "no-cache"))
    monkeypatch.delenv("SEGLIB_CHECKPOINTS", raising=False)

    def call(*words: str) -> Result:
        done = CliRunner().invoke(app, ["gc", *words], catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done

    return call


@pytest.mark.usefixtures("s3_server")
@pytest.mark.parametrize("place", ["s3://datasets/garbage", ""], indirect=True)
def test_it_shows_what_nothing_needs_and_frees_it_only_on_request(
    collect: Any, place: str
) -> None:
    before = _names(place)
    shown = collect(place, "--older-than", "0").output
    assert _names(place) == before, "a dry run is the default"
    assert re.search(rf"checkpoint .*of run {ENDED} .* B ", shown)
    assert re.search(rf"outcome .*of run {LOST} .* B ", shown)
    assert RUNNING not in shown
    assert "--delete frees them" in shown
    freed = collect(place, "--older-than", "0", "--delete").output
    assert "3 freed: " in freed
    left = _names(place)
    assert {name for name in left if name.endswith(".checkpoint")} == {
        f"{'1' * 64}/0.checkpoint"
    }
    assert f"untracked/{ENDED}/train.jsonl" not in left
    assert f"untracked/{RUNNING}/train.jsonl" in left
    assert f"untracked/{LOST}/train.jsonl" in left, "no row has got them"
    assert "files/md5/ab/cdef" in left, "it is not ours"


def test_what_stays_is_shown_with_the_reason(collect: Any, place: str) -> None:
    young = collect(place, "--all").output
    assert "0 of 6 are needed by nothing: 0 B; 6 stay" in young
    assert young.count("younger than 7 day(s)") == 6
    shown = collect(place, "--all", "--older-than", "0").output
    assert "its run is RUNNING" in shown
    assert f"python -m pipeline track {place}/untracked/{LOST}" in shown


@pytest.mark.parametrize("uri", ["http://127.0.0.1:9", "sqlite:////no/such/mlflow.db"])
def test_without_mlflow_all_stays_that_a_run_might_need(
    collect: Any,
    place: str,
    cache: Path,
    monkeypatch: pytest.MonkeyPatch,
    uri: str,
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    before = _names(place)
    done = collect(place, "--cache", str(cache), "--older-than", "0", "--delete")
    assert "what a run might need stays" in done.stderr
    assert "0 freed: 0 B" in done.output
    assert _names(place) == before
    assert len(list((cache / "datasets").iterdir())) == 2


def test_what_was_written_since_it_was_looked_at_stays(place: str, store: str) -> None:
    found = in_place(place, Needs.ask(store, grace_days=0))
    (item,) = (one for one in found if f"{'0' * 64}" in one.name)
    assert not item.needed
    _checkpoint(place, "0" * 64, ENDED, is_outcome=True)
    assert item.free() is False
    assert f"{'0' * 64}/1.checkpoint" in _names(place)


def test_a_dataset_that_was_fetched_long_ago_goes_with_what_it_alone_has(
    collect: Any, cache: Path, tmp_path: Path
) -> None:
    done = collect("--cache", str(cache), "--delete")
    assert "1 freed: 9 B" in done.output  # "both" and "alone"
    (left,) = (cache / "datasets").iterdir()
    assert [path.name for path in left.iterdir()] == ["both.txt"]
    contents = [path for path in (cache / "files").rglob("*") if path.is_file()]
    assert [path.read_text() for path in contents] == ["both"]


def test_decoded_images_that_were_long_unused_go(collect: Any, tmp_path: Path) -> None:
    place = tmp_path / "cache" / "decoded"
    pair = (np.zeros((2, 2, 3), np.uint8), np.zeros((2, 2), np.uint8))
    for key, days in (("old", 30), ("new", 1)):
        folder = open_decoded(
            place, key, count=1, size_bytes=0, decode=lambda _: pair
        ).folder
        os.utime(folder, (time.time() - days * DAY_S,) * 2)
    done = collect("--cache", str(tmp_path / "cache"), "--delete")
    assert "decoded images" in done.output
    assert [path.parent.name for path in place.glob("*/index.npy")] == ["new"]


def test_a_dataset_that_a_running_run_reads_stays(
    collect: Any, cache: Path, store: str
) -> None:
    (old, _) = sorted(
        (cache / "datasets").iterdir(),
        key=lambda root: (cache / "locks" / root.name).stat().st_mtime,
    )
    tracker = Recorder(store, warn=pytest.fail)
    identity = {"parameters": {}, "data_md5": f"{old.name}.dir", "code_version": "c"}
    head = {"run": f"reads-{old.name}", "time_ms": 1000}
    tracker.apply({"kind": "open", **head, **identity})
    try:
        done = collect("--cache", str(cache), "--delete", "--all")
        assert "a running run reads it" in done.output
        assert old.is_dir()
    finally:
        end = {"kind": "close", "state": "FAILED"}
        tracker.apply({**end, **head})


def test_a_ghost_of_kubernetes_is_shown_and_ended(
    collect: Any,
    api: KfpApi,
    cluster: KfpServer,
    order: Order,
    kubernetes: KubernetesApi,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    submit(cluster, order)  # one that KFP lists
    kubernetes.denied.add("delete")
    api.width = 10  # characters of a description: KFP makes it by half
    with pytest.raises(ClusterError, match="and it goes on"):
        submit(cluster, order, force=True)
    kubernetes.denied.clear()
    monkeypatch.setenv("KFP_ENDPOINT", api.url)
    assert "KFP may yet list it" in collect("--all").output
    monkeypatch.setattr("pipeline.garbage._GHOST_GRACE_S", 0)
    shown = collect().output
    assert "1 of 1 are needed by nothing" in shown
    assert len(api.ghosts) == 1
    assert "1 freed" in collect("--delete").output
    assert not api.ghosts
    assert len(api.runs) == 1


def _checkpoint(url: str, key: str, run: str, *, is_outcome: bool) -> None:
    facts = {"step": 1, "is_outcome": is_outcome}
    kept = Checkpoints(url, notes=lambda _: {"run": run})
    kept.open(key)
    arrays = {"network": [np.zeros(4, np.float32)]}
    assert kept.write_last(lambda: Snapshot(facts=facts, arrays=arrays))


def _names(url: str) -> set[str]:
    return {
        found.key
        for found in open_remote(url).objects("")
        if not found.key.startswith(".partial/")
    }
