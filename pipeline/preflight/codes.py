"""The codes of all findings, from codes.yaml."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from seglib.errors import unknown
from seglib.storage.documents import read_yaml

ERROR, WARNING = "error", "warning"


@dataclass(frozen=True)
class Code:
    """What a code means, why it matters, and what to do."""

    severity: str  # ERROR or WARNING
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
    """The text of a code.

    Raises:
        UsageError: there is no such code.
    """
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
        rows.append("| " + " | ".join(cells) + " |")
    return "\n".join(rows) + "\n"
