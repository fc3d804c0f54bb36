"""How a run ended: by what is there, not only by what KFP says."""

from pathlib import Path

import pytest

from pipeline.local.outcome import RunOutcome

WHOLE = ["train", "evaluate", "gate", "export", "finalize"]


def outcome(
    executed: list[str], *, silent: str = "", verdict: str = "promote"
) -> RunOutcome:
    finished = {step for step in executed if step != silent}
    return RunOutcome(Path(), executed=executed, finished=finished, verdict=verdict)


@pytest.mark.parametrize(
    ("executed", "verdict"),
    [(WHOLE, "promote"), (["gate", "finalize"], "hold")],
)
def test_a_run_succeeds_whether_its_model_is_promoted_or_held(
    executed: list[str], verdict: str
) -> None:
    run = outcome(executed, verdict=verdict)
    run.judge(0, {})
    assert (run.state, run.failed_step, run.exit_status) == ("SUCCEEDED", "", 0)


def test_a_step_that_never_finished_failed_though_kfp_calls_it_a_success() -> None:
    run = outcome(WHOLE, silent="train")
    run.judge(0, {})
    assert (run.state, run.failed_step, run.exit_status) == ("FAILED", "train", 1)
    assert "without a word" in run.failure


def test_a_promoted_model_without_an_export_is_a_failure() -> None:
    run = outcome(["gate", "finalize"])
    run.judge(0, {})
    assert (run.state, run.failed_step) == ("FAILED", "export")
    assert "skipped the export" in run.failure


def test_a_steps_message_beats_its_last_words_and_these_beat_silence() -> None:
    run = outcome(WHOLE, silent="train")
    run.judge(1, {"train": "No module named 'grain'", "pipeline": "done"})
    assert run.failure == "No module named 'grain'"
    run = outcome(WHOLE, silent="train")
    run.failed_step, run.failure = "train", "Too dark."
    run.judge(1, {"train": "No module named 'grain'"})
    assert run.failure == "Too dark."


def test_a_runner_that_breaks_by_itself_is_a_failure() -> None:
    run = outcome([], verdict="")
    run.judge(1, {"pipeline": "ValueError: Task not found."})
    assert (run.failed_step, run.failure) == ("pipeline", "ValueError: Task not found.")


@pytest.mark.parametrize(("name", "status"), [("SIGINT", 130), ("SIGTERM", 143)])
def test_a_stopped_run_exits_as_shells_count_signals(name: str, status: int) -> None:
    assert RunOutcome(Path(), state="CANCELED", stopped_by=name).exit_status == status
