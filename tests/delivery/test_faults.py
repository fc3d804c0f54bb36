"""MLflow away, failing or silent: nothing is lost, doubled or waited for."""

import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

from benchmarks.waiting import HANG_S, wait_until
from pipeline.__main__ import app
from pipeline.local.tracker import RunTracker, send_unsent
from seglib.delivery.outbox import (
    EVENT_FILE,
    UNSENT_FILE,
    FolderOutbox,
    waiting_outboxes,
)
from seglib.delivery.sender import Sender
from seglib.environment import EVENTS
from seglib.errors import SegError
from seglib.runtime.events import append_event, read_events
from seglib.tasks.task import task
from seglib.tracking.mlflow_client import connect
from tests.fakes.servers import MlflowServer, Proxy, silent_server
from tests.fakes.steps import Store

EPOCHS = 30
CURVES = ("loss", "val_miou")


@pytest.fixture(scope="module")
def server(
    fresh_store: Callable[[Path], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[MlflowServer]:
    folder = tmp_path_factory.mktemp("server")
    server = MlflowServer(folder, store=fresh_store(folder / "server.db"))
    server.start()
    yield server
    server.kill()


@pytest.fixture
def recorded(chain: Any, tmp_path: Path) -> Callable[[str], list[dict[str, Any]]]:
    """All events of a run with many epochs, in their order."""
    model = tmp_path / "model"
    shutil.copytree(chain.artifacts["model"].path, model)
    history = [
        {"epoch": e, **dict.fromkeys(CURVES, e / 100)} for e in range(1, EPOCHS + 1)
    ]
    (model / "history.json").write_text(json.dumps(history))
    decided = chain.event("decided")
    started, finished = (chain.event(k, "train") for k in ("started", "finished"))

    def events(run: str) -> list[dict[str, Any]]:
        lineage = {
            name: {**origin, "run_id": run, "settings": {"epochs": 30}}
            for name, origin in decided["lineage"].items()
        }
        head = {"data_md5": "d.dir", "code_version": "c", "parameters": {"epochs": 30}}
        rows = [{"kind": "epoch", "step": "train", "row": row} for row in history]
        load = {"system/cpu_utilization_percentage": 50.0}
        loads = [
            {"kind": "load", "step": "train", "number": n, "values": load}
            for n in range(3)
        ]
        told = [
            {"kind": "open", **head},
            {**started, "lineage": lineage},
            *rows[:10],
            *loads,
            *rows[10:],
            {**finished, "lineage": lineage},
            {**decided, "lineage": lineage, "model": str(model)},
            {"kind": "close", "state": "SUCCEEDED", **head},
        ]
        times = ({"run": run, "time_ms": 10**12 + 1000 * n} for n in range(len(told)))
        return [{**m, **time} for m, time in zip(told, times, strict=True)]

    return events


@pytest.fixture
def folder(tmp_path: Path) -> Callable[[str], Path]:
    def make(run: str) -> Path:
        path = tmp_path / "runs" / run
        path.mkdir(parents=True)
        (path / EVENT_FILE).touch()
        return path

    return make


def tell(folder: Path, events: list[dict[str, Any]]) -> None:
    for event in events:
        append_event(folder / EVENT_FILE, event)


def waiting(run: Path, uri: str) -> list[Path]:
    return [outbox.folder for outbox in waiting_outboxes(run.parent, uri)]


def require_whole(uri: str, run: str) -> None:
    """Everything of a recorded run is there, and once."""
    store = Store(uri, connect(uri))
    row = store.row(run)
    lost = doubled = 0
    for curve in CURVES:
        counts = Counter(step for step, _ in store.curve(row, f"curves/{curve}"))
        lost += len(set(range(1, EPOCHS + 1)) - counts.keys())
        doubled += sum(counts.values()) - len(counts)
    print(f"{run}: lost metrics: {lost}, doubled: {doubled}")
    assert (lost, doubled) == (0, 0)
    assert row.info.status == "FINISHED"
    (child,) = store.children(row)
    assert child.info.status == "FINISHED"
    load = store.curve(child, "system/cpu_utilization_percentage")
    assert [step for step, _ in load] == [0, 1, 2]
    pictures = store.client.list_artifacts(row.info.run_id, "images")
    assert len(pictures) == 4, "two overlays, and their small copies"
    assert len(row.outputs.model_outputs) == 1
    assert len(row.inputs.dataset_inputs) == 1


@pytest.fixture
def proxy(server: MlflowServer) -> Iterator[Proxy]:
    proxy = Proxy(server.uri)
    yield proxy
    proxy.close()


def test_a_server_that_is_away_until_the_end_of_the_training_loses_nothing(
    proxy: Proxy, recorded: Any, folder: Any
) -> None:
    events, run = recorded("back"), folder("back")
    warnings: list[str] = []
    tracker = RunTracker(proxy.uri, run, warn=warnings.append)
    tell(run, events[:12])
    tracker.require()
    proxy.away = True
    tell(run, events[12:20])
    wait_until(lambda: "tracking waits" in str(warnings))
    proxy.away = False
    tell(run, events[20:])
    assert tracker.finish().whole, warnings
    require_whole(proxy.uri, "back")


def test_events_for_a_server_that_stays_away_are_sent_later(
    proxy: Proxy, recorded: Any, folder: Any
) -> None:
    events, run = recorded("later"), folder("later")
    tracker = RunTracker(proxy.uri, run, warn=lambda _: None)
    tell(run, events[:12])
    tracker.require()
    proxy.away = True
    tell(run, events[12:])
    tracked = tracker.finish()
    assert tracked.left == len(events) - 12
    assert waiting(run, proxy.uri) == [run]
    proxy.away = False
    done = CliRunner().invoke(app, ["track", str(run)])
    assert done.exit_code == 0, done.output
    assert f"{len(events) - 12} event(s) sent, 0 left" in done.stdout
    require_whole(proxy.uri, "later")
    assert not waiting(run, proxy.uri)


def test_events_that_are_sent_twice_are_recorded_once(
    server: MlflowServer, recorded: Any, folder: Any
) -> None:
    events, run = recorded("twice"), folder("twice")
    tracker = RunTracker(server.uri, run, warn=pytest.fail)
    tell(run, events)
    assert tracker.finish().whole
    store = Store(server.uri, connect(server.uri))
    before = store.row("twice")
    FolderOutbox(run).begin(server.uri)  # as if the process had been killed at its end
    sent = send_unsent(run, server.uri, warn=pytest.fail)
    assert sent.whole
    require_whole(server.uri, "twice")
    after = store.row("twice")
    assert after.data.to_dictionary() == before.data.to_dictionary()
    assert after.outputs.model_outputs == before.outputs.model_outputs


def test_a_server_that_answers_500_for_a_while_loses_nothing(
    proxy: Proxy, recorded: Any, folder: Any
) -> None:
    events, run = recorded("broken"), folder("broken")
    tracker = RunTracker(proxy.uri, run, warn=lambda _: None)
    tell(run, events[:12])
    tracker.require()
    proxy.failing = True
    tell(run, events[12:])
    wait_until(lambda: proxy.failed >= 3)
    proxy.failing = False
    assert tracker.finish().whole
    require_whole(proxy.uri, "broken")


def test_the_next_run_sends_what_an_earlier_one_could_not(
    server: MlflowServer, recorded: Any, folder: Any
) -> None:
    early, events = folder("early"), recorded("early")
    for event in events:
        append_event(early / EVENT_FILE, event)
    FolderOutbox(early).begin(server.uri)
    next_run = folder("next")
    tracker = RunTracker(server.uri, next_run, warn=pytest.fail)
    assert tracker.earlier == ["early"]
    tell(next_run, recorded("next"))
    assert tracker.finish().whole
    require_whole(server.uri, "early")
    require_whole(server.uri, "next")
    assert not waiting(early, server.uri)


def test_events_for_a_silent_server_are_sent_by_the_next_step(
    server: MlflowServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    impatient: None,
) -> None:
    monkeypatch.delenv(EVENTS, raising=False)
    monkeypatch.setenv("KFP_RUN_ID", "silent")
    first, second = (
        SimpleNamespace(path=str(tmp_path / name), uri=name) for name in ("1", "2")
    )
    with silent_server() as uri:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
        with task("train", out=first) as training:
            for epoch in range(1, EPOCHS + 1):
                training.epoch({"epoch": epoch, **dict.fromkeys(CURVES, 0.5)})
    left = read_events(tmp_path / "1" / UNSENT_FILE)
    assert [e["kind"] for e in left] == ["started", *["epoch"] * EPOCHS, "finished"]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.uri)
    monkeypatch.setattr("seglib.tracking.mlflow_client._HEALTH_CHECK_S", HANG_S)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", str(int(HANG_S)))
    with task("evaluate", out=second, inputs=[first]):
        pass
    store = Store(server.uri, connect(server.uri))
    row = store.row("silent")
    steps = {child.data.tags["step"] for child in store.children(row)}
    assert steps == {"train", "evaluate"}
    assert {len(store.curve(row, f"curves/{curve}")) for curve in CURVES} == {EPOCHS}
    assert not (tmp_path / "2" / UNSENT_FILE).exists()


def test_tracking_that_is_required_stops_a_run_before_it_starts(
    folder: Any, recorded: Any, impatient: None
) -> None:
    run = folder("required")
    with silent_server() as uri:
        tracker = RunTracker(uri, run, warn=lambda _: None)
        tell(run, recorded("required")[:1])
        with pytest.raises(SegError, match="takes no events, and tracking is requ"):
            tracker.require()


def test_a_step_in_a_pod_can_require_tracking(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(EVENTS, raising=False)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("SEGLIB_TRACKING", "required")
    out = SimpleNamespace(path=str(tmp_path), uri="out")
    with pytest.raises(SystemExit), task("train", out=out):
        pytest.fail("the body ran")


def test_a_failing_part_does_not_hold_up_the_others(
    server: MlflowServer, recorded: Any
) -> None:
    """The artifact store takes no pictures for a while, and all else."""
    first, *events = recorded("half")
    warnings: list[str] = []
    sender = Sender(server.uri, warn=warnings.append)
    sender.put([first])
    assert sender.flush(longest_s=HANG_S, failing_s=HANG_S)
    run = sender.recorder.runs["half"]
    place = server.folder / "artifacts" / run.experiment_id / run.id
    images = place / "artifacts" / "images"
    images.parent.mkdir(parents=True, exist_ok=True)
    images.write_text("a file where the server wants a folder")
    sender.put(events)
    assert not sender.flush(longest_s=HANG_S, failing_s=HANG_S)
    row = Store(server.uri, connect(server.uri)).row("half")
    assert row.info.status == "FINISHED", warnings
    assert row.data.tags["verdict"] == "promote"
    assert [event["kind"] for event in sender.unsent()] == ["decided"]
    images.unlink()
    assert sender.flush(longest_s=HANG_S, failing_s=HANG_S)
    require_whole(server.uri, "half")
