"""The gate: what a model must reach to be exported, and to replace the champion."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seglib.config import GateConfig
from seglib.data.manifest import open_dataset
from seglib.errors import SegError, in_a_line
from seglib.evaluation.bootstrap import Comparison, compare
from seglib.evaluation.counts import COUNTS, ImageCounts, read_counts
from seglib.evaluation.decision import Check, Decision
from seglib.storage.documents import read_json_object
from seglib.storage.files import model_digest


@dataclass(frozen=True)
class Champion:
    """The model that serves now."""

    title: str  # as a person calls it: "version 3"
    digest: str = ""  # of its model
    fetch: Callable[[], Path] | None = None  # brings its artifact
    problem: str = ""  # why nothing can be said of it


def gate(
    model: Path,
    evaluation: Path,
    *,
    manifest: Path,
    champion: Champion | None = None,
    barred: str = "",
    config: GateConfig | None = None,
) -> Decision:
    """Compare a model with fixed limits and, if there is one, with the champion.

    The champion is scored again, on the images that the model was evaluated on.

    Args:
        model: the artifact that may become the champion.
        evaluation: what `evaluate` wrote for it.
        manifest: of the dataset that it was evaluated on; its images are read only to
            score the champion, and to measure the latency.
        champion: None where there is none yet: the fixed limits decide alone.
        barred: why this very model must not be promoted again; empty: it may.

    Raises:
        SegError: a folder is not what it should be, or images cannot be read.
    """
    config = config or GateConfig()
    metrics = _read_metrics(evaluation / "metrics.json")
    split = metrics["split"]
    checks = _fixed_limits(metrics, model, config)
    if config.max_latency_ms:
        checks.append(_latency(model, manifest, split, config))
    if barred:
        checks.append(Check("rolled_back", False, barred))
    compared = None
    if champion and champion.digest == model_digest(model):
        same = f"this is the champion, {champion.title}"
        checks.append(Check("champion", True, same))
    elif champion:
        mine, images = evaluation / COUNTS, (manifest, split)
        problem, compared = _contest(model, champion, mine, images, config)
        if problem:
            checks.append(Check("champion", False, problem))
        if compared:
            checks.append(_better(compared, champion, config))
            checks.append(_no_class_lost(compared, metrics["class_names"], config))
    return Decision(
        tuple(checks),
        champion=champion.title if champion else "",
        comparison=compared,
        class_names=tuple(metrics["class_names"]),
    )


def _contest(
    model: Path,
    champion: Champion,
    mine: Path,
    images: tuple[Path, str],
    config: GateConfig,
) -> tuple[str, Comparison | None]:
    """The reason why the two cannot be compared, or the comparison."""
    if champion.fetch is None:
        return champion.problem, None
    try:
        other = champion.fetch()
    except Exception as error:  # noqa: BLE001 (a store's own kinds)
        return f"{champion.title} cannot be fetched ({in_a_line(error)})", None
    if problem := _unlike(model, other):
        return f"{champion.title} {problem}", None
    compared = compare(
        read_counts(mine),
        _count(other, *images),
        confidence=config.confidence,
        block=config.bootstrap_block,
    )
    return "", compared


def _read_metrics(path: Path) -> dict[str, Any]:
    remedy = "It is not the scores of an evaluation. Evaluate again."
    metrics = read_json_object(path, remedy=remedy)
    expected = {"split", "miou", "baseline_miou", "class_names"}
    if missing := expected - metrics.keys():
        lacking = ", ".join(sorted(missing))
        raise SegError(f"{path}: not the scores of an evaluation: lacks {lacking}.")
    return metrics


def _fixed_limits(
    metrics: dict[str, Any], model: Path, config: GateConfig
) -> list[Check]:
    miou = float("nan") if metrics["miou"] is None else metrics["miou"]
    least, baseline = config.min_miou, metrics["baseline_miou"]
    text = f"mIoU {miou:.4f}, at least {least:.4f} wanted"
    checks = [Check("min_miou", miou >= least, text)]
    text = f"mIoU {miou:.4f}, above the majority class's {baseline:.4f} wanted"
    checks.append(Check("baseline", miou > baseline, text))
    if most := config.max_model_mb:
        megabytes = (model / "model.keras").stat().st_size / 1e6
        text = f"network of {megabytes:.1f} MB, at most {most:g} wanted"
        checks.append(Check("max_model_mb", megabytes <= most, text))
    return checks


def _latency(model: Path, manifest: Path, split: str, config: GateConfig) -> Check:
    from seglib.evaluation.latency import measure_latency  # late, as below
    from seglib.models.model import load_model  # it imports TensorFlow

    pairs = open_dataset(manifest, splits=(split,)).pairs(split)
    latency, size = measure_latency(load_model(model), pairs[0])
    limit, shown = config.max_latency_ms, "×".join(map(str, size))
    text = f"{latency:.0f} ms for an image of {shown}, at most {limit:g} wanted"
    return Check("max_latency_ms", latency <= limit, text)


def _unlike(model: Path, champion: Path) -> str:
    """The reason why two models cannot be compared; "" if they can."""
    from seglib.models.contract import read_contract

    mine, its = read_contract(model), read_contract(champion)
    for what in ("class_names", "ignore_index", "inputs"):
        if getattr(mine, what) != getattr(its, what):
            return (
                f"has other {what.replace('_', ' ')}: {_shown(getattr(its, what))} "
                f"instead of {_shown(getattr(mine, what))}. For another task, name "
                "another registered_model"
            )
    return ""


def _shown(value: Any) -> str:
    text = ", ".join(value) if isinstance(value, tuple) else str(value)
    return text if len(text) <= 100 else f"{text[:97]}…"


def _count(model: Path, manifest: Path, split: str) -> ImageCounts:
    from seglib.evaluation.scoring import score_pairs
    from seglib.models.model import load_model

    pairs = open_dataset(manifest, splits=(split,)).pairs(split)
    scored = score_pairs(load_model(model), pairs)
    return ImageCounts.of({image.stem: image.confusion for image in scored})


def _better(compared: Comparison, champion: Champion, config: GateConfig) -> Check:
    change = compared.miou
    text = (
        f"mIoU {change.estimate:+.4f} [{change.low:+.4f}, {change.high:+.4f}] against "
        f"the champion, {champion.title} ({compared.champion_miou:.4f}); "
        f"above {config.min_delta:+.4f} wanted, {compared.confidence:.0%} interval"
    )
    return Check("min_delta", compared.is_better(config.min_delta), text)


def _no_class_lost(
    compared: Comparison, names: Sequence[str], config: GateConfig
) -> Check:
    limit = config.max_class_drop
    lost = [
        f"{names[index]} {change.estimate:+.4f} [{change.low:+.4f}, {change.high:+.4f}]"
        for index in compared.lost_classes(limit)
        for change in (compared.class_iou[index],)
    ]
    changes = [change.estimate for change in compared.class_iou]
    worst = min((one for one in changes if not math.isnan(one)), default=0.0)
    found = ", ".join(lost) if lost else f"worst change of a class's IoU {worst:+.4f}"
    text = f"{found}; no fall by more than {limit:.4f} wanted"
    return Check("max_class_drop", not lost, text)
