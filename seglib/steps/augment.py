"""Write the training split and augmented copies of it as shards."""

import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from seglib.arguments import checked
from seglib.config import AugmentConfig
from seglib.data.augmentation.augmenter import Augmenter, Function
from seglib.data.class_totals import count_classes
from seglib.data.dataset import Dataset
from seglib.data.image_io import encode_png
from seglib.data.loader import PairSource
from seglib.data.pairs import (
    IMAGE,
    ImageAndMask,
    Inputs,
    Pair,
    read_pair,
    split,
    spread,
)
from seglib.data.read_ahead import read_ahead
from seglib.data.shards.index import INDEX_FILE, ShardIndex, to_json
from seglib.data.shards.writing import NewSample, write_shards
from seglib.data.verification.loading import opened
from seglib.data.views import RareViews
from seglib.drawing import Album
from seglib.hardware import PAIRS_AUGMENTED_AT_ONCE
from seglib.policies import is_function, policy_title, policy_tree, policy_words
from seglib.progress import Progress, Tell, shown
from seglib.report.pages import picture_page
from seglib.storage.atomic_write import whole_folder, write_text
from seglib.training.class_balance import ClassBalance
from seglib.training.preview import VIEWS

NUM_PREVIEWS = 6
_SHOWN_VERSIONS = 4  # of a pair: the original, and the first copies
_PANEL_WIDTH = 240  # pixels


@checked
def augment(
    dataset: Dataset | str | Path,
    out: str | Path,
    *,
    config: AugmentConfig | None = None,
    policy: Any = None,
    channels: int = 3,
    progress: Progress = None,
) -> dict[str, Any]:
    """Write the training split, and `copies` altered versions of each pair, as shards.

    The same seed gives the same bytes, whatever the number of threads: each copy of
    each pair draws from a seed of its own.

    Args:
        dataset: or its folder.
        out: folder for train-*.tar, shards.json and preview.html.
        policy: in place of `config.policy`: what that may be, a list as YAML holds it,
            a `Compose` of albumentations, or a function `policy(image, mask, rng)` that
            gives image and mask, uint8 (H, W, C) and uint8 or uint16 (H, W).
        channels: of the images: 1 grey, 3 RGB, 4 RGBA. Further inputs of the dataset
            are moved with them, and otherwise left as they are.
        progress: see `seglib.train`.

    Returns:
        The content of shards.json.

    Raises:
        UsageError: a wrong policy.
        SegError: a pair cannot be read, or `out` cannot be written; whatever was at
            `out` stays as it was.
    """
    config = config or AugmentConfig()
    if policy is not None and not is_function(policy):
        config, policy = replace(config, policy=policy), None
    dataset = opened(dataset, splits=("train",))
    work = _Work.open(dataset, config, policy, {IMAGE: channels, **dataset.others})
    with (
        shown(progress, "augmenting") as tell,
        whole_folder(Path(out), what="shards", marker=INDEX_FILE) as beside,
    ):
        index = _write_shards(work, beside, tell)
        _write_preview(work, beside, policy or config.policy)
        (beside / INDEX_FILE).write_text(json.dumps(index, indent=1) + "\n")
    return index


@dataclass(frozen=True)
class _Work:
    """What the copies are made from."""

    dataset: Dataset
    config: AugmentConfig
    inputs: Inputs
    augmenter: Augmenter
    others: RareViews | None  # that a policy mixes in

    @classmethod
    def open(
        cls,
        dataset: Dataset,
        config: AugmentConfig,
        policy: Function | None,
        inputs: Inputs,
    ) -> "_Work":
        augmenter = Augmenter(
            policy or config.policy, dataset.ignore_index, dataset.others
        )
        others = None
        if augmenter.mixes:
            source = PairSource(dataset.pairs("train"), inputs=inputs)
            balance = ClassBalance.count(
                source,
                num_classes=dataset.num_classes,
                ignore_index=dataset.ignore_index,
            )
            others = balance.rare_views(source, 1.0)
        return cls(dataset, config, inputs, augmenter, others)

    def versions(self, pair: Pair, index: int) -> list[ImageAndMask]:
        """A pair and its altered copies."""
        image, mask = read_pair(pair, self.inputs)
        seed = self.config.augment_seed
        copies = [
            self.augmenter(
                image,
                mask,
                np.random.default_rng(
                    # A seed may be negative, the entropy of NumPy may not.
                    np.random.SeedSequence([abs(seed), int(seed < 0), index, copy])
                ),
                self.others.draw_pair if self.others else None,
            )
            for copy in range(self.config.copies)
        ]
        return [(image, mask), *copies]


