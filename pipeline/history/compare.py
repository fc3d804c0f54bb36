"""Comparison of runs: settings that differ, scores, durations."""

import csv
import io
import json
import math
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass

from seglib.plain_text import table_cell
from seglib.tracking.queries import RunFacts

_TIME = "%Y-%m-%d %H:%M:%S"
_CURVES = ("loss", "learning_rate", "epoch_duration_s", "train_", "val_")  # of before
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
        return (
            None,
            *(
                value - first
                if isinstance(first, float) and isinstance(value, float)
                else None
                for value in rest
            ),
        )


def compare(rows: Sequence[RunFacts]) -> list[Line]:
    """The lines of a comparison; differences are to the first run.

    Settings and data that are the same in all runs are left out.
    """
    facts = [
        {
            "started": time.strftime(_TIME, time.localtime(row.start_ms / 1000)),
            "status": row.status,
            "duration_s": row.duration_s,
        }
        for row in rows
    ]
    parameters = [row.parameters for row in rows]
    metrics, tags = [row.metrics for row in rows], [row.tags for row in rows]
    measured = _union(metrics)
    scores = [n for n in measured if "/" not in n and not n.startswith(_CURVES)]
    settings = _lines("setting", _union(parameters), parameters)
    return [
        *_lines("run", ("started", "status", "duration_s"), facts),
        *_lines("data", _DATA, tags),
        *_lines("code", _CODE, tags),
        *(line for line in settings if len(set(line.values)) > 1),
        *_lines("score", scores, metrics),
        *_lines("IoU", [n for n in measured if n.startswith("iou/")], metrics),
        *_lines("step", [n for n in _union(tags) if n.startswith("step.")], tags),
        *_lines(
            "duration", [n for n in measured if n.startswith("duration_s/")], metrics
        ),
        *_lines("end", _END, tags),
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
    table = [asdict(line) | {"differences": line.differences} for line in lines]
    return json.dumps({"runs": runs, "lines": table}, indent=1) + "\n"


def _lines(
    section: str, names: Iterable[str], runs: Sequence[Mapping[str, Value]]
) -> list[Line]:
    """The lines that at least one run has a value for."""
    lines = [
        Line(section, name, tuple(run.get(name) for run in runs)) for name in names
    ]
    return [line for line in lines if any(v is not None for v in line.values)]


def _union(names: Iterable[Iterable[str]]) -> list[str]:
    return list(dict.fromkeys(name for some in names for name in sorted(some)))


def _text(value: Value) -> str:
    if value is None:
        return "–"
    if isinstance(value, str):
        return value
    return f"{value:.4g}" if math.fabs(value) >= 10 else f"{value:.4f}"
