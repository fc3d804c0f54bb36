"""Augmentation: policies, and the training split as shards of varied pairs.

The only module that imports albumentations. Geometry never invents labels: what a
rotation reveals becomes the ignored id, or, where a dataset has none, a mirror image
of picture and mask alike.
"""

import json
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from seglib.config import AugmentConfig
from seglib.data.dataset import Dataset
from seglib.data.image_io import encode_png
from seglib.data.loader import INDEX_FILE, pack_record
from seglib.data.pairs import IMAGE, Inputs, Pair, join, read_pair, split
from seglib.errors import unknown
from seglib.hardware import PAIRS_AUGMENTED_AT_ONCE
from seglib.report import preview_page
from seglib.storage.atomic_write import whole_folder, write_text

FORMAT_VERSION = 2
NUM_PREVIEWS = 6

Transforms = list[Any]  # of albumentations


def augment(
    dataset: Dataset,
    out: Path,
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
    with whole_folder(out, what="shards", marker=INDEX_FILE) as beside:
        inputs = {IMAGE: channels, **dataset.others}
        index = _write_shards(dataset, beside, config, inputs, progress)
        _write_preview(dataset, beside, config, inputs)
        (beside / INDEX_FILE).write_text(json.dumps(index, indent=1) + "\n")
    return index


class Augmenter:
    """Applies a policy to pairs; one for each thread.

    Args:
        others: name and channels of the inputs that are joined behind the image.
    """

    def __init__(
        self, policy: str, ignore_index: int | None, others: Inputs | None = None
    ):
        others = others or {}
        # albumentations asks the network for a newer version when it is imported.
        os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
        import albumentations

        # Others move with the image; light and noise are the image's alone.
        moved = dict.fromkeys(others, "image")
        moves, looks = POLICIES[policy]
        self._moves = albumentations.Compose(
            moves(ignore_index), additional_targets=moved
        )
        self._looks = albumentations.Compose(looks())
        self._others = others

    def __call__(
        self, image: np.ndarray, mask: np.ndarray, *, seed: tuple[int, ...]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Alter a pair: image uint8 (H, W, C) and mask (H, W), of the same size."""
        numbers = np.random.SeedSequence(seed).generate_state(2)
        for compose, number in zip((self._moves, self._looks), numbers, strict=True):
            compose.set_random_seed(int(number))
        colours = image.shape[2] - sum(self._others.values())
        parts = split(image, {IMAGE: colours, **self._others})
        parts = [np.ascontiguousarray(part) for part in parts]
        named = dict(zip((IMAGE, *self._others), parts, strict=True))
        moved = self._moves(**named, mask=mask)
        moved[IMAGE] = self._looks(image=moved[IMAGE])["image"]
        altered = [moved[name].reshape(part.shape) for name, part in named.items()]
        return join(altered), moved["mask"]


def _geometric(ignore_index: int | None) -> Transforms:
    import albumentations as A  # noqa: N812 its documented name

    reveal = cv2.BORDER_REFLECT_101 if ignore_index is None else cv2.BORDER_CONSTANT
    return [
        A.HorizontalFlip(p=0.5),
        A.Affine(
            scale=(0.8, 1.3),
            rotate=(-8, 8),
            shear=(-4, 4),
            translate_percent=(-0.08, 0.08),
            border_mode=reveal,
            fill=0,
            fill_mask=0 if ignore_index is None else ignore_index,
            mask_interpolation=cv2.INTER_NEAREST,
            p=0.8,
        ),
    ]


def _photometric() -> Transforms:
    import albumentations as A  # noqa: N812 its documented name

    return [
        A.RandomBrightnessContrast(0.25, 0.25, p=0.7),
        A.RandomGamma((75, 130), p=0.4),
        A.GaussianBlur((3, 5), p=0.2),
        A.GaussNoise(std_range=(0.01, 0.05), p=0.3),
    ]


def _weather() -> Transforms:
    import albumentations as A  # noqa: N812 its documented name

    weather = [
        A.RandomShadow(shadow_roi=(0, 0.4, 1, 1), p=1),
        A.RandomFog(fog_coef_range=(0.05, 0.25), alpha_coef=0.08, p=1),
        A.PlanckianJitter(p=1),
        A.HueSaturationValue(8, 25, 15, p=1),
    ]
    return [A.OneOf(weather, p=0.6), *_photometric()]


def _nothing(*_: Any) -> Transforms:
    return []


# What moves pixels, which gets the ignored id, and what changes their look.
POLICIES: dict[str, tuple[Callable[[int | None], Transforms], Callable[[], Transforms]]]
POLICIES = {
    "none": (_nothing, _nothing),
    "geometric": (_geometric, _nothing),
    "photometric": (_nothing, _photometric),
    "street": (_geometric, _weather),  # and shadow, haze and light; RGB images only
}


def _write_shards(
    dataset: Dataset,
    folder: Path,
    config: AugmentConfig,
    inputs: Inputs,
    progress: Callable[[int, int], None] | None,
) -> dict[str, Any]:
    from array_record.python.array_record_module import ArrayRecordWriter

    pairs = dataset.pairs("train")
    num_shards = min(config.num_shards, len(pairs))
    names = [f"train-{i:05}-of-{num_shards:05}.arrayrecord" for i in range(num_shards)]
    writers = [ArrayRecordWriter(str(folder / name), "group_size:1") for name in names]
    written = 0
    with ExitStack() as closing:
        for writer in writers:  # all of them, also where the disk is full for one
            closing.callback(writer.close)
        for done, records in enumerate(_records(dataset, pairs, config, inputs), 1):
            for record in records:
                writers[written % num_shards].write(record)
                written += 1
            if progress:
                progress(done, len(pairs))
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


def _shown(
    versions: list[tuple[np.ndarray, np.ndarray]], inputs: Inputs
) -> list[tuple[np.ndarray, np.ndarray]]:
    """The image alone, without the further inputs, and the mask."""
    return [(split(image, inputs)[0], mask) for image, mask in versions]


def _write_preview(
    dataset: Dataset, folder: Path, config: AugmentConfig, inputs: Inputs
) -> None:
    augmenter = Augmenter(config.policy, dataset.ignore_index, dataset.others)
    pairs = dataset.pairs("train")
    chosen = np.linspace(0, len(pairs) - 1, min(NUM_PREVIEWS, len(pairs))).round()
    rows = [
        (
            pairs[i].stem,
            _shown(_versions(augmenter, pairs[i], i, config, inputs), inputs),
        )
        for i in map(int, chosen)
    ]
    html = preview_page(rows, dataset, title=f"Augmentation policy “{config.policy}”")
    write_text(folder / "preview.html", html)
