"""Findings of the preflight, each with a code that keeps its meaning."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

from pipeline.preflight.codes import ERROR, Code, codes


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
        return self.kind.severity == ERROR

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
        self.finding = Finding(code, where, what, remedy)


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
