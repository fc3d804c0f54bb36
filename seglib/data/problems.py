"""Problems of a dataset, and their grouping for reports."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

PROBLEM, WARNING, NOTE = "problem", "warning", "note"  # only the first is fatal

_TOLD = 5  # problems of one nature


@dataclass(frozen=True, order=True)
class Problem:
    """A problem, warning or note about a file, and its remedy."""

    path: Path
    reason: str
    remedy: str
    kind: str = ""  # a stable short name, the same for all problems of one nature
    severity: str = PROBLEM

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}. {self.remedy}".rstrip()


def group(problems: Iterable[Problem]) -> list[list[Problem]]:
    """Problems grouped by kind and remedy, the largest groups first."""

    def nature(problem: Problem) -> tuple[str, str]:
        return problem.kind, problem.remedy

    ordered = sorted(problems, key=lambda problem: (*nature(problem), problem.path))
    groups = [list(found) for _, found in groupby(ordered, key=nature)]
    return sorted(groups, key=len, reverse=True)


def relative_path(path: Path, root: Path) -> str:
    """The path inside the dataset, posix; the root itself is `.`."""
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)


def some_of_each(problems: Iterable[Problem]) -> list[str]:
    """Lines for a few problems of each kind, and the number of the others."""
    lines: list[str] = []
    for found in group(problems):
        lines += map(str, found[:_TOLD])
        if len(found) > _TOLD:
            lines.append(f"… and {len(found) - _TOLD} more with this remedy.")
    return lines
