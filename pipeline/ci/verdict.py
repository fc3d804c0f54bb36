"""The outcome of a run, its verdict and its scores, as a status and a comment."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pipeline.ci.forge import State
from seglib.plain_text import first_line, table_cell, visible
from seglib.tracking.names import key

_SCORES = ("miou", "pixel_accuracy", "miou_frequency_weighted", "baseline_miou")
_NAMES = {
    "miou": "mIoU",
    "pixel_accuracy": "pixel accuracy",
    "miou_frequency_weighted": "mIoU, weighted by frequency",
    "baseline_miou": "mIoU of the most frequent class",
}
_CLASS = "iou/"


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a run ended.

    Attributes:
        state: SUCCEEDED, FAILED, or CANCELED where it was stopped.
        run: its name.
        url: its page.
        facts: name → value, told as they are: commit, data, image …
        verdict: promote or hold; empty: the gate did not come to one.
        reasons: why a model was held.
        promotion: what the registry made of it.
        failure: which step failed, and why; in further lines, what it printed last.
        metrics: of the model, as its row has them.
        decision: the gate's decision.json; empty where it cannot be had.
    """

    state: str
    run: str
    url: str
    facts: Mapping[str, str] = field(default_factory=dict)
    verdict: str = ""
    reasons: str = ""
    promotion: str = ""
    failure: str = ""
    metrics: Mapping[str, float] = field(default_factory=dict)
    decision: Mapping[str, Any] = field(default_factory=dict)

    @property
    def status(self) -> tuple[State, str]:
        """Of the commit: a run that went well is a success, whatever the verdict."""
        if self.state == "FAILED":
            reason = first_line(self.failure) or "see the run"
            return State.failure, f"failed: {reason}"
        if self.state != "SUCCEEDED":
            return State.error, f"the run was {self.state.lower()}"
        if not self.verdict:
            return State.error, "the run succeeded, but MLflow has no verdict of it"
        return State.success, self._sentence

    @property
    def _sentence(self) -> str:
        miou = self.metrics.get("miou")
        score = "" if miou is None else f", mIoU {miou:.4f}{self._delta}"
        if self.verdict == "promote":
            return f"promoted{score}"
        return f"held{score}: {self.reasons.partition(';')[0]}"

    @property
    def _delta(self) -> str:
        delta = self.metrics.get("delta_miou")
        return "" if delta is None else f" ({delta:+.4f} to the champion)"

    def to_markdown(self) -> str:
        """A comment on the commit."""
        state, sentence = self.status
        mark = {State.success: "✓", State.failure: "✗", State.error: "✗"}[state]
        title = sentence if self.verdict != "hold" else f"held{self._score}"
        lines = [f"### {mark} Training: {table_cell(title)}", ""]
        if self.verdict == "hold":
            lines += [*(f"- {table_cell(r)}" for r in self.reasons.split("; ")), ""]
        if self.promotion:
            lines += [table_cell(self.promotion), ""]
        lines += _block(self.failure.partition("\n")[2])
        lines += _scores_table(self.metrics, self.decision)
        lines += _checks_table(self.decision.get("checks") or ())
        lines += [f"Run [{table_cell(self.run)}]({self.url})", ""]
        lines += _facts(self.facts)
        return "\n".join(lines)

    @property
    def _score(self) -> str:
        miou = self.metrics.get("miou")
        return "" if miou is None else f", mIoU {miou:.4f}{self._delta}"


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
    head = ["| | this model |", "|---|---:|"]
    if compared:
        interval = f"{compared['confidence']:.0%} interval"
        head = [
            f"| | this model | {table_cell(against)} | {interval} |",
            "|---|---:|---:|---:|",
        ]
    rows = [_score_row(n, metrics[n], changes.get(n), bool(compared)) for n in names]
    images = compared.get("num_images")
    note = f"Differences on the same {images:,} images." if images else f"{against}."
    return [*head, *rows, "", table_cell(note), ""]


def _score_row(name: str, value: float, change: Any, compared: bool) -> str:
    label = _NAMES.get(name) or f"IoU {table_cell(name.removeprefix(_CLASS))}"
    label = f"**{label}**" if name == "miou" else label
    cells = [label, f"{value:.4f}"]
    if compared:
        cells += [
            _signed(change, "estimate"),
            f"{_signed(change, 'low')} … {_signed(change, 'high')}" if change else "–",
        ]
    return f"| {' | '.join(cells)} |"


def _checks_table(checks: Iterable[Mapping[str, Any]]) -> list[str]:
    rows = [
        f"| {table_cell(one['name'])} | {'passed' if one['passed'] else '**failed**'} "
        f"| {table_cell(one['reason'])} |"
        for one in checks
    ]
    return ["| check | result | figures |", "|---|---|---|", *rows, ""] if rows else []


def _facts(facts: Mapping[str, str]) -> list[str]:
    if not facts:
        return []
    rows = [f"| {table_cell(name)} | {_code(value)} |" for name, value in facts.items()]
    summary = "<details><summary>What it was made of</summary>"
    return [summary, "", "| | |", "|---|---|", *rows, "", "</details>", ""]


def _block(text: str) -> list[str]:
    """The lines as they are; none of them ends the block."""
    lines = visible(text).replace("```", "` ` `").splitlines()
    return ["```", *lines, "```", ""] if lines else []


def _signed(change: Mapping[str, float | None] | None, name: str) -> str:
    value = (change or {}).get(name)
    return "–" if value is None else f"{value:+.4f}"


def _code(text: str) -> str:
    return f"`{re.sub(r'[`|]', '', ' '.join(text.split()))}`"
