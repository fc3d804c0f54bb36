"""How a run ended, judged by what is there, and told as a person reads it."""

import json
import os
import shlex
import shutil
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from pipeline.local.tracker import Tracked
from seglib.delivery.outbox import UNSENT_FILE
from seglib.plain_text import visible, without_login

_SILENT_END = "It ended without a word: killed, perhaps for lack of memory."
_SKIPPED = "The gate promotes the model, but the runner skipped the export."


_PLACES = {
    "selection.md": "trials",
    "report.html": "report",
    "overlays": "overlays",
    "export": "export",
    "model": "model",
    "verification.html": "data report",
}


@dataclass
class RunOutcome:
    """What became of a run, and where its outputs are."""

    folder: Path
    tracking_uri: str = ""
    tracking_required: bool = False
    state: str = "FAILED"  # or SUCCEEDED, CANCELED
    chosen: str = ""  # the trial of a sweep
    failed_trials: dict[str, str] = field(default_factory=dict)  # and why
    verdict: str = ""
    reasons: str = ""
    failed_step: str = ""
    failure: str = ""
    stopped_by: str = ""  # a signal's name
    cached: list[str] = field(default_factory=list)
    executed: list[str] = field(default_factory=list)
    finished: set[str] = field(default_factory=set)  # of the executed
    lineage: dict[str, dict[str, Any]] = field(default_factory=dict)
    links: dict[str, Path] = field(default_factory=dict)
    tracked: Tracked = field(default_factory=Tracked)

    @property
    def exit_status(self) -> int:
        """0, 1 when a step failed, 130 after Ctrl-C, as shells count signals."""
        if self.stopped_by:
            return 128 + signal.Signals[self.stopped_by]
        if self.tracking_required and not self.tracked.whole:
            return 1
        return 0 if self.state == "SUCCEEDED" else 1

    def outputs(self) -> dict[str, Path]:
        """The output folder of each step that has one."""
        return {step: Path(origin["folder"]) for step, origin in self.lineage.items()}

    def judge(self, status: int, last_words: Mapping[str, str]) -> None:
        """Decide between SUCCEEDED and FAILED.

        By what the steps told, not only by what KFP says: its container runner
        reports a container that fails at once as a success, and it skips a condition
        that it cannot resolve.

        Args:
            status: the runner's exit status.
            last_words: what each step, and the pipeline, printed last.
        """
        silent = [step for step in self.executed if step not in self.finished]
        if not self.failed_step:
            if silent:
                self.failed_step = silent[0]
            elif status or not self.verdict:
                self.failed_step = "pipeline"
            elif self.verdict == "promote" and "export" not in self.finished:
                self.failed_step, self.failure = "export", _SKIPPED
        if self.failed_step and not self.failure:
            self.failure = last_words.get(self.failed_step, _SILENT_END)
        self.state = "FAILED" if self.failed_step else "SUCCEEDED"


def print_summary(outcome: RunOutcome, console: Console) -> None:
    """Print what a run came to."""
    console.print()
    if outcome.state == "SUCCEEDED":
        _print_scores(outcome, console)
    elif outcome.state == "FAILED":
        text = f"{outcome.failed_step}: {outcome.failure}"
        _print_line(console, "failed", (text, "bold red"))
    else:
        _print_line(console, "stopped", f"by {outcome.stopped_by}")
    _print_reuse(outcome, console)
    for name, title in _PLACES.items():
        if name in outcome.links:
            _print_line(console, title, shown(outcome.links[name]))
    if outcome.state == "FAILED":
        _print_line(console, "log", shown(outcome.folder / "pipeline.log"))
    if run := outcome.tracked.run:
        page = f"experiments/{run.experiment_id}/runs/{run.id}"
        address = outcome.tracking_uri.rstrip("/")
        if not address.startswith("http"):
            _print_line(console, "tracking", _ui_command(outcome.tracking_uri))
            address = "http://127.0.0.1:5000"
        _print_line(console, "", f"{address}/#/{page}?workflowType=machine_learning")
    _print_untracked(outcome, console)


def shown(path: Path) -> str:
    """A path as it is shortest to type."""
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else relative


def _ui_command(uri: str) -> str:
    """The command that opens the MLflow UI on a store."""
    beside = Path(sys.executable).parent / "mlflow"
    found = shutil.which("mlflow")
    name = "mlflow" if found and Path(found) == beside else shown(beside)
    # Without the jobs, which nothing here uses, it starts in half the time.
    settings = "MLFLOW_DISABLE_TELEMETRY=true MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false"
    store = shlex.quote(without_login(uri))
    return f"{settings} {shlex.quote(name)} ui --backend-store-uri {store}"


def _print_scores(outcome: RunOutcome, console: Console) -> None:
    scores: dict[str, Any] = json.loads(
        (outcome.outputs()["evaluate"] / "metrics.json").read_text(encoding="utf-8")
    )
    table = Table("class", title=f"{scores['split']} split", title_justify="left")
    table.add_column("IoU", justify="right")
    for name, iou in scores["class_iou"].items():
        table.add_row(Text(visible(name)), "absent" if iou is None else f"{iou:.3f}")
    table.add_section()
    table.add_row("mIoU", f"{scores['miou']:.3f}", style="bold")
    table.add_row("majority class", f"{scores['baseline_miou']:.3f}", style="dim")
    console.print(table)
    if outcome.chosen:
        _print_line(console, "chosen", outcome.chosen)
    for trial, reason in outcome.failed_trials.items():
        _print_line(console, "failed trial", (trial, "yellow"), f": {reason}")
    colour = "green" if outcome.verdict == "promote" else "yellow"
    reasons = f" ({outcome.reasons})" if outcome.verdict == "hold" else ""
    _print_line(console, "verdict", (outcome.verdict, f"bold {colour}"), reasons)
    if (run := outcome.tracked.run) and run.promotion:
        _print_line(console, "registry", run.promotion)
    if run and run.publication:
        _print_line(console, "published", run.publication)


def _print_reuse(outcome: RunOutcome, console: Console) -> None:
    by_run: dict[str, list[str]] = {}
    for step in outcome.cached:
        origin = outcome.lineage.get(step, {}).get("run_id") or "an earlier run"
        by_run.setdefault(origin, []).append(step)
    for run, steps in by_run.items():
        _print_line(console, "reused", f"{', '.join(steps)} (from {run})")


def _print_untracked(outcome: RunOutcome, console: Console) -> None:
    """What MLflow has not got, and how it gets it."""
    tracked = outcome.tracked
    if tracked.left:
        text = f"{tracked.left} event(s) wait. {tracked.reason}"
        command = f"python -m pipeline track {shlex.quote(shown(outcome.folder))}"
        _print_line(console, "untracked", (text.strip(), "yellow"))
        then = (
            "Once that is solved, the next run on this store sends them; to any store:"
        )
        _print_line(console, "", then)
        _print_line(console, "", command)
    if tracked.refused:
        place = shown(outcome.folder / UNSENT_FILE)
        text = f"{len(tracked.refused)} event(s), kept in {place}"
        _print_line(console, "refused", (text, "yellow"))


def _print_line(console: Console, title: str, *parts: str | tuple[str, str]) -> None:
    """Parts may have a style each."""
    styled = [(part, "") if isinstance(part, str) else part for part in parts]
    shown_parts = ((visible(text), style) for text, style in styled)
    text = Text.assemble(f"{title:<12} ", *shown_parts)
    console.print(text, soft_wrap=True, no_wrap=True)  # addresses and commands
