"""What a person sees of a run, without a terminal and with one."""

import io

import pytest
from rich.console import Console

from benchmarks.waiting import HANG_S
from pipeline.local.display import Display


def test_without_a_terminal_each_event_is_a_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("pipeline.local.display._PLAIN_PAUSE_S", HANG_S)
    console = Console(file=io.StringIO(), width=100)
    with Display(console) as display:
        display.reuse("verify")
        display.start("train")
        display.progress("train", 1, 4)
        display.line("epoch 1/2  loss [0.5]")
        display.epoch("train", {"epoch": 1, "loss": 0.5, "val_miou": 0.25}, 2)
        display.end("train", "failed")
        display.start("finalize")
    text = console.file.getvalue()  # type: ignore[attr-defined]
    lines = [line.rstrip() for line in text.splitlines()]
    assert lines[:3] == [
        "↺ verify    reused: nothing that it depends on changed",
        "▸ train     …",
        "  epoch 1/2  loss [0.5]",
    ]
    assert lines[3].startswith("✗ train     failed after ")
    assert len(lines) == 4, "the exit task is no step"


def test_on_a_terminal_the_last_frame_has_all_steps_and_their_outcomes() -> None:
    console = Console(file=io.StringIO(), width=100, force_terminal=True, _environ={})
    with Display(console, steps=("verify", "train", "export")) as display:
        display.start("verify")
        display.progress("verify", 24, 24)
        display.end("verify", "succeeded")
        display.start("train")
        display.epoch("train", {"epoch": 1, "loss": 0.5, "val_miou": 0.25}, 2)
        display.stop()
        display.hold("export")
    frame = Console(width=100, file=io.StringIO())
    frame.print(display._render())
    lines = frame.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert [line.split()[:2] for line in lines] == [
        ["✓", "verify"],
        ["■", "train"],
        ["·", "export"],
    ]
    assert "24/24" in lines[0]
    assert "epoch 1/2  loss 0.500  val mIoU 0.250" in lines[1]
    assert "held back by the gate" in lines[2]
