"""The run as a person sees it: a line a step, live where there is a terminal."""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from seglib.plain_text import visible

STEPS = ("verify", "augment", "train", "evaluate", "gate", "export", "track")
SWEEP_STEPS = (*STEPS[:3], "select", *STEPS[3:])
_MARKS = {
    "waiting": ("·", "dim"),
    "started": ("▸", "cyan"),
    "succeeded": ("✓", "green"),
    "cached": ("↺", "green"),
    "failed": ("✗", "red"),
    "stopped": ("■", "yellow"),
}
_PLAIN_PAUSE_S = 15.0  # between two lines of progress where there is no terminal


@dataclass
class _Line:
    """The state of one step."""

    state: str = "waiting"
    share: float | None = None  # done of all
    counts: str = ""
    note: str = ""
    began: float = 0.0
    took: float | None = None
    told: float = 0.0  # when progress was last printed

    def seconds(self) -> float:
        return time.monotonic() - self.began if self.took is None else self.took


class Display:
    """Shows steps, their progress, and what they print. A context manager."""

    def __init__(self, console: Console, steps: Sequence[str] = STEPS):
        self.console = console
        self._lines = {step: _Line() for step in steps}
        self._live = Live(
            console=console, get_renderable=self._render, refresh_per_second=8
        )

    def __enter__(self) -> Self:
        if self.console.is_terminal:
            self._live.start(refresh=True)
        return self

    def __exit__(self, *_: object) -> None:
        if self.console.is_terminal:
            self._live.stop()

    def start(self, step: str) -> None:
        self._set(step, "started", text="…")

    def reuse(self, step: str) -> None:
        self._set(step, "cached", note="reused: nothing that it depends on changed")

    def hold(self, step: str) -> None:
        self._set(step, "waiting", note="held back by the gate")

    def end(self, step: str, state: str) -> None:
        """A step succeeded, failed or was stopped."""
        if line := self._lines.get(step):
            line.took = line.seconds()
            if state == "succeeded":
                line.share = None
            self._set(step, state, text=f"{state} after {line.took:.1f} s")

    def stop(self) -> None:
        """Whatever runs was stopped."""
        for step, line in self._lines.items():
            if line.state == "started":
                self.end(step, "stopped")

    def progress(self, step: str, done: int, total: int) -> None:
        if (line := self._lines.get(step)) and total:
            line.share, line.counts = done / total, f"{done}/{total}"
            if time.monotonic() - line.told > _PLAIN_PAUSE_S and done < total:
                line.told = time.monotonic()
                self._tell(step, line.counts)

    def epoch(
        self, step: str, row: Mapping[str, float], epochs: int, *, trial: str = ""
    ) -> None:
        """Show an epoch's outcome; the step prints it as a line, too."""
        if line := self._lines.get(step):
            line.told = time.monotonic()
            of = f"/{epochs}" if "epochs=" not in trial else ""
            line.note = f"epoch {row['epoch']:.0f}{of}  loss {row['loss']:.3f}"
            if not math.isnan(row.get("val_miou", math.nan)):
                line.note += f"  val mIoU {row['val_miou']:.3f}"
            if trial:
                line.note += f"  ({trial})"

    def line(self, text: str) -> None:
        """A line that a step printed."""
        self._print("  ", (visible(text), "dim"))

    def warn(self, text: str) -> None:
        self._print(("!", "yellow"), f" {visible(text)}")

    def _set(self, step: str, state: str, *, text: str = "", note: str = "") -> None:
        if line := self._lines.get(step):
            line.state, line.note = state, note or line.note
            if state == "started":
                line.began = line.told = time.monotonic()
            self._tell(step, text or note)

    def _tell(self, step: str, text: str) -> None:
        if not self.console.is_terminal:
            mark = _MARKS[self._lines[step].state]
            self._print(mark, f" {step:<9} {visible(text)}")

    def _print(self, *parts: str | tuple[str, str]) -> None:
        self.console.print(Text.assemble(*parts), soft_wrap=True)

    def _render(self) -> Group:
        table = Table.grid(padding=(0, 1))
        for step, line in self._lines.items():
            bar = line.state == "started" and line.share is not None
            dim = "dim" if line.state in ("waiting", "cached") else ""
            table.add_row(
                Text(*_MARKS[line.state]),
                Text(step, style=dim),
                ProgressBar(100, 100 * (line.share or 0), width=20) if bar else "",
                Text(line.note or line.counts, style=dim),
                f"{line.seconds():.0f} s" if line.began else "",
            )
        return Group(table)
