"""The codes of all findings: what each means, why it matters, what to do.

A code never changes its meaning; one that is given up is not given again.
"""

from pipeline.preflight.document_codes import DOCUMENT_CODES
from pipeline.preflight.surroundings_codes import SURROUNDINGS_CODES
from seglib.errors import unknown

CODES = {**DOCUMENT_CODES, **SURROUNDINGS_CODES}


def explain(name: str) -> str:
    """What a code means, for a person.

    Raises:
        UsageError: there is no such code.
    """
    code = CODES.get(name.upper())
    if code is None:
        raise unknown("code", name, CODES)
    return (
        f"{name.upper()}, {code.severity}: {code.title}\n\n{code.why}\n\n"
        f"What to do: {code.remedy}"
    )


def table() -> str:
    """All codes as a Markdown table, which docs/doctor.md shows."""
    rows = ["| code | severity | what | why | what to do |", "|---|---|---|---|---|"]
    for name, code in CODES.items():
        cells = (name, code.severity, code.title, code.why, code.remedy)
        rows.append("| " + " | ".join(cells).replace("\n", " ") + " |")
    return "\n".join(rows) + "\n"
