"""The verdict of the gate on the evaluation page, which was written before it."""

from collections.abc import Mapping
from urllib.parse import urlsplit

from seglib.evaluation.decision import Decision
from seglib.report.pages import render

REPORT = "report.html"
_LONGEST = 44  # characters
UNDECIDED = "<!-- the gate's verdict -->"  # where it goes


def with_verdict(
    page: str, decision: Decision, *, links: Mapping[str, str] | None = None
) -> str:
    """The page of `evaluation_page` with the verdict of the gate, if it has none.

    Args:
        links: to the run and what it gave: name -> address, or text.
    """
    shown = render(
        "verdict.html", title="", decision=decision, links=fact_rows(links or {})
    )
    return page.replace(UNDECIDED, shown, 1)


def fact_rows(facts: Mapping[str, str]) -> list[dict[str, str]]:
    """Facts as the templates show them; addresses of pages become links."""
    return [
        {"name": name, "text": _shown(text), "href": text if _is_address(text) else ""}
        for name, text in facts.items()
        if text
    ]


def _is_address(text: str) -> bool:
    return urlsplit(text).scheme in ("http", "https", "file")


def _shown(text: str) -> str:
    """The name of a file; an address without its scheme, and its middle if long."""
    scheme, _, short = text.partition("://")
    if not _is_address(text):
        return text
    if scheme == "file":
        return short.rpartition("/")[2]
    return short if len(short) <= _LONGEST else f"{short[:20]}…{short[-20:]}"
