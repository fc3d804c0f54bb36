"""What a run's folder keeps for MLflow."""

import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.local.spooling import Spool, waiting_folders
from seglib.errors import SegError
from seglib.tracking.outbox import UNTRACKED, read_messages, write_messages

URI = "http://127.0.0.1:5000"
TOLD: list[dict[str, Any]] = [
    {"kind": "open", "run": "r", "time_ms": 1},
    {"kind": "epoch", "run": "r", "time_ms": 2, "row": {"epoch": 1}},
]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "runs" / "r"
    folder.mkdir(parents=True)
    write_messages(folder / "messages.jsonl", TOLD)
    return folder


def test_of_a_killed_run_everything_is_sent_and_its_end(run: Path) -> None:
    Spool(run).begin(URI)
    waiting = Spool(run).waiting()
    assert [m["kind"] for m in waiting] == ["open", "epoch", "close"]
    assert waiting[-1]["state"] == "CANCELED"
    assert waiting[-1]["time_ms"] == 2, "when it was last heard of"
    assert waiting_folders(run.parent, URI) == [run]
    assert waiting_folders(run.parent, "http://127.0.0.1:1") == []


def test_what_is_left_is_kept_and_then_gone(run: Path) -> None:
    Spool(run).begin(URI)
    Spool(run).end(URI, TOLD[1:])
    assert [m["kind"] for m in Spool(run).waiting()] == ["epoch"]
    Spool(run).end(URI, [])
    assert Spool(run).waiting() == []
    assert not (run / UNTRACKED).exists()
    assert waiting_folders(run.parent, URI) == []


def test_what_was_refused_is_sent_again_only_if_asked(run: Path) -> None:
    Spool(run).end(URI, [{**TOLD[0], "refused": "why"}])
    assert Spool(run).waiting() == []
    assert [m["kind"] for m in Spool(run).waiting(refused=True)] == ["open"]
    assert waiting_folders(run.parent, URI) == []


def test_only_one_process_tracks_a_folder(run: Path, tmp_path: Path) -> None:
    other = Spool(run)
    with Spool(run), pytest.raises(SegError, match="another process is tracking it"):
        other.__enter__()
    with Spool(run):
        pass
    with pytest.raises(SegError, match="expected the folder of a run"):
        Spool(tmp_path).__enter__()


def test_a_password_in_a_stores_address_is_not_written_down(run: Path) -> None:
    Spool(run).begin("http://me:secret@127.0.0.1:5000")
    assert "secret" not in (run / "tracking.json").read_text()
    assert waiting_folders(run.parent, URI) == [run]


def test_a_line_that_was_cut_off_is_left_out(run: Path) -> None:
    with (run / "messages.jsonl").open("a") as file:
        file.write(json.dumps(TOLD[0])[:-5])
    assert read_messages(run / "messages.jsonl") == TOLD
