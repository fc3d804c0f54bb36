"""What a run's folder keeps for MLflow."""

import json
from pathlib import Path
from typing import Any

import pytest

from seglib.delivery.outbox import UNSENT_FILE, FolderOutbox, waiting_outboxes
from seglib.errors import SegError
from seglib.runtime.events import write_events

URI = "http://127.0.0.1:5000"
TOLD: list[dict[str, Any]] = [
    {"kind": "open", "run": "r", "time_ms": 1},
    {"kind": "epoch", "run": "r", "time_ms": 2, "row": {"epoch": 1}},
]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "runs" / "r"
    folder.mkdir(parents=True)
    write_events(folder / "events.jsonl", TOLD)
    return folder


def waiting(run: Path, uri: str = URI) -> list[Path]:
    return [outbox.folder for outbox in waiting_outboxes(run.parent, uri)]


def test_a_killed_run_sends_all_its_events_and_an_end(run: Path) -> None:
    FolderOutbox(run).begin(URI)
    unsent = FolderOutbox(run).unsent()
    assert [e["kind"] for e in unsent] == ["open", "epoch", "close"]
    assert unsent[-1]["state"] == "CANCELED"
    assert unsent[-1]["time_ms"] == 2, "when it was last heard of"
    assert waiting(run) == [run]
    assert waiting(run, "http://127.0.0.1:1") == []


def test_the_messages_of_an_older_version_are_sent(run: Path) -> None:
    (run / "events.jsonl").rename(run / "messages.jsonl")
    (run / "tracking.json").write_text(
        json.dumps({"uri": URI, "left": "messages.jsonl"})
    )
    assert waiting(run) == [run]
    kinds = [event["kind"] for event in FolderOutbox(run).unsent()]
    assert kinds == ["open", "epoch", "close"]


def test_unsent_events_are_kept_until_they_are_sent(run: Path) -> None:
    FolderOutbox(run).begin(URI)
    FolderOutbox(run).end(URI, TOLD[1:])
    assert [e["kind"] for e in FolderOutbox(run).unsent()] == ["epoch"]
    FolderOutbox(run).end(URI, [])
    assert FolderOutbox(run).unsent() == []
    assert not (run / UNSENT_FILE).exists()
    assert waiting(run) == []


def test_refused_events_are_sent_again_on_request_only(run: Path) -> None:
    FolderOutbox(run).end(URI, [{**TOLD[0], "refused": "why"}])
    assert FolderOutbox(run).unsent() == []
    assert [e["kind"] for e in FolderOutbox(run).unsent(refused=True)] == ["open"]
    assert waiting(run) == []


def test_only_one_process_tracks_a_folder(run: Path, tmp_path: Path) -> None:
    with (
        FolderOutbox(run).locked(),
        pytest.raises(SegError, match="another process is tracking it"),
        FolderOutbox(run).locked(),
    ):
        pytest.fail("two have it")
    with FolderOutbox(run).locked():
        pass
    with (
        pytest.raises(SegError, match="expected the folder of a run"),
        FolderOutbox(tmp_path).locked(),
    ):
        pytest.fail("it is no run")


def test_a_password_in_a_stores_address_is_not_written_down(run: Path) -> None:
    FolderOutbox(run).begin("http://me:secret@127.0.0.1:5000")
    assert "secret" not in (run / "tracking.json").read_text()
    assert waiting(run) == [run]
