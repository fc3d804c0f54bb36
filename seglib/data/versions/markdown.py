"""The difference of two versions as Markdown: for a comment on a pull request.

The names of classes and files come from whoever made the pull request. They are shown
as code, so that they can neither mention nor link anybody, nor end a table.
"""

from collections.abc import Iterable

from seglib.data.versions.changes import ClassDiff
from seglib.data.versions.comparing import VersionDiff
from seglib.data.versions.telling import HEAD, summary, tables
from seglib.storage.dvc import diff as diffing
from seglib.storage.dvc.diff import as_code

_SHOWN = 12  # classes of a split; the others are folded away
_FOLDED = 48  # of the others; with all that is cut, a comment takes it (65,536)
_NOTES = 5


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
        if others := table.rows[_SHOWN:]:
            yield from ("", f"<details><summary>{len(others):,} more</summary>", "")
            yield from _table(others[:_FOLDED])
            if len(others) > _FOLDED:
                yield from ("", f"… and {len(others) - _FOLDED:,} more")
            yield from ("", "</details>")
        if table.rest:
            yield from ("", f"{table.rest}.")
    for note in classes.notes[:_NOTES]:
        yield from ("", f"- {as_code(note, longest=400)}")
    if len(classes.notes) > _NOTES:
        yield from ("", f"- … and {len(classes.notes) - _NOTES:,} more")


def _table(rows: Iterable[tuple[str, ...]]) -> Iterable[str]:
    yield _line(HEAD)
    yield _line(("---", *("---:" for _ in HEAD[1:])))
    for name, *cells in rows:
        yield _line((as_code(name).replace("|", "\\|"), *cells))


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
