"""The difference of two versions as Markdown: for a comment on a pull request.

The names of classes and files come from whoever made the pull request. They are shown
as code, so that they can neither mention nor link anybody, nor end a table.
"""

from collections.abc import Iterable

from seglib.store import diffing
from seglib.store.diffing import as_code
from seglib.versions.changes import ClassDiff
from seglib.versions.comparing import VersionDiff
from seglib.versions.telling import HEAD, summary, tables

_SHOWN = 12  # classes of a split; the others are folded away


def to_markdown(found: VersionDiff) -> str:
    """Samples, bytes, and the classes whose share changed, by split."""
    lines = [diffing.to_markdown(found.samples).rstrip("\n")]
    if found.classes:
        lines += _classes(found.classes)
    return "\n".join(lines) + "\n"


def _classes(classes: ClassDiff) -> Iterable[str]:
    text = summary(classes)
    yield from ("", text[0].upper() + text[1:] + ".")
    for table in tables(classes):
        if not table.rows:
            yield from ("", f"**{table.title}:** {table.rest}.")
            continue
        yield from ("", f"**{table.title}**", "", *_table(table.rows[:_SHOWN]))
        if folded := table.rows[_SHOWN:]:
            count = f"{len(folded):,} more"
            yield from ("", f"<details><summary>{count}</summary>", "")
            yield from (*_table(folded), "", "</details>")
        if table.rest:
            yield from ("", f"{table.rest}.")
    for note in classes.notes:
        yield from ("", f"- {as_code(note)}")


def _table(rows: Iterable[tuple[str, ...]]) -> Iterable[str]:
    yield _line(HEAD)
    yield _line(("---", *("---:" for _ in HEAD[1:])))
    for name, *cells in rows:
        yield _line((as_code(name).replace("|", "\\|"), *cells))


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
