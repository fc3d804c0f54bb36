"""What the differences of classes are, in words and cells, for any medium."""

from dataclasses import dataclass

from seglib.data.versions.changes import ClassChange, ClassDiff, SplitChange, SplitSide

HEAD = ("class", "before", "after", "points", "pixels", "masks with it")
_LEAST_POINTS = 0.005  # what rounds to 0.01; below, a share is as before


@dataclass(frozen=True)
class SplitTable:
    """A split, told: a title, a row under `HEAD` for what changed, and the rest."""

    title: str  # `train: 80 → 96 masks`
    rows: tuple[tuple[str, ...], ...]
    rest: str  # "" where the rows are all there is to tell


def summary(classes: ClassDiff) -> str:
    """Of how many masks the classes are known."""
    (old, new), (old_known, new_known) = classes.masks, classes.known
    if not old_known and not new_known:
        return (
            f"class shares: known for none of the masks, {old:,} before and {new:,} "
            "after; `seglib data count` counts those of a version"
        )
    if (old_known, new_known) == (old, new):
        return f"class shares: known for all masks, {old:,} before and {new:,} after"
    return (
        f"class shares: known for {old_known:,} of {old:,} masks before and "
        f"{new_known:,} of {new:,} after; ~ marks shares of a part, and "
        "`--count changed` or `--count all` counts the rest"
    )


def tables(classes: ClassDiff) -> list[SplitTable]:
    """A table for each split of which something is known."""
    return [
        _table(split) for split in classes.splits if split.old.known or split.new.known
    ]


def _table(split: SplitChange) -> SplitTable:
    old, new = split.old, split.new
    title = f"{split.split}: {_change(old.masks, new.masks)} masks"
    if not split.is_known:
        title += f", of which {_change(old.known, new.known)} known"
    seen = [c for c in split.classes if c.old.pixels or c.new.pixels]
    rows = [_row(c, split) for c in seen if _differs(c)]
    same = len(seen) - len(rows)
    rest = f"{same:,} other class{'es' * (same > 1)} as before" if same else ""
    if _differs_in_ignored(old, new):
        rows.append(_ignored_row(split))
    return SplitTable(title, tuple(rows), rest if rows else "as before")


def _row(change: ClassChange, split: SplitChange) -> tuple[str, ...]:
    old, new = change.old, change.new
    points = "" if change.points is None else f"{change.points:+.2f}"
    pixels = f"{new.pixels - old.pixels:+,}" if split.pixels_exact else ""
    masks = _change(old.masks, new.masks)
    shares = _share(split.old, old.share), _share(split.new, new.share)
    return change.name, *shares, change.change or points, pixels, masks


def _ignored_row(split: SplitChange) -> tuple[str, ...]:
    """Of all pixels; the shares of classes are of those that are not ignored."""
    old, new = _ignored(split.old), _ignored(split.new)
    points = f"{100 * (new - old):+.2f}" if split.is_known else ""
    shares = _share(split.old, old), _share(split.new, new)
    return "(ignored)", *shares, points, "", ""


def _share(side: SplitSide, share: float | None) -> str:
    """A share, with `~` if it is of a part of the masks."""
    if share is None:
        return "–"
    return _percent(share) if side.known == side.masks else f"~{_percent(share)}"


def _differs(change: ClassChange) -> bool:
    if change.change or change.points is None:
        return True
    return abs(change.points) >= _LEAST_POINTS


def _differs_in_ignored(old: SplitSide, new: SplitSide) -> bool:
    if not old.pixels or not new.pixels:
        return False
    return 100 * abs(_ignored(new) - _ignored(old)) >= _LEAST_POINTS


def _ignored(side: SplitSide) -> float:
    return side.ignored_pixels / side.pixels


def _percent(share: float) -> str:
    return "< 0.01 %" if 0 < share < 0.00005 else f"{share:.2%}".replace("%", " %")


def _change(old: int, new: int) -> str:
    return f"{old:,} → {new:,}" if old != new else f"{new:,}"
