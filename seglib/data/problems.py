"""Problems of a dataset, and their grouping for reports."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from seglib.errors import UsageError, unknown

PROBLEM, WARNING, NOTE = "problem", "warning", "note"  # only the first is fatal

UNSCORED = (
    "A class that no mask of a split shows has no score there, and the mean leaves it "
    "out; if a model predicts it all the same, its IoU is 0, and the mean counts it."
)
_TOLD = 5  # problems of one nature

# Each kind, and how severe it is; docs/findings.md says what it means. Some are
# problems only where nothing useful would be left.
KINDS: Mapping[str, tuple[str, ...]] = {
    # listing and files
    "missing-folder": (PROBLEM,),
    "empty-split": (PROBLEM,),
    "names-differ": (PROBLEM,),
    "image-without-mask": (PROBLEM,),
    "mask-without-image": (PROBLEM,),
    "incomplete-sample": (PROBLEM,),
    "same-stem": (PROBLEM,),
    "not-an-image": (PROBLEM,),
    "unreadable-file": (PROBLEM,),
    "damaged-file": (PROBLEM,),
    "unfit-file": (PROBLEM,),
    "too-large": (PROBLEM,),
    "description": (PROBLEM,),
    "split-missing": (WARNING,),
    "folder-not-read": (WARNING,),
    # masks
    "size-mismatch": (PROBLEM,),
    "colours-for-ids": (PROBLEM,),
    "ids-out-of-range": (PROBLEM,),
    "too-few-classes": (PROBLEM,),
    "classes-inferred": (PROBLEM, NOTE),
    "anti-aliased-mask": (WARNING,),
    "lossy-mask": (WARNING,),
    "stretched-ids": (WARNING,),
    "alpha-mask": (WARNING,),
    "palettes-differ": (WARNING,),
    "palette-masks": (NOTE,),
    "all-ignored": (WARNING,),
    "one-class": (WARNING,),
    # images
    "sixteen-bits": (PROBLEM, WARNING),
    "exif-rotation": (WARNING,),
    # pairs and splits
    "duplicate": (WARNING,),
    "near-duplicate": (NOTE,),
    "leakage": (WARNING,),
    "near-leakage": (WARNING,),
    "sequence-leakage": (WARNING,),
    "class-ignored": (WARNING,),
    "class-absent": (WARNING,),
    "class-not-in-train": (WARNING,),
    "class-not-scored": (NOTE,),
    "class-drift": (NOTE,),
    "brightness-drift": (NOTE,),
    "suspicious-label": (NOTE,),
    "few-objects": (NOTE,),
    "specks": (NOTE,),
    "thin-objects": (NOTE,),
}
SEVERITIES = (PROBLEM, WARNING, NOTE)
IGNORE = "ignore"


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


def check_kind(kind: str, wanted: str) -> None:
    """Check that findings of a kind may be given another severity, or be ignored.

    Raises:
        UsageError: there is no such kind, or it would leave a dataset that cannot be
            trained on.
    """
    if kind not in KINDS:
        raise unknown("kind of finding", kind, KINDS)
    if PROBLEM in KINDS[kind] and wanted != PROBLEM:
        raise UsageError(
            f"`{kind}` is a problem, without whose remedy nothing can be trained: it "
            f"cannot become `{wanted}`. See `seglib fix`, or remove the pair."
        )


@dataclass
class Group:
    """Problems of one kind and remedy: their number, and the first of them."""

    count: int = 0
    first: list[Problem] = field(default_factory=list)


def group(problems: Iterable[Problem], at_most: int) -> list[Group]:
    """Problems grouped by kind and remedy, the largest groups first.

    Args:
        problems: sorted; each is looked at once.
        at_most: problems of a group that are kept.
    """
    groups: dict[tuple[str, str], Group] = defaultdict(Group)
    for problem in problems:
        found = groups[problem.kind, problem.remedy]
        found.count += 1
        if found.count <= at_most:
            found.first.append(problem)
    ordered = (found for _, found in sorted(groups.items()))
    return sorted(ordered, key=lambda found: found.count, reverse=True)


def relative_path(path: Path, root: Path) -> str:
    """The path inside the dataset, posix; the root itself is `.`."""
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)


def some_of_each(problems: Iterable[Problem]) -> list[str]:
    """Lines for a few problems of each kind, and the number of the others."""
    lines: list[str] = []
    for found in group(problems, _TOLD):
        lines += map(str, found.first)
        if found.count > _TOLD:
            lines.append(f"… and {found.count - _TOLD} more with this remedy.")
    return lines
