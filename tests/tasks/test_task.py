"""A step's events, and the origin of its output."""

import errno
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from kfp import dsl

from benchmarks.waiting import HANG_S
from seglib.environment import EVENTS
from seglib.errors import SegError, UsageError
from seglib.runtime.provenance import read_lineage
from seglib.runtime.step import RunningStep
from seglib.tasks.task import configure, task
from tests.fakes.disks import fill


@pytest.fixture
def events(
    tmp_path: Path, telling: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> Callable[[], list[dict[str, Any]]]:
    path = tmp_path / "events.jsonl"
    monkeypatch.setenv("KFP_RUN_ID", "now")
    monkeypatch.setenv(EVENTS, str(path))
    return lambda: [json.loads(line) for line in path.read_text().splitlines()]


def artifact(folder: Path) -> dsl.Artifact:
    return dsl.Artifact(uri=str(folder))


def test_an_output_knows_every_step_that_led_to_it(
    tmp_path: Path, events: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest, shards = artifact(tmp_path / "m"), artifact(tmp_path / "s")
    monkeypatch.setenv("KFP_RUN_ID", "before")
    with task("verify", out=manifest):
        pass
    monkeypatch.setenv("KFP_RUN_ID", "now")
    with task("augment", out=shards, inputs=[manifest]) as current:
        assert current.lineage["verify"]["run_id"] == "before"
    lineage = read_lineage(Path(shards.path))
    assert {name: origin["run_id"] for name, origin in lineage.items()} == {
        "verify": "before",
        "augment": "now",
    }
    assert lineage["augment"]["folder"] == shards.uri
    assert lineage["augment"]["finished"].endswith("Z")


@pytest.mark.parametrize("error", [OSError, RuntimeError])
def test_a_full_disk_ends_the_step_without_a_traceback(
    tmp_path: Path, events: Callable[[], Any], error: type[Exception]
) -> None:
    full = "No space left on device; writing a"
    with pytest.raises(SystemExit), task("augment", out=artifact(tmp_path / "s")):
        raise OSError(errno.ENOSPC, full, "a") if error is OSError else error(full)
    (failed,) = (one for one in events() if one["kind"] == "failed")
    assert "cannot be written. Free some space" in failed["message"]


def test_a_full_disk_under_the_event_file_is_reported_in_the_log(
    small_disk: Path, telling: Any, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    fill(small_disk)
    monkeypatch.setenv(EVENTS, str(small_disk / "events.jsonl"))
    with pytest.raises(SystemExit), task("augment", out=artifact(small_disk / "s")):
        pytest.fail("it has begun")
    assert "events.jsonl (No space left on device): cannot be written" in caplog.text


def test_a_problem_that_its_reader_can_solve_ends_the_step_without_a_traceback(
    tmp_path: Path, events: Callable[[], Any]
) -> None:
    out = artifact(tmp_path / "out")
    with pytest.raises(SystemExit) as end, task("train", out=out):
        raise SegError("Too dark. Switch on the light.")
    assert end.value.code == 1
    told = events()
    assert [event["kind"] for event in told] == ["started", "failed"]
    assert told[1]["message"] == "Too dark. Switch on the light."
    assert read_lineage(Path(out.path)) == {}, "no output, no origin"


def test_any_other_error_is_reported_and_keeps_its_traceback(
    tmp_path: Path, events: Callable[[], Any]
) -> None:
    with pytest.raises(ZeroDivisionError), task("train", out=artifact(tmp_path)):
        _ = 1 / 0
    assert events()[-1]["message"] == "ZeroDivisionError: division by zero"


def test_progress_is_reported_at_intervals_and_at_the_end(
    tmp_path: Path, events: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("seglib.runtime.step._FOLLOWED_S", HANG_S)
    with task("verify", out=artifact(tmp_path)) as current:
        for done in range(1000):
            current.progress(done + 1, 1000)
    told = [event["done"] for event in events() if event["kind"] == "progress"]
    assert told == [1, 1000]


def test_without_a_follower_the_log_says_what_happens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv(EVENTS, raising=False)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    caplog.set_level(logging.INFO)
    with task("train", out=artifact(tmp_path)) as current:
        current.progress(1, 2)
        logging.getLogger("botocore.credentials").info("Found credentials in …")
        logging.getLogger("botocore.credentials").warning("They end soon.")
    assert [record.getMessage() for record in caplog.records] == [
        "train: 1 of 2",
        "They end soon.",
    ]


def test_a_components_arguments_become_its_configuration() -> None:
    current = RunningStep("train", uri="out", events=None)
    given = {"epochs": 3, "min_miou": 1, "model": object(), "step": 1}
    settings = configure(current, given)
    assert settings.train.epochs == 3
    assert settings.gate.min_miou == 1.0
    assert current.origin["settings"] == {"epochs": 3, "min_miou": 1.0}
    with pytest.raises(UsageError, match="`train.epochs` must be ≥ 1"):
        configure(current, {"epochs": 0})
