"""The difference of two versions as text for a terminal and as Markdown.

Names of classes and files come from whoever made a pull request. Markdown shows them as
code, so that they can neither mention nor link anybody, nor end a table.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from rich.filesize import decimal

from seglib.data.versions.class_changes import (
    ClassChange,
    ClassDiff,
    SplitChange,
    SplitSide,
)
from seglib.data.versions.comparing import VersionDiff
from seglib.data.versions.sample_diff import DatasetDiff

HEAD = ("class", "before", "after", "points", "pixels", "masks with it")
_BREAKS_CODE = re.compile(r"[`\s]+")
_LEAST_POINTS = 0.005  # what rounds to 0.01; a smaller change is none
_SAMPLES = 20  # shown of each kind
_CLASSES = 12  # shown of a split; the others are folded away
_FOLDED = 48  # of the others; a comment holds 65,536 characters
_NOTES = 5


@dataclass(frozen=True)
class SplitTable:
    """A split: a title, a row under `HEAD` for each change, and a closing line."""

    title: str  # `train: 80 → 96 masks`
    rows: tuple[tuple[str, ...], ...]
    rest: str  # "" if the rows say all


def to_text(found: DatasetDiff) -> str:
    """The samples and bytes that changed, in a few lines for a terminal."""
    if found.is_empty:
        return f"{found.old_md5}: no difference"
    lines = [f"{found.old_md5} → {found.new_md5}"]
    lines += [f"  {count:6,} {kind}" for kind, count in _counts(found) if count]
    return "\n".join([*lines, f"  {_bytes(found)}"])


def to_markdown(found: VersionDiff) -> str:
    """Samples, bytes, and the classes whose share changed, by split."""
    samples = found.samples
    if samples.is_empty:
        return f"**Dataset:** no difference (`{samples.old_md5}`)\n"
    lines = [
        f"**Dataset:** `{samples.old_md5}` → `{samples.new_md5}`",
        "",
        "| | samples |",
        "|---|---:|",
        *(f"| {kind} | {count:,} |" for kind, count in _counts(samples)),
        "",
        f"{_bytes(samples)}.",
    ]
    for title, group in (
        ("added", samples.added),
        ("removed", samples.removed),
        ("masks changed", samples.changed_masks),
        ("images changed", samples.changed_images),
    ):
        lines += _folded_list(title, [f"{s.split}/{s.stem}" for s in group])
    lines += _folded_list("other files", samples.other_files)
    if found.classes:
        lines += _classes(found.classes)
    return "\n".join(lines) + "\n"


def summary(classes: ClassDiff) -> str:
    """How many masks the shares of classes are from, or why there are none."""
    old, new = classes.masks
    if not any(classes.uncounted):
        return f"class shares: of all masks, {old:,} before and {new:,} after"
    before, after = classes.uncounted
    return (
        f"class shares: unknown, because {before:,} of {old:,} masks before and "
        f"{after:,} of {new:,} after are not counted; `seglib data count` counts those "
        "of a version, `seglib data diff --count` those of both"
    )


def tables(classes: ClassDiff) -> list[SplitTable]:
    """A table for each split."""
    return [_table(split) for split in classes.splits]


def _counts(found: DatasetDiff) -> list[tuple[str, int]]:
    return [
        ("samples added", len(found.added)),
        ("samples removed", len(found.removed)),
        ("samples moved", len(found.moved)),
        ("masks changed", len(found.changed_masks)),
        ("images changed", len(found.changed_images)),
        ("other files", len(found.other_files)),
    ]


def _bytes(found: DatasetDiff) -> str:
    new, gone = (
        "unknown size" if count is None else decimal(count)
        for count in (found.bytes_added, found.bytes_removed)
    )
    return f"{new} new, {gone} gone"


def _table(split: SplitChange) -> SplitTable:
    seen = [c for c in split.classes if c.old.pixels or c.new.pixels]
    rows = [_row(change) for change in seen if _differs(change)]
    same = len(seen) - len(rows)
    rest = f"{same:,} other class{'es' * (same > 1)} as before" if same else ""
    rows += _ignored_row(split.old, split.new)
    title = f"{split.split}: {_change(split.old.masks, split.new.masks)} masks"
    return SplitTable(title, tuple(rows), rest if rows else "as before")


def _row(change: ClassChange) -> tuple[str, ...]:
    old, new = change.old, change.new
    points = "" if change.points is None else f"{change.points:+.2f}"
    return (
        change.name,
        _percent(old.share),
        _percent(new.share),
        change.change or points,
        f"{new.pixels - old.pixels:+,}",
        _change(old.masks, new.masks),
    )


def _ignored_row(old: SplitSide, new: SplitSide) -> Iterator[tuple[str, ...]]:
    """The share of ignored pixels among all; classes have shares of the others."""
    if old.pixels and new.pixels:
        before, after = old.ignored_pixels / old.pixels, new.ignored_pixels / new.pixels
        points = 100 * (after - before)
        if abs(points) >= _LEAST_POINTS:
            shares = _percent(before), _percent(after)
            yield "(ignored)", *shares, f"{points:+.2f}", "", ""


def _differs(change: ClassChange) -> bool:
    if change.change or change.points is None:
        return True
    return abs(change.points) >= _LEAST_POINTS


def _percent(share: float | None) -> str:
    if share is None:
        return "–"
    return "< 0.01 %" if 0 < share < 0.00005 else f"{share:.2%}".replace("%", " %")


def _change(old: int, new: int) -> str:
    return f"{old:,} → {new:,}" if old != new else f"{new:,}"


def _classes(classes: ClassDiff) -> Iterator[str]:
    text = summary(classes)
    yield from ("", text[0].upper() + text[1:] + ".")
    for table in tables(classes):
        if not table.rows:
            yield from ("", f"**{table.title}:** {table.rest}.")
            continue
        yield from ("", f"**{table.title}**", "", *_lines(table.rows[:_CLASSES]))
        if others := table.rows[_CLASSES:]:
            yield from ("", f"<details><summary>{len(others):,} more</summary>", "")
            yield from _lines(others[:_FOLDED])
            if len(others) > _FOLDED:
                yield from ("", f"… and {len(others) - _FOLDED:,} more")
            yield from ("", "</details>")
        if table.rest:
            yield from ("", f"{table.rest}.")
    for note in classes.notes[:_NOTES]:
        yield from ("", f"- {_as_code(note, longest=400)}")
    if len(classes.notes) > _NOTES:
        yield from ("", f"- … and {len(classes.notes) - _NOTES:,} more")


def _lines(rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    yield _line(HEAD)
    yield _line(("---", *("---:" for _ in HEAD[1:])))
    for name, *cells in rows:
        yield _line((_as_code(name).replace("|", "\\|"), *cells))


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _folded_list(title: str, names: Iterable[str]) -> list[str]:
    names = list(names)
    if not names:
        return []
    more = len(names) - _SAMPLES
    return [
        "",
        f"<details><summary>{title}: {len(names):,}</summary>",
        "",
        *(f"- {_as_code(name)}" for name in names[:_SAMPLES]),
        *([f"- … and {more:,} more"] if more > 0 else []),
        "",
        "</details>",
    ]


def _as_code(text: str, *, longest: int = 100) -> str:
    """Markdown that shows a text as it is, on one line, cut if it is too long."""
    line = _BREAKS_CODE.sub(" ", text)
    return f"`{line if len(line) <= longest else line[: longest - 1] + '…'}`"
