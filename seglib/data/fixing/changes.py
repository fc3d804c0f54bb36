"""A change that fixing makes to a file of a dataset."""

from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Change:
    """What was done to one file, and why."""

    file: str  # in the new dataset, posix; "" if it was left out
    source: str  # in the old one
    kind: str  # of the finding, see docs/data-format.md
    told: str
