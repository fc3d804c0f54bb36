"""Evaluations of several models on the same images, side by side."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from seglib.arguments import checked
from seglib.errors import SegError, UsageError
from seglib.evaluation.counts import COUNTS, read_counts
from seglib.evaluation.side_by_side import SideBySide, side_by_side
from seglib.report.comparison_page import comparison_page
from seglib.storage.atomic_write import write_bytes, write_text
from seglib.storage.documents import read_json_object

_REMEDY = "It is not an evaluation's folder. Give what `seglib evaluate` wrote."


@checked
def compare_evaluations(
    folders: Sequence[str | Path], out: str | Path | None = None, *, block: int = 1
) -> SideBySide:
    """Compare evaluations by the paired bootstrap; the first is the reference.

    Args:
        folders: of two or more evaluations of one dataset's split.
        out: folder for comparison.html and comparison.json.
        block: images in a row, by name, that are drawn together: such as the frames of
            a sequence, which resemble each other.

    Raises:
        UsageError: fewer than two folders, or a block below 1.
        SegError: a folder is no evaluation, or they are of other images or classes.
    """
    paths = list(dict.fromkeys(Path(folder) for folder in folders))
    if len(paths) < 2:
        raise UsageError(
            "Expected two or more folders of evaluations. Received: "
            f"{', '.join(map(str, paths)) or 'none'}."
        )
    metrics = [read_json_object(p / "metrics.json", remedy=_REMEDY) for p in paths]
    for path, one in zip(paths, metrics, strict=True):
        _check_alike(path, one, paths[0], metrics[0])
    names = _names(paths)
    counts = {n: read_counts(p / COUNTS) for n, p in zip(names, paths, strict=True)}
    found = side_by_side(counts, metrics[0]["class_names"], block=block)
    if out:
        text = json.dumps(found.to_json(), indent=2, ensure_ascii=False) + "\n"
        page = comparison_page(found, split=metrics[0]["split"])
        write_text(Path(out) / "comparison.html", page)
        write_bytes(Path(out) / "comparison.json", text.encode())
    return found


def _check_alike(
    path: Path, one: dict[str, Any], first_path: Path, first: dict[str, Any]
) -> None:
    for key in ("class_names", "split", "data_md5"):
        if one.get(key) != first.get(key):
            raise SegError(
                f"{path} and {first_path} cannot be compared: `{key}` in metrics.json "
                f"is {one.get(key)!r} and {first.get(key)!r}. Evaluate both models on "
                "one split of one version of the dataset."
            )


def _names(paths: list[Path]) -> list[str]:
    """The shortest ends of the paths that differ from one another."""
    parts = [path.resolve().parts for path in paths]
    for length in range(1, max(map(len, parts)) + 1):
        names = ["/".join(part[-length:]) for part in parts]
        if len(set(names)) == len(names):
            break
    return names