def _write_shards(work: _Work, folder: Path, progress: Tell) -> dict[str, Any]:
    pairs = work.dataset.pairs("train")
    count = len(pairs) * (1 + work.config.copies)

    def all_samples() -> Iterator[NewSample]:
        for done, samples in enumerate(_samples(work, pairs), 1):
            yield from samples
            progress(done, len(pairs))

    shards, totals = write_shards(
        folder, all_samples(), count=count, least=work.config.num_shards, split="train"
    )
    index = ShardIndex(
        inputs=dict(work.inputs),
        shards=shards,
        class_pixels=tuple(totals.pixels.tolist()),
        class_surroundings=tuple(totals.surroundings.tolist()),
        made_of={
            "num_pairs": len(pairs),
            "copies": work.config.copies,
            "policy": work.config.policy,
            "augment_seed": work.config.augment_seed,
            "data_md5": work.dataset.data_md5,
        },
    )
    return dict(to_json(index))


def _samples(work: _Work, pairs: Sequence[Pair]) -> Iterator[list[NewSample]]:
    """The samples of each pair, the original first, in the dataset's order."""

    def encoded(index: int) -> list[NewSample]:
        versions = work.versions(pairs[index], index)
        return [_sample(work, pairs[index].stem, *version) for version in versions]

    with ThreadPoolExecutor(2) as pool:
        yield from read_ahead(
            pool, encoded, range(len(pairs)), most=lambda: PAIRS_AUGMENTED_AT_ONCE
        )


def _sample(work: _Work, stem: str, image: np.ndarray, mask: np.ndarray) -> NewSample:
    images = zip(work.inputs, split(image, work.inputs), strict=True)
    parts = {name: encode_png(part, compression=1) for name, part in images}
    counts = count_classes(
        mask,
        num_classes=work.dataset.num_classes,
        ignore_index=work.dataset.ignore_index,
        name=stem,
    )
    return NewSample(stem, {**parts, "mask": encode_png(mask)}, counts)


def _write_preview(work: _Work, folder: Path, policy: Any) -> None:
    """Write a page of some pairs beside their first copies."""
    dataset, config = work.dataset, work.config
    album = Album(
        dataset.class_names,
        dataset.palette,
        dataset.ignore_index,
        layout="stacked",
        max_width=_PANEL_WIDTH,
        columns=_SHOWN_VERSIONS,
    )
    pairs = [*enumerate(dataset.pairs("train"))]
    for index, pair in spread(pairs, NUM_PREVIEWS):
        versions = work.versions(pair, index)[:_SHOWN_VERSIONS]
        for copy, (image, mask) in enumerate(versions):
            caption = f"copy {copy}" if copy else "original"
            album.add(split(image, work.inputs)[0], mask, caption, row=pair.stem)
    settings = asdict(config) | {"policy": policy_tree(policy)}
    copies = "copy" if config.copies == 1 else "copies"
    html = picture_page(
        album,
        title=f"Augmentation policy “{policy_title(policy)}”",
        subtitle=f"{len(album.rows)} of {len(pairs):,} pairs",
        alt="the image, and its mask",
        words=[
            f"Each pair is stored as it is, and as {config.copies} altered {copies}.",
            f"Training draws a new view of each at every pass: {VIEWS} of the model.",
            f"The policy “{policy_title(policy)}” alters a copy:",
            *(f"– {line}" for line in policy_words(policy)),
        ],
        text=yaml.safe_dump(
            {"augment": settings}, sort_keys=False, default_flow_style=None
        ),
    )
    write_text(folder / "preview.html", html)
