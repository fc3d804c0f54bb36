"""Comparison of runs: settings that differ, scores, durations."""

import csv
import io
import json
import math
import re
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from seglib.plain_text import table_cell
from seglib.tracking.queries import RunFacts

_CURVES = ("loss", "learning_rate", "epoch_duration_s", "train_", "val_")
_CODE = ("git_commit", "image", "code_version")
_DATA = ("data_md5", "data_remote")
_END = ("verdict", "reasons", "promotion", "failed_step", "failure")
_INSIDE = re.compile(r"^(iou/|duration_s/|step\.)")

Value = float | str | None


@dataclass(frozen=True)
class Line:
    """One row of the table: a setting, a score or a duration of all runs."""

    section: str
    name: str
    values: tuple[Value, ...]  # one for each run; None: it has none

    @property
    def differences(self) -> tuple[float | None, ...]:
        """Of numbers, the value minus the first run's; else None."""
        first, *rest = self.values
        return (None, *(_difference(first, value) for value in rest))


def compare(rows: Sequence[RunFacts]) -> list[Line]:
    """The lines of a comparison; differences are to the first run.

    Settings and data that are the same in all runs are left out.
    """
    names = _union(row.parameters for row in rows)
    settings = _lines("setting", names, rows, lambda row, n: row.parameters.get(n))
    metrics = _union(row.metrics for row in rows)
    scores = [n for n in metrics if "/" not in n and not n.startswith(_CURVES)]
    classes = [n for n in metrics if n.startswith("iou/")]
    durations = [n for n in metrics if n.startswith("duration_s/")]
    steps = [n for n in _union(row.tags for row in rows) if n.startswith("step.")]

    def metric(row: RunFacts, name: str) -> Value:
        return row.metrics.get(name)

    def tag(row: RunFacts, name: str) -> Value:
        return row.tags.get(name)

    return [
        *_lines("run", ["started", "status", "duration_s"], rows, _fact),
        *_lines("data", _DATA, rows, tag),
        *_lines("code", _CODE, rows, tag),
        *(line for line in settings if len(set(line.values)) > 1),
        *_lines("score", scores, rows, metric),
        *_lines("IoU", classes, rows, metric),
        *_lines("step", steps, rows, tag),
        *_lines("duration", durations, rows, metric),
        *_lines("end", _END, rows, tag),
    ]


def to_title(line: Line) -> str:
    """Section and name of a line, for a table."""
    unit = " (s)" if line.section == "duration" else ""
    return f"{line.section}: {_INSIDE.sub('', line.name)}{unit}"


def to_cells(line: Line) -> list[str]:
    """Values of a line, for a table: scores with their difference."""
    cells = []
    for value, difference in zip(line.values, line.differences, strict=True):
        text = _text(value)
        if difference is not None and line.section in ("score", "IoU"):
            text += f" ({difference:+.4f})"
        cells.append(text)
    return cells


def to_markdown(rows: Sequence[RunFacts], lines: Iterable[Line]) -> str:
    """A table for a pull request."""
    head = ["", *(table_cell(row.name) for row in rows)]
    body = [head, ["---"] * len(head)]
    body += [[*map(table_cell, (to_title(line), *to_cells(line)))] for line in lines]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in body)


def to_csv(rows: Sequence[RunFacts], lines: Iterable[Line]) -> str:
    """A column of values for each run, and of differences for each but the first."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    names = [row.name for row in rows]
    writer.writerow(
        ["section", "name", *names, *(f"{n} - {names[0]}" for n in names[1:])]
    )
    for line in lines:
        rest = line.differences[1:]
        writer.writerow([line.section, line.name, *line.values, *rest])
    return file.getvalue()


def to_json(rows: Sequence[RunFacts], lines: Iterable[Line]) -> str:
    """The whole comparison; null where a run has no such value."""
    runs = [{"name": row.name, "mlflow_run_id": row.id} for row in rows]
    table: list[dict[str, Any]] = []
    for line in lines:
        entry = {"section": line.section, "name": line.name, "values": line.values}
        table.append({**entry, "differences": line.differences})
    return json.dumps({"runs": runs, "lines": table}, indent=1) + "\n"


def _lines(
    section: str,
    names: Iterable[str],
    rows: Sequence[RunFacts],
    value: Callable[[RunFacts, str], Value],
) -> list[Line]:
    """The lines that at least one run has a value for."""
    lines = [Line(section, n, tuple(value(row, n) for row in rows)) for n in names]
    return [line for line in lines if any(v is not None for v in line.values)]


def _fact(row: RunFacts, name: str) -> Value:
    if name == "started":
        moment = time.localtime(row.start_ms / 1000)
        return time.strftime("%Y-%m-%d %H:%M:%S", moment)
    return row.status if name == "status" else row.duration_s


def _union(names: Iterable[Iterable[str]]) -> list[str]:
    return list(dict.fromkeys(name for some in names for name in sorted(some)))


def _difference(first: Value, value: Value) -> float | None:
    if isinstance(first, float) and isinstance(value, float):
        return value - first
    return None


def _text(value: Value) -> str:
    if value is None:
        return "–"
    if isinstance(value, str):
        return value
    return f"{value:.4g}" if math.fabs(value) >= 10 else f"{value:.4f}"
