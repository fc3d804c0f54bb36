"""What the doctor reports: findings, each with a code that stays the same."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

from pipeline.preflight.codes import CODES
from pipeline.preflight.kinds import ERROR, Code


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that is wrong. Neither text ever quotes a value of the document."""

    code: str  # a key of CODES
    where: str  # such as "executor exec-train-model, env DB_PASSWORD"
    what: str  # is wrong, here
    remedy: str = ""  # "": the code's own

    @property
    def kind(self) -> Code:
        return CODES[self.code]

    @property
    def is_error(self) -> bool:
        return self.kind.severity == ERROR

    def to_json(self) -> dict[str, str]:
        return {
            "code": self.code,
            "severity": self.kind.severity,
            "title": self.kind.title,
            "where": self.where,
            "what": self.what,
            "remedy": self.remedy or self.kind.remedy,
        }


@dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """Everything that was found, errors first, and what was looked at."""

    document: str
    findings: tuple[Finding, ...]
    checked: tuple[str, ...]  # subjects that were looked at, in words
    notes: tuple[str, ...] = ()  # what was learnt and is in order

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
