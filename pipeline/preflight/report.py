"""A diagnosis for a person: what, where, and what to do."""

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from pipeline.preflight.findings import Diagnosis, Finding

_MOST_PLACES = 5


def show(diagnosis: Diagnosis, console: Console) -> None:
    """Print all findings, those of one code together, and a summary."""
    for code in dict.fromkeys(finding.code for finding in diagnosis.findings):
        same = [finding for finding in diagnosis.findings if finding.code == code]
        console.print(_block(same))
        console.print()
    for note in diagnosis.notes:
        console.print(Text(f"· {note}", style="dim"))
    console.print(_summary(diagnosis))


def _block(findings: list[Finding]) -> RenderableType:
    kind = findings[0].kind
    style = "bold red" if findings[0].is_error else "bold yellow"
    head = Text.assemble(
        (f"{findings[0].code} {kind.severity}", style), f": {kind.title}"
    )
    lines: list[RenderableType] = [head]
    for places in _by_what(findings):
        shown = [finding.where for finding in places[:_MOST_PLACES]]
        more = len(places) - len(shown)
        where = ", ".join(shown) + (f" and {more} more" if more else "")
        lines.append(_line(Text.assemble((where, "cyan"), f": {places[0].what}")))
    for remedy in dict.fromkeys(finding.remedy or kind.remedy for finding in findings):
        lines.append(_line(Text.assemble(("→ ", "green"), remedy)))
    return Group(*lines)


def _by_what(findings: list[Finding]) -> list[list[Finding]]:
    groups: dict[str, list[Finding]] = {}
    for finding in findings:
        groups.setdefault(finding.what, []).append(finding)
    return list(groups.values())


def _line(text: Text) -> RenderableType:
    return Padding(text, (0, 0, 0, 2), expand=False)


def _summary(diagnosis: Diagnosis) -> Text:
    looked = "; ".join(diagnosis.checked)
    if not diagnosis.findings:
        return Text.assemble(("Nothing found.", "bold green"), f" Looked at {looked}.")
    errors = _count(diagnosis.errors, "error")
    warnings = _count(diagnosis.warnings, "warning")
    return Text(f"{errors}, {warnings}. Looked at {looked}.", style="bold")


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"
