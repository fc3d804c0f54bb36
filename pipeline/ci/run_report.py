"""How a run ended, by KFP and its row in MLflow, as a commit's status and comment."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from pipeline.ci.github import State
from seglib.errors import SegError
from seglib.plain_text import first_line, table_cell, visible
from seglib.tracking.names import key

if TYPE_CHECKING:
    from pipeline.kfp.runs import Run
    from seglib.tracking.queries import RunFacts

_DECISION = "gate/decision.json"
_PATIENCE = timedelta(hours=24)  # messages that had to wait may come that late
_SCORES = {
    "miou": "**mIoU**",
    "pixel_accuracy": "pixel accuracy",
    "miou_frequency_weighted": "mIoU, weighted by frequency",
    "baseline_miou": "mIoU of the most frequent class",
}
_CLASS = "iou/"


def described(run: "Run") -> dict[str, str]:
    """The lines of the run's description: commit, data, config, image, triple."""
    lines = (line.partition(": ") for line in run.description.splitlines())
    return {name: value for name, colon, value in lines if colon}


def find_report(run: "Run", url: str, *, tracking_uri: str) -> "RunReport | None":
    """How a run ended; None where its verdict may still come.

    That is so if the run succeeded not long ago, and MLflow does not have its row.
    """
    row, text = _ask_mlflow(run.run_id, tracking_uri) if tracking_uri else (None, "")
    if run.state == "SUCCEEDED" and not (row and row.tags.get("verdict")):
        ended = run.ended or run.created
        if datetime.now(UTC) - ended < _PATIENCE:
            return None
    try:
        decision = json.loads(text or "{}")
    except ValueError:
        decision = {}  # the row's tags say the most important of it
    return RunReport(run, url, row, decision if isinstance(decision, dict) else {})


@dataclass(frozen=True)
class RunReport:
    """How a run ended."""

    run: "Run"
    url: str  # its page
    row: "RunFacts | None" = None  # of MLflow
    decision: Mapping[str, Any] = field(default_factory=dict)  # the gate's, if known

    @property
    def status(self) -> tuple[State, str]:
        """Of the commit: a run that went well is a success, whatever the verdict."""
        state, verdict = self.run.state, self._tag("verdict")
        if state == "FAILED":
            reason = first_line(self._failure) or "see the run"
            return State.failure, f"failed: {reason}"
        if state != "SUCCEEDED":
            return State.error, f"the run was {state.lower()}"
        if not verdict:
            return State.error, "the run succeeded, but MLflow has no verdict of it"
        if verdict == "promote":
            return State.success, f"promoted{self._score}"
        reason = self._tag("reasons").partition(";")[0]
        return State.success, f"held{self._score}: {reason}"

    def to_markdown(self) -> str:
        """A comment on the commit."""
        state, title = self.status
        reasons: list[str] = []
        if self._tag("verdict") == "hold":
            title, reasons = f"held{self._score}", self._tag("reasons").split("; ")
        mark = "✓" if state is State.success else "✗"
        promotion = table_cell(self._tag("promotion"))
        lines = [
            f"### {mark} Training: {table_cell(title)}",
            "",
            *([*(f"- {table_cell(one)}" for one in reasons), ""] if reasons else ()),
            *([promotion, ""] if promotion else ()),
            *_block(self._failure.partition("\n")[2]),
            *_scores_table(self.row.metrics if self.row else {}, self.decision),
            *_checks_table(self.decision.get("checks") or ()),
            *(f"Run [{table_cell(self.run.name)}]({self.url})", ""),
            *("<details><summary>What it was made of</summary>", "", "| | |"),
            "|---|---|",
            *(f"| {table_cell(k)} | {_code(v)} |" for k, v in self._facts.items()),
            *("", "</details>", ""),
        ]
        return "\n".join(lines)

    def _tag(self, name: str) -> str:
        return self.row.tags.get(name, "") if self.row else ""

    @property
    def _score(self) -> str:
        metrics = self.row.metrics if self.row else {}
        score = f", mIoU {metrics['miou']:.4f}" if "miou" in metrics else ""
        delta = metrics.get("delta_miou")
        told = "" if delta is None else f" ({delta:+.4f} to the champion)"
        return score and score + told

    @property
    def _failure(self) -> str:
        """The step that failed, and why; in further lines, what it printed last."""
        if step := self._tag("failed_step"):
            return f"{step}: {self._tag('failure')}".rstrip(": ")
        failed = [step for step in self.run.steps if step.state == "FAILED"]
        names = ", ".join(step.label for step in failed)
        said = next((step.message for step in failed if step.message), self.run.error)
        return ": ".join(filter(None, (names, said)))

    @property
    def _facts(self) -> dict[str, str]:
        found = {k: v for k, v in described(self.run).items() if k != "triple"}
        found["duration"] = f"{self.run.duration_s() / 60:.0f} min"
        return found | ({"MLflow run": self.row.id} if self.row else {})


