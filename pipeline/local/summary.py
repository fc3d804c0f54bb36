"""The end of a run as a person reads it: scores, verdict, and where to look."""

import json
import os
import shlex
import shutil
import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from pipeline.local.outcome import Outcome
from seglib.delivery.outbox import UNSENT_FILE
from seglib.plain_text import visible, without_login

_PLACES = {
    "selection.md": "trials",
    "report.html": "report",
    "overlays": "overlays",
    "export": "export",
    "model": "model",
    "verification.html": "data report",
}


def print_summary(outcome: Outcome, console: Console) -> None:
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
    if outcome.tracking_id:
        if not outcome.tracking_uri.startswith("http"):
            _print_line(console, "tracking", ui_command(outcome))
        _print_line(console, "", ui_address(outcome))
    _print_untracked(outcome, console)


def ui_command(outcome: Outcome) -> str:
    """The command that opens the MLflow UI on the store of a run."""
    beside = Path(sys.executable).parent / "mlflow"
    found = shutil.which("mlflow")
    name = "mlflow" if found and Path(found) == beside else shown(beside)
    # Without the jobs, which nothing here uses, it starts in half the time.
    settings = "MLFLOW_DISABLE_TELEMETRY=true MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false"
    uri = shlex.quote(without_login(outcome.tracking_uri))
    return f"{settings} {shlex.quote(name)} ui --backend-store-uri {uri}"


def ui_address(outcome: Outcome, base: str = "http://127.0.0.1:5000") -> str:
    """The page of a run."""
    uri = outcome.tracking_uri
    base = uri.rstrip("/") if uri.startswith("http") else base
    page = f"experiments/{outcome.experiment_id}/runs/{outcome.tracking_id}"
    return f"{base}/#/{page}?workflowType=machine_learning"


def shown(path: Path) -> str:
    """A path as it is shortest to type."""
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else relative


def _print_scores(outcome: Outcome, console: Console) -> None:
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
    if outcome.promotion:
        _print_line(console, "registry", outcome.promotion)
    if outcome.publication:
        _print_line(console, "published", outcome.publication)


def _print_reuse(outcome: Outcome, console: Console) -> None:
    by_run: dict[str, list[str]] = {}
    for step in outcome.cached:
        origin = outcome.lineage.get(step, {}).get("run_id") or "an earlier run"
        by_run.setdefault(origin, []).append(step)
    for run, steps in by_run.items():
        _print_line(console, "reused", f"{', '.join(steps)} (from {run})")


def _print_untracked(outcome: Outcome, console: Console) -> None:
    """What MLflow has not got, and how it gets it."""
    if outcome.untracked:
        text = f"{outcome.untracked} event(s) wait. {outcome.untracked_reason}"
        command = f"python -m pipeline track {shlex.quote(shown(outcome.folder))}"
        _print_line(console, "untracked", (text.strip(), "yellow"))
        then = (
            "Once that is solved, the next run on this store sends them; to any store:"
        )
        _print_line(console, "", then)
        _print_line(console, "", command)
    if outcome.refused:
        text = f"{outcome.refused} event(s), kept in "
        place = shown(outcome.folder / UNSENT_FILE)
        _print_line(console, "refused", (f"{text}{place}", "yellow"))


def _print_line(console: Console, title: str, *parts: str | tuple[str, str]) -> None:
    """Parts may have a style each."""
    styled = [(part, "") if isinstance(part, str) else part for part in parts]
    shown_parts = ((visible(text), style) for text, style in styled)
    console.print(Text.assemble(f"{title:<12} ", *shown_parts), soft_wrap=True)
