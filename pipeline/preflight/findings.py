"""Findings of the preflight, each with a code that keeps its meaning (codes.yaml)."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from seglib.errors import unknown
from seglib.storage.documents import read_yaml


@dataclass(frozen=True)
class Code:
    """What a code means, why it matters, and what to do."""

    severity: str  # error or warning
    title: str
    why: str
    remedy: str


@cache
def codes() -> dict[str, Code]:
    """Every code by its name, such as "P120"."""
    found = read_yaml(Path(__file__).with_name("codes.yaml"))
    return {name: Code(**texts) for name, texts in found.items()}


def require_codes(names: list[str]) -> None:
    """Raise a UsageError for a name that is no code."""
    for name in names:
        if name not in codes():
            raise unknown("code", name, codes())


def explain(name: str) -> str:
    """The text of a code; a UsageError if there is no such code."""
    require_codes([name])
    code = codes()[name]
    return (
        f"{name}, {code.severity}: {code.title}\n\n{code.why}\n\n"
        f"What to do: {code.remedy}"
    )


def table() -> str:
    """All codes as the Markdown table of docs/preflight.md."""
    rows = ["| code | severity | what | why | what to do |", "|---|---|---|---|---|"]
    for name, code in codes().items():
        cells = (name, code.severity, code.title, code.why, code.remedy)
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows) + "\n"


@dataclass(frozen=True)
class Finding:
    """One problem. Its texts quote no value that may be a credential."""

    code: str  # a key of `codes()`
    where: str  # such as "executor exec-train-model"
    what: str  # is wrong there
    own_remedy: str = ""  # "": the code's

    @property
    def kind(self) -> Code:
        return codes()[self.code]

    @property
    def is_error(self) -> bool:
        return self.kind.severity == "error"

    @property
    def remedy(self) -> str:
        return self.own_remedy or self.kind.remedy

    def to_json(self) -> dict[str, str]:
        return {
            "code": self.code,
            "severity": self.kind.severity,
            "title": self.kind.title,
            "where": self.where,
            "what": self.what,
            "remedy": self.remedy,
        }


class FoundError(Exception):
    """Ends a check with a finding."""

    def __init__(self, code: str, where: str, what: str, remedy: str = ""):
        super().__init__(what)
        self.finding = Finding(code, where, what.rstrip("."), remedy)


@dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """All findings, errors first, and the subjects of the checks."""

    document: str
    findings: tuple[Finding, ...]
    checked: tuple[str, ...]
    notes: tuple[str, ...] = ()  # facts that are in order

    @property
    def errors(self) -> int:
        return sum(finding.is_error for finding in self.findings)

    @property
    def warnings(self) -> int:
        return len(self.findings) - self.errors

    def fails(self, *, strict: bool = False) -> bool:
        return bool(self.findings) if strict else bool(self.errors)

    def to_json(self) -> dict[str, Any]:
        return {
            "document": self.document,
            "errors": self.errors,
            "warnings": self.warnings,
            "findings": [finding.to_json() for finding in self.findings],
            "checked": list(self.checked),
            "notes": list(self.notes),
        }


def in_order(
    findings: Iterable[Finding], *, ignored: Collection[str] = ()
) -> tuple[Finding, ...]:
    """Each finding once: errors first, then by code and place."""
    kept = {finding for finding in findings if finding.code not in ignored}
    return tuple(sorted(kept, key=lambda f: (not f.is_error, f.code, f.where, f.what)))


def first_places(names: list[str], most: int) -> str:
    """The first places of many, for a line.

    >>> first_places(["a", "b", "c"], 2)
    'a, b and 1 more'
    """
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")
