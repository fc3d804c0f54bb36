"""The page on a verified dataset: its contents, its problems, examples."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from seglib.data.dataset import Dataset
from seglib.data.image_io import read_image, read_mask
from seglib.data.manifest import Manifest, PairFacts
from seglib.data.pairs import spread
from seglib.data.problems import UNSCORED, Problem, group, relative_path
from seglib.drawing.pictures import contradiction, image_and_overlay
from seglib.evaluation.doubts import CAUTION, MaskDoubt, Review
from seglib.report.pages import NO_VALUE, inline_pictures, percent, render

_EXAMPLES = 6
_CONFUSED = 5  # pairs of classes
_SHOWN = 5  # findings of one kind before the fold
_FOLDED = 100  # behind the fold; all of them are in the manifest


def verification_page(
    dataset: Dataset,
    manifest: Manifest,
    findings: Mapping[str, Sequence[Problem]],
    objects: Mapping[str, Mapping[str, Any]],
    review: Review | None = None,
) -> str:
    """The page, as one self-contained HTML text.

    Args:
        findings: "problems", "warnings" and "notes".
        objects: of each class by split, see `describe_objects`.
        review: of the masks by a model.
    """
    examples = choose_examples(manifest.splits, dataset.num_classes)
    doubtful = [_doubtful(dataset, doubt) for doubt in (review.shown if review else ())]
    sources = inline_pictures(
        [*(_picture(dataset, pair) for _, pair in examples), *doubtful]
    )
    pixels = {split: manifest.class_pixels(split) for split in manifest.splits}
    return render(
        "verification.html",
        title="Dataset verification",
        subtitle="",
        **_summary(dataset, manifest, findings),
        **{key: _groups(dataset.root, found) for key, found in findings.items()},
        classes=_classes(dataset, manifest, pixels),
        unscored=UNSCORED if any(0 in each for each in pixels.values()) else "",
        objects=[_objects(dataset, split, found) for split, found in objects.items()],
        review=_review(dataset, review, sources[len(examples) :]) if review else None,
        pictures=[
            {
                "source": source,
                "name": f"{split} · {pair.stem}",
                "alt": f"{pair.stem}: the image, and its mask laid over it",
            }
            for (split, pair), source in zip(examples, sources, strict=False)
        ],
    )


def choose_examples(
    splits: Mapping[str, Sequence[PairFacts]],
    num_classes: int,
    *,
    count: int = _EXAMPLES,
) -> list[tuple[str, PairFacts]]:
    """Pairs that together show as many classes as possible, always the same ones."""
    rest = [(s, p, _shown_classes(p)) for s, pairs in splits.items() for p in pairs]
    missing = set(range(num_classes))
    chosen: list[tuple[str, PairFacts]] = []
    while rest and len(chosen) < count:
        best = max(range(len(rest)), key=lambda index: len(missing & rest[index][2]))
        if not missing & rest[best][2]:
            break
        split, pair, classes = rest.pop(best)
        missing -= classes
        chosen.append((split, pair))
    others = spread(rest, count - len(chosen))
    return chosen + [(split, pair) for split, pair, _ in others]


def _shown_classes(pair: PairFacts) -> set[int]:
    """The classes that a viewer would notice: from half a percent of the pixels."""
    least = pair.height * pair.width / 200
    return {index for index, pixels in enumerate(pair.class_pixels) if pixels >= least}


def _picture(dataset: Dataset, pair: PairFacts) -> np.ndarray:
    return image_and_overlay(
        read_image(dataset.root / pair.image),
        read_mask(dataset.root / pair.mask),
        dataset.palette,
        ignore_index=dataset.ignore_index,
    )


def _summary(
    dataset: Dataset, manifest: Manifest, findings: Mapping[str, Sequence[Problem]]
) -> dict[str, Any]:
    pairs = [pair for found in manifest.splits.values() for pair in found]
    ignored = sum(pair.ignored_pixels for pair in pairs)
    total = sum(pair.height * pair.width for pair in pairs)
    sizes = Counter((pair.height, pair.width) for pair in pairs).most_common()
    problems, warnings = len(findings["problems"]), len(findings["warnings"])
    files_a_pair = 2 + len(dataset.others)
    files = files_a_pair * sum(len(listed) for listed in dataset.splits.values())
    if problems:
        detail = "The dataset cannot be used as it is. Nothing was changed."
    else:
        detail = f"All {files:,} files were opened and fit together."
    if warnings:
        detail += f" {_count(warnings, 'warning')} to look at."
    index = dataset.ignore_index
    return {
        "ok": manifest.ok,
        "verdict": _count(problems, "problem") if problems else "No problems",
        "verdict_detail": detail,
        "splits": [
            {"name": s, "pairs": f"{len(p):,}"} for s, p in manifest.splits.items()
        ],
        "num_classes": dataset.num_classes,
        "ignored": index is not None,
        "ignored_share": percent(ignored / total) if total else NO_VALUE,
        "ignored_label": "pixels ignored"
        + (f" (id {index})" if index is not None else " (no id for it)"),
        "sizes": f"{sizes[0][0][0]}×{sizes[0][0][1]}" if sizes else NO_VALUE,
        "sizes_label": "height×width of all images"
        if len(sizes) < 2
        else f"most frequent height×width of {len(sizes)}",
        "source": manifest.remote or str(dataset.root),
        "data_md5": dataset.data_md5,
    }


def _classes(
    dataset: Dataset, manifest: Manifest, pixels: Mapping[str, Sequence[int]]
) -> list[dict[str, Any]]:
    totals = {split: sum(counts) or 1 for split, counts in pixels.items()}
    shares = {s: [n / totals[s] for n in counts] for s, counts in pixels.items()}
    largest = (
        max((share for found in shares.values() for share in found), default=1) or 1
    )
    pairs = [pair for found in manifest.splits.values() for pair in found]
    return [
        {
            "index": index,
            "name": name,
            "colour": dataset.palette[index],
            "masks": f"{sum(pair.class_pixels[index] > 0 for pair in pairs):,}",
            "shares": [
                {
                    "value": found[index],
                    "bar": found[index] / largest,
                    "text": percent(found[index]),
                }
                for found in shares.values()
            ],
        }
        for index, name in enumerate(dataset.class_names)
    ]


def _objects(dataset: Dataset, split: str, found: Mapping[str, Any]) -> dict[str, Any]:
    measured, masks = found["masks_measured"], found["masks"]
    sampled = f" of {masks:,}, drawn at random" if measured < masks else ""
    return {
        "heading": f"{split}: {_count(measured, 'mask')}{sampled}",
        "stride": found["output_stride"],
        "rows": [
            {
                "colour": dataset.palette[row["id"]],
                "name": row["name"],
                "cells": [
                    f"{row['objects_per_mask']:.1f}",
                    " · ".join(f"{area:,}" for area in row["area_px"]),
                    f"{row['area_share'][1]:.3%}",
                    f"{row['median_thickness_px']}",
                    percent(row["thinner_than_stride"]),
                    percent(row["at_edge"]),
                ],
            }
            for row in found["classes"]
        ],
    }


def _doubtful(dataset: Dataset, doubt: MaskDoubt) -> np.ndarray:
    return contradiction(
        doubt.image,
        doubt.mask,
        doubt.prediction,
        doubt.contradicted,
        dataset.palette,
        ignore_index=dataset.ignore_index,
    )


def _review(dataset: Dataset, review: Review, sources: list[str]) -> dict[str, Any]:
    total = max(1, int(review.confusion.sum()))
    largest = np.argsort(-review.confusion, axis=None, kind="stable")[:_CONFUSED]
    pairs = [divmod(int(code), dataset.num_classes) for code in largest]
    return {
        "caution": CAUTION,
        "pairs": [
            {
                "drawn": dataset.class_names[drawn],
                "expected": dataset.class_names[expected],
                "share": percent(review.confusion[drawn, expected] / total),
            }
            for drawn, expected in pairs
            if review.confusion[drawn, expected]
        ],
        "pictures": [
            {
                "source": source,
                "name": f"{doubt.split} · {doubt.pair.stem} · {doubt.quality:.3f}",
                "alt": f"{doubt.pair.stem}: image, mask, prediction and contradictions",
            }
            for doubt, source in zip(review.shown, sources, strict=False)
        ],
    }


def _groups(root: Path, problems: Iterable[Problem]) -> list[dict[str, Any]]:
    groups = []
    for found in group(problems):
        kind, remedy = found[0].kind, found[0].remedy
        items = [
            {"path": relative_path(p.path, root), "reason": p.reason} for p in found
        ]
        heading = kind.replace("-", " ").capitalize()
        groups.append(
            {
                "heading": f"{heading} ({len(items):,})" if len(items) > 1 else heading,
                "remedy": remedy,
                "shown": items[:_SHOWN],
                "folded": items[_SHOWN : _SHOWN + _FOLDED],
                "left_out": max(0, len(items) - _SHOWN - _FOLDED),
            }
        )
    return groups


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
