"""The record of a fix."""

from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Fix:
    """What was done to one file, and why."""

    file: str  # in the new dataset, posix; "" if it was left out
    source: str  # in the old one
    kind: str  # of the finding, see docs/findings.md
    told: str
