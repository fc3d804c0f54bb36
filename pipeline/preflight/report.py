"""A diagnosis on the terminal: problem, place and remedy."""

from itertools import groupby

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from pipeline.preflight.findings import Diagnosis, Finding

_MOST_PLACES = 5


def show(diagnosis: Diagnosis, console: Console) -> None:
    """Print all findings, grouped by code, and a summary."""
    for _, same in groupby(diagnosis.findings, key=lambda finding: finding.code):
        console.print(_block(list(same)))
        console.print()
    for note in diagnosis.notes:
        console.print(Text(f"· {note}", style="dim"))
    console.print(_summary(diagnosis))


def _block(findings: list[Finding]) -> RenderableType:
    first = findings[0]
    style = "bold red" if first.is_error else "bold yellow"
    head = (f"{first.code} {first.kind.severity}", style)
    lines = [Text.assemble(head, f": {first.kind.title}")]
    for what in dict.fromkeys(finding.what for finding in findings):
        places = [finding.where for finding in findings if finding.what == what]
        more = len(places) - _MOST_PLACES
        where = ", ".join(places[:_MOST_PLACES])
        where += f" and {more} more" if more > 0 else ""
        lines.append(Text.assemble((where, "cyan"), f": {what}"))
    for remedy in dict.fromkeys(finding.remedy for finding in findings):
        lines.append(Text.assemble(("→ ", "green"), remedy))
    return Group(
        lines[0], *(Padding(line, (0, 0, 0, 2), expand=False) for line in lines[1:])
    )


def _summary(diagnosis: Diagnosis) -> Text:
    checked = "; ".join(diagnosis.checked)
    if not diagnosis.findings:
        return Text.assemble(("Nothing found.", "bold green"), f" Checked {checked}.")
    errors = _count(diagnosis.errors, "error")
    warnings = _count(diagnosis.warnings, "warning")
    return Text(f"{errors}, {warnings}. Checked {checked}.", style="bold")


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"