def _ask_mlflow(run_id: str, uri: str) -> tuple["RunFacts | None", str]:
    """The run's row, and the text of the gate's decision."""
    from seglib.tracking.mlflow_client import answering
    from seglib.tracking.queries import TrackedRuns

    try:
        with answering(uri):
            rows = TrackedRuns(uri)
            row = rows.of_run(run_id)
            if not row:
                return None, ""
            return rows.whole(row), rows.read_file(row, _DECISION)
    except SegError as error:
        raise SegError(
            f"It is not known what became of the run {run_id}. {error} Then run the "
            "same command again."
        ) from error


def _scores_table(
    metrics: Mapping[str, float], decision: Mapping[str, Any]
) -> list[str]:
    """The scores, with their differences to the champion where it was scored, too."""
    compared = decision.get("comparison") or {}
    changes = {"miou": compared.get("miou")}
    for name, change in (compared.get("class_iou") or {}).items():
        changes[_CLASS + key(name)] = change
    names = [name for name in _SCORES if name in metrics]
    names += sorted(name for name in metrics if name.startswith(_CLASS))
    if not names:
        return []
    champion = decision.get("champion")
    against = f"change to the champion, {champion}" if champion else "no champion yet"
    head = ["", "this model"]
    if compared:
        head += [table_cell(against), f"{compared['confidence']:.0%} interval"]
    rows = [head, ["---", *["---:"] * (len(head) - 1)]]
    for name in names:
        label = f"IoU {table_cell(name.removeprefix(_CLASS))}"
        cells = [_SCORES.get(name, label), f"{metrics[name]:.4f}"]
        if compared:
            change = changes.get(name) or {}
            low, high = _signed(change, "low"), _signed(change, "high")
            interval = f"{low} … {high}" if change else "–"
            cells += [_signed(change, "estimate"), interval]
        rows.append(cells)
    images = compared.get("num_images")
    note = f"Differences on the same {images:,} images." if images else f"{against}."
    return [*(f"| {' | '.join(cells)} |" for cells in rows), "", table_cell(note), ""]


def _signed(change: Mapping[str, float | None], name: str) -> str:
    value = change.get(name)
    return "–" if value is None else f"{value:+.4f}"


def _checks_table(checks: Iterable[Mapping[str, Any]]) -> list[str]:
    rows = [
        f"| {table_cell(one['name'])} | {'passed' if one['passed'] else '**failed**'} "
        f"| {table_cell(one['reason'])} |"
        for one in checks
    ]
    return ["| check | result | figures |", "|---|---|---|", *rows, ""] if rows else []


def _block(text: str) -> list[str]:
    """The lines as they are; none of them ends the block."""
    lines = visible(text).replace("```", "` ` `").splitlines()
    return ["```", *lines, "```", ""] if lines else []


def _code(text: str) -> str:
    return f"`{re.sub(r'[`|]', '', ' '.join(text.split()))}`"
