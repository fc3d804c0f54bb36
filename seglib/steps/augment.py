"""Write the training split and augmented copies of it as shards."""

import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from seglib.config import AugmentConfig
from seglib.data.augmentation.policies import POLICIES, Augmenter
from seglib.data.dataset import Dataset
from seglib.data.image_io import encode_png
from seglib.data.pairs import IMAGE, Inputs, Pair, read_pair, split, spread
from seglib.data.shards import INDEX_FILE, pack_record, write_shards
from seglib.errors import unknown
from seglib.hardware import PAIRS_AUGMENTED_AT_ONCE
from seglib.report.layout import beside, labelled, stacked
from seglib.report.pages import picture_page
from seglib.report.pictures import image_and_overlay
from seglib.storage.atomic_write import whole_folder, write_text

FORMAT_VERSION = 2
NUM_PREVIEWS = 6
_SHOWN_VERSIONS = 4  # of a pair: the original, and the first copies
_PANEL_WIDTH = 320  # pixels


def augment(
    dataset: Dataset,
    out: str | Path,
    *,
    config: AugmentConfig | None = None,
    channels: int = 3,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Write the training split, and `copies` altered versions of each pair, as shards.

    The same seed gives the same bytes, whatever the number of threads: each copy of
    each pair draws from a seed of its own.

    Args:
        out: folder for train-*.arrayrecord, shards.json and preview.html.
        channels: of the images: 1 grey, 3 RGB, 4 RGBA. Further inputs of the dataset
            are moved with them, and otherwise left as they are.

    Returns:
        The content of shards.json.

    Raises:
        UsageError: an unknown policy.
        SegError: a pair cannot be read, or `out` cannot be written; whatever was at
            `out` stays as it was.
    """
    config = config or AugmentConfig()
    if config.policy not in POLICIES:
        raise unknown("augmentation policy", config.policy, POLICIES)
    with whole_folder(Path(out), what="shards", marker=INDEX_FILE) as beside:
        inputs = {IMAGE: channels, **dataset.others}
        index = _write_shards(dataset, beside, config, inputs, progress)
        _write_preview(dataset, beside, config, inputs)
        (beside / INDEX_FILE).write_text(json.dumps(index, indent=1) + "\n")
    return index


def _write_shards(
    dataset: Dataset,
    folder: Path,
    config: AugmentConfig,
    inputs: Inputs,
    progress: Callable[[int, int], None] | None,
) -> dict[str, Any]:
    pairs = dataset.pairs("train")

    def all_records() -> Iterator[bytes]:
        for done, records in enumerate(_records(dataset, pairs, config, inputs), 1):
            yield from records
            if progress:
                progress(done, len(pairs))

    num_shards = min(config.num_shards, len(pairs))
    names, written = write_shards(folder, all_records(), num_shards=num_shards)
    return {
        "format_version": FORMAT_VERSION,
        "shards": names,
        "num_records": written,
        "num_pairs": len(pairs),
        "copies": config.copies,
        "policy": config.policy,
        "augment_seed": config.augment_seed,
        "inputs": dict(inputs),
        "data_md5": dataset.data_md5,
    }


def _records(
    dataset: Dataset, pairs: tuple[Pair, ...], config: AugmentConfig, inputs: Inputs
) -> Iterator[list[bytes]]:
    """The records of each pair, the original first, in the dataset's order."""
    local = threading.local()

    def work(index: int) -> list[bytes]:
        if not hasattr(local, "augmenter"):
            local.augmenter = Augmenter(
                config.policy, dataset.ignore_index, dataset.others
            )
        versions = _versions(local.augmenter, pairs[index], index, config, inputs)
        return [_record(image, mask, inputs) for image, mask in versions]

    indices = iter(range(len(pairs)))
    with ThreadPoolExecutor(2) as pool:
        queue = [
            pool.submit(work, index)
            for index in islice(indices, PAIRS_AUGMENTED_AT_ONCE)
        ]
        while queue:
            records = queue.pop(0).result()
            queue += [pool.submit(work, index) for index in islice(indices, 1)]
            yield records


def _record(image: np.ndarray, mask: np.ndarray, inputs: Inputs) -> bytes:
    images = [encode_png(part, compression=1) for part in split(image, inputs)]
    return pack_record([*images, encode_png(mask)])


def _versions(
    augmenter: Augmenter, pair: Pair, index: int, config: AugmentConfig, inputs: Inputs
) -> list[tuple[np.ndarray, np.ndarray]]:
    image, mask = read_pair(pair, inputs)
    seeds = [(config.augment_seed, index, copy) for copy in range(config.copies)]
    return [(image, mask), *(augmenter(image, mask, seed=seed) for seed in seeds)]


def _write_preview(
    dataset: Dataset, folder: Path, config: AugmentConfig, inputs: Inputs
) -> None:
    """Write a page of some pairs beside their first copies."""
    augmenter = Augmenter(config.policy, dataset.ignore_index, dataset.others)
    sheets = []
    for index, pair in spread([*enumerate(dataset.pairs("train"))], NUM_PREVIEWS):
        versions = _versions(augmenter, pair, index, config, inputs)
        sheets.append((pair.stem, _sheet(dataset, versions, inputs)))
    html = picture_page(
        dataset,
        sheets,
        title=f"Augmentation policy “{config.policy}”",
        alt="the original and its copies, each beside its mask",
        columns=1,
    )
    write_text(folder / "preview.html", html)


def _sheet(
    dataset: Dataset, versions: list[tuple[np.ndarray, np.ndarray]], inputs: Inputs
) -> np.ndarray:
    """Versions of one pair, without their further inputs, two to a line."""
    tiles = []
    for copy, (image, mask) in enumerate(versions[:_SHOWN_VERSIONS]):
        tile = image_and_overlay(
            split(image, inputs)[0],
            mask,
            dataset.palette,
            ignore_index=dataset.ignore_index,
            max_width=_PANEL_WIDTH,
        )
        tiles.append(labelled(tile, f"copy {copy}" if copy else "original", size=12))
    return stacked([beside(tiles[i : i + 2]) for i in range(0, len(tiles), 2)])
