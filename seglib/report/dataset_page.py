"""The page on a verified dataset: its contents, its problems, examples."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from seglib.data.dataset import Dataset
from seglib.data.image_io import decode_image, decode_mask, read_bytes
from seglib.data.manifest import Manifest, PairFacts
from seglib.data.pairs import spread
from seglib.data.problems import UNSCORED, Problem, group, relative_path
from seglib.drawing.pictures import contradiction, image_and_overlay
from seglib.errors import SegError
from seglib.evaluation.doubts import CAUTION, MaskDoubt, Review
from seglib.report.pages import NO_VALUE, inline_pictures, percent, render

_EXAMPLES = 6
_CONFUSED = 5  # pairs of classes
_CONSIDERED = 5000  # pairs of a split, at even distances, as examples
_SHOWN = 5  # findings of one kind before the fold
_FOLDED = 100  # behind the fold; all of them are in the manifest


def verification_page(
    dataset: Dataset,
    manifest: Manifest,
    findings: Mapping[str, Sequence[Problem]],
    objects: Mapping[str, Mapping[str, Any]],
    review: Review | None = None,
    *,
    read: Callable[[Path], bytes] = read_bytes,
) -> str:
    """The page, as one self-contained HTML text.

    Args:
        findings: "problems", "warnings" and "notes".
        objects: of each class by split, see `describe_objects`.
        review: of the masks by a model.
        read: gives the content of the dataset's files.
    """
    examples = choose_examples(manifest.splits, dataset.num_classes)
    doubtful = [_doubtful(dataset, doubt) for doubt in (review.shown if review else ())]
    sources = inline_pictures(
        [*(_picture(dataset, pair, read) for _, pair in examples), *doubtful]
    )
    totals = {
        split: _Totals.of(pairs, dataset.num_classes)
        for split, pairs in manifest.splits.items()
    }
    return render(
        "verification.html",
        title="Dataset verification",
        subtitle="",
        **_summary(dataset, manifest, findings, totals.values()),
        **{key: _groups(dataset.root, found) for key, found in findings.items()},
        classes=_classes(dataset, totals),
        unscored=UNSCORED if any(0 in each.pixels for each in totals.values()) else "",
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
    rest = [
        (split, pair, _shown_classes(pair))
        for split, pairs in splits.items()
        for pair in spread(pairs, _CONSIDERED)
    ]
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


@dataclass
class _Totals:
    """Sums over the pairs of a split."""

    pixels: np.ndarray  # of each class
    masks: np.ndarray  # that show each class
    ignored: int = 0  # pixels
    total: int = 0  # pixels
    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)

    @classmethod
    def of(cls, pairs: Iterable[PairFacts], num_classes: int) -> "_Totals":
        """Those of pairs, each of which is looked at once."""
        sums = cls(*np.zeros((2, num_classes), np.int64))
        for pair in pairs:
            counts = np.array(pair.class_pixels)
            sums.pixels += counts
            sums.masks += counts > 0
            sums.ignored += pair.ignored_pixels
            sums.total += pair.height * pair.width
            sums.sizes[pair.height, pair.width] += 1
        return sums


def _picture(
    dataset: Dataset, pair: PairFacts, read: Callable[[Path], bytes]
) -> np.ndarray:
    image, mask = dataset.root / pair.image, dataset.root / pair.mask
    try:
        encoded = read(image), read(mask)
    except OSError as error:
        path, reason = error.filename, error.strerror
        raise SegError(f"{path}: cannot be read ({reason}).") from error
    return image_and_overlay(
        decode_image(encoded[0], name=str(image)),
        decode_mask(encoded[1], name=str(mask)),
        dataset.palette,
        ignore_index=dataset.ignore_index,
    )


def _summary(
    dataset: Dataset,
    manifest: Manifest,
    findings: Mapping[str, Sequence[Problem]],
    totals: Collection[_Totals],
) -> dict[str, Any]:
    ignored = sum(each.ignored for each in totals)
    total = sum(each.total for each in totals)
    sizes = sum((each.sizes for each in totals), Counter()).most_common()
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


def _classes(dataset: Dataset, totals: Mapping[str, _Totals]) -> list[dict[str, Any]]:
    shares = [
        [int(n) / (int(each.pixels.sum()) or 1) for n in each.pixels]
        for each in totals.values()
    ]
    largest = max((share for found in shares for share in found), default=1) or 1
    return [
        {
            "index": index,
            "name": name,
            "colour": dataset.palette[index],
            "masks": f"{sum(int(each.masks[index]) for each in totals.values()):,}",
            "shares": [
                {
                    "value": found[index],
                    "bar": found[index] / largest,
                    "text": percent(found[index]),
                }
                for found in shares
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
    for found in group(problems, _SHOWN + _FOLDED):
        kind, remedy, count = found.first[0].kind, found.first[0].remedy, found.count
        items = [
            {"path": relative_path(p.path, root), "reason": p.reason}
            for p in found.first
        ]
        heading = kind.replace("-", " ").capitalize()
        groups.append(
            {
                "heading": f"{heading} ({count:,})" if count > 1 else heading,
                "remedy": remedy,
                "shown": items[:_SHOWN],
                "folded": items[_SHOWN:],
                "left_out": count - len(items),
            }
        )
    return groups


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
