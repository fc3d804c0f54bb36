"""The two pictures of the README: an overlay of a run, and the pipeline's graph.

python -m tools.readme_pictures runs/latest build/pipeline.yaml docs/pictures
"""

import sys
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from seglib.data.image_io import read_image, write_image
from seglib.drawing.layout import contact_sheet
from seglib.drawing.pictures import legend
from seglib.models.contract import read_contract

_BOX, _GAP, _HEIGHT, _MARGIN = 112, 84, 44, 16  # pixels
_INK, _LINE, _FILL, _DASH = "#1f2933", "#52606d", "#e6f0fa", "#8795a1"

Document = dict[str, Any]


def main() -> None:
    run, compiled, out = map(Path, sys.argv[1:])
    out.mkdir(parents=True, exist_ok=True)
    write_image(out / "overlay.png", overlays(run))
    document = next(yaml.safe_load_all(compiled.read_text(encoding="utf-8")))
    (out / "dag.svg").write_text(graph(document), encoding="utf-8")


def overlays(run: Path, count: int = 3) -> np.ndarray:
    """Predicted classes on some of the test images of a run, with their legend.

    Args:
        run: folder of a run, such as runs/latest.

    Returns:
        uint8 array (height, width, 3), RGB.
    """
    contract = read_contract(run / "model")
    paths = sorted((run / "overlays").glob("*.png"))[:count]
    tiles = [(path.stem, read_image(path)) for path in paths]
    width = sum(tile.shape[1] for _, tile in tiles)
    footer = legend(contract.class_names, contract.palette, width=width)
    return contact_sheet(tiles, columns=count, footer=footer)


def graph(document: Document) -> str:
    """Draw a compiled pipeline as SVG: its steps in a row, the exit task below.

    Args:
        document: the first document that `pipeline compile` writes.
    """
    components, tasks = document["components"], document["root"]["dag"]["tasks"]
    (exit_name,) = (n for n, t in tasks.items() if t.get("dependentTasks"))
    (body,) = (t for n, t in tasks.items() if n != exit_name)
    steps = _in_order(components[body["componentRef"]["name"]]["dag"]["tasks"])
    width = 2 * _MARGIN + len(steps) * _BOX + (len(steps) - 1) * _GAP
    parts = [_frame(width, 2 * _HEIGHT + 5 * _MARGIN)]
    top = 2 * _MARGIN
    for number, (name, task) in enumerate(steps):
        left = _MARGIN + number * (_BOX + _GAP)
        if number:
            (artifact,) = _artifacts(task, steps[number - 1][0])[:1]
            parts.append(_arrow(left - _GAP, left, top + _HEIGHT // 2, artifact))
        inner = components[task["componentRef"]["name"]].get("dag")
        if inner:  # a branch of the pipeline
            parts.append(_branch(left, top))
        parts.append(_box(left, top, *(inner["tasks"] if inner else [name])))
    below = top + _HEIGHT + 2 * _MARGIN
    whole = width - 2 * _MARGIN
    parts.append(_box(_MARGIN, below, exit_name, whole, "always, at the end"))
    return "\n".join([*parts, "</svg>", ""])


def _in_order(tasks: Document) -> list[tuple[str, Document]]:
    """The tasks, each after all that it depends on."""
    waiting, ordered = dict(tasks), []
    while waiting:
        ready = [
            name
            for name, task in waiting.items()
            if not {*task.get("dependentTasks", ())} & {*waiting}
        ]
        ordered += [(name, waiting.pop(name)) for name in sorted(ready)]
    return ordered


def _artifacts(task: Document, producer: str) -> list[str]:
    """What a task takes of another one."""
    sources = [
        one["taskOutputArtifact"]
        for one in task.get("inputs", {}).get("artifacts", {}).values()
        if "taskOutputArtifact" in one
    ]
    return [
        one["outputArtifactKey"] for one in sources if one["producerTask"] == producer
    ]


def _frame(width: int, height: int) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="13" '
        f'fill="{_INK}" text-anchor="middle">\n<title>The pipeline</title>\n'
        f'<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" '
        f'markerHeight="8" orient="auto"><path d="M0 0 8 4 0 8z" fill="{_LINE}"/>'
        f"</marker></defs>\n"
        f'<rect width="{width}" height="{height}" rx="8" fill="#ffffff"/>'
    )


def _box(left: int, top: int, name: str, width: int = _BOX, note: str = "") -> str:
    middle, line = left + width // 2, top + _HEIGHT // 2 + 5
    text = escape(name.partition("-")[0] + (f" — {note}" if note else ""))
    return (
        f'<rect x="{left}" y="{top}" width="{width}" height="{_HEIGHT}" rx="6" '
        f'fill="{_FILL}" stroke="{_LINE}"/>\n'
        f'<text x="{middle}" y="{line}">{text}</text>'
    )


def _branch(left: int, top: int) -> str:
    return (
        f'<rect x="{left - 6}" y="{top - 22}" width="{_BOX + 12}" '
        f'height="{_HEIGHT + 28}" rx="8" fill="none" stroke="{_DASH}" '
        f'stroke-dasharray="4 3"/>\n<text x="{left + _BOX // 2}" y="{top - 8}" '
        f'font-size="11">if promoted</text>'
    )


def _arrow(start: int, end: int, height: int, artifact: str) -> str:
    return (
        f'<path d="M{start} {height}H{end - 1}" stroke="{_LINE}" fill="none" '
        f'marker-end="url(#head)"/>\n<text x="{(start + end) // 2}" '
        f'y="{height - 7}" font-size="11">{escape(artifact)}</text>'
    )


if __name__ == "__main__":
    main()
