"""Descriptions for MLflow's pages, Markdown: a run, a version, a registered model."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from seglib.plain_text import table_cell
from seglib.runtime.events import Event
from seglib.tracking.names import dataset_name

LONGEST = 4800  # characters; MLflow takes 5000 of a tag
_CHAMPION = "**Champion: "  # how our description of a registered model begins
_SCORES = {
    "miou": "**mIoU**",
    "pixel_accuracy": "pixel accuracy",
    "mean_dice": "mean Dice",
    "boundary_miou": "mIoU at boundaries",
    "baseline_miou": "mIoU of the most frequent class",
}
_SHOWN_CLASSES = 30  # in the order of their IoU, the lowest first


def describe_model(event: Event) -> str:
    """A model that the gate has judged: verdict and reasons, data, scores, classes.

    Args:
        event: of the kind "decided": it names the folders.
    """
    scores = _read(event["evaluation"], "metrics.json")
    manifest = _read(event["manifest"], "manifest.json")
    contract = _read(event["model"], "contract.json")
    decision = _read(event["decision"], "decision.json")
    sizes = {split: len(pairs) for split, pairs in manifest["splits"].items()}
    images = ", ".join(f"{count:,} {split}" for split, count in sizes.items())
    height, width = contract["image_size"]
    champion = decision.get("champion")
    rival = f"against the champion, {champion}" if champion else "no champion yet"
    score = f"mIoU **{_number(scores['miou'])}** on the {scores['split']} split"
    network = f"{contract['architecture']} on {contract['encoder']}"
    lines = [
        f"**{decision['verdict']}**: {score}, {rival}.",
        "",
        f"- Model: {network}, {height}×{width}, {contract['num_classes']} classes",
        f"- Data: {dataset_name(manifest)} `{manifest['data_md5']}`, {images} images",
        "",
        f"Why {'promoted' if decision['verdict'] == 'promote' else 'held'}:",
        "",
        *(
            f"- {'✓' if check['passed'] else '✗'} {table_cell(check['reason'])}"
            for check in decision["checks"]
        ),
        "",
        *_table(scores, decision.get("comparison") or {}),
    ]
    return _fitted(lines)


def describe_champion(title: str, of_version: str) -> str:
    """A registered model, by its champion and the champion's description."""
    return f"{_CHAMPION}{title}**\n\n{of_version}"[:LONGEST]


def is_ours(text: str) -> bool:
    """Whether a registered model's description may be replaced: nobody wrote it."""
    return not text or text.startswith(_CHAMPION)


def _table(scores: Mapping[str, Any], compared: Mapping[str, Any]) -> Iterable[str]:
    yield f"| {scores['split']} split | score |{' change |' if compared else ''}"
    yield f"|---|---:|{'---:|' if compared else ''}"
    rows = [
        (name, scores.get(key), compared.get(key))
        for key, name in _SCORES.items()
        if key in scores
    ]
    ious = sorted(scores["class_iou"].items(), key=lambda one: one[1] or 0.0)
    changes = compared.get("class_iou", {})
    rows += [
        (f"IoU {table_cell(name)}", iou, changes.get(name))
        for name, iou in ious[:_SHOWN_CLASSES]
    ]
    for name, score, change in rows:
        estimate = change["estimate"] if change else None
        told = "" if estimate is None else f"{estimate:+.4f}"
        yield f"| {name} | {_number(score)} |{f' {told} |' if compared else ''}"
    if len(ious) > _SHOWN_CLASSES:
        yield f"\nThe {_SHOWN_CLASSES} classes of the lowest IoU, of {len(ious)}."


def _number(value: float | None) -> str:
    return "absent" if value is None else f"{value:.4f}"


def _fitted(lines: Iterable[str]) -> str:
    """Whole lines, as many as MLflow takes."""
    text = ""
    for line in lines:
        if len(text) + len(line) >= LONGEST:
            return f"{text}…\n"
        text += f"{line}\n"
    return text


def _read(folder: str, name: str) -> Any:
    return json.loads((Path(folder) / name).read_text(encoding="utf-8"))
