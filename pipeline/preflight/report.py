"""A diagnosis on the terminal: problem, place and remedy."""

from itertools import groupby

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from pipeline.preflight.findings import Diagnosis, Finding, first_places

_MOST_PLACES = 5


def show(diagnosis: Diagnosis, console: Console) -> None:
    """Print all findings, grouped by code, and a summary."""
    for _, same in groupby(diagnosis.findings, key=lambda finding: finding.code):
        _show_code(list(same), console)
    for note in diagnosis.notes:
        console.print(Text(f"· {note}", style="dim"))
    checked = f" Checked {'; '.join(diagnosis.checked)}."
    if not diagnosis.findings:
        console.print(Text.assemble(("Nothing found.", "bold green"), checked))
        return
    numbers = {"error": diagnosis.errors, "warning": diagnosis.warnings}
    counts = (f"{n} {word}{'' if n == 1 else 's'}" for word, n in numbers.items())
    console.print(Text(f"{', '.join(counts)}.{checked}", style="bold"))


def _show_code(findings: list[Finding], console: Console) -> None:
    first = findings[0]
    style = "bold red" if first.is_error else "bold yellow"
    head = (f"{first.code} {first.kind.severity}", style)
    console.print(Text.assemble(head, f": {first.kind.title}"))
    lines = []
    for what in dict.fromkeys(finding.what for finding in findings):
        places = [finding.where for finding in findings if finding.what == what]
        where = (first_places(places, _MOST_PLACES), "cyan")
        lines.append(Text.assemble(where, f": {what}"))
    for remedy in dict.fromkeys(finding.remedy for finding in findings):
        lines.append(Text.assemble(("→ ", "green"), remedy))
    for line in lines:
        console.print(Padding(line, (0, 0, 0, 2), expand=False))
    console.print()
