"""Lower bounds of the memory and disk that steps need for a dataset.

The network, its activations and its gradients come on top, and differ by far more than
the data do.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.dag.quantities import readable
from pipeline.preflight.checks.dataset_size import SPLITS, UINT8, DatasetSize
from seglib.config import Config
from seglib.hardware import CACHED_BYTES, PAIRS_AUGMENTED_AT_ONCE, PREFETCHED_BATCHES

# Resident memory after the imports, measured with TensorFlow 2.21 on x86-64.
_TENSORFLOW_BYTES = 700 * 2**20
_OPENCV_BYTES = 140 * 2**20
# Shards are PNG: of scenes and of CamVid 0.38 … 0.53 of the decoded bytes, measured.
_PNG_SHARE = 0.5
_INT32 = 4  # bytes


@dataclass(frozen=True, kw_only=True)
class Need:
    """What a step needs at least."""

    size_bytes: int
    because: str  # how the size comes about


@dataclass(frozen=True, kw_only=True)
class RunSettings:
    """Settings of a run that change its needs."""

    copies: int
    batch_size: int
    view: tuple[int, int]  # (height, width) of a training view
    channels: int


def run_settings(defaults: Mapping[str, Any], size: DatasetSize) -> RunSettings:
    """The settings of a document, from its parameters' defaults."""
    given: dict[str, Any] = {**Config().flat(), **defaults}
    height = int(given["crop_height"] or given["image_height"] or size.height)
    width = int(given["crop_width"] or given["image_width"] or size.width)
    return RunSettings(
        copies=int(given["copies"]),
        batch_size=int(given["batch_size"]),
        view=(height, width),
        channels=int(given["channels"]),
    )


def memory_needs(size: DatasetSize, settings: RunSettings) -> dict[str, Need]:
    """By step: the bytes that are in memory at the same time."""
    pair = size.decoded_pair_bytes(settings.channels)
    records = size.pairs["train"] * (1 + settings.copies)
    cached = min(records * pair, CACHED_BYTES)
    batches = batch_bytes(size, settings)
    at_once = min(PAIRS_AUGMENTED_AT_ONCE, size.pairs["train"])
    window = at_once * (1 + settings.copies) * pair
    shape = f"{size.height}×{size.width}×{pair // (size.height * size.width)} bytes"
    tensorflow = f"{readable(_TENSORFLOW_BYTES)} for Python and TensorFlow"
    scoring = Need(
        size_bytes=_TENSORFLOW_BYTES + pair,
        because=f"{tensorflow}, {readable(pair)} for a pair; the network comes on top",
    )
    return {
        "augment": Need(
            size_bytes=_OPENCV_BYTES + window,
            because=f"{readable(_OPENCV_BYTES)} for Python and OpenCV, "
            f"{readable(window)} for {at_once} pairs in work, each with "
            f"{_copies(settings)}",
        ),
        "train": Need(
            size_bytes=_TENSORFLOW_BYTES + cached + batches,
            because=f"{tensorflow}, {readable(cached)} for {records} decoded pairs of "
            f"{shape}, kept up to {readable(CACHED_BYTES)}, {readable(batches)} for "
            "prefetched batches; the network comes on top",
        ),
        **dict.fromkeys(("evaluate", "gate", "export"), scoring),
    }


def batch_bytes(size: DatasetSize, settings: RunSettings) -> int:
    """Bytes of the prefetched training batches: uint8 images and int32 masks."""
    height, width = settings.view
    pixel = (settings.channels + size.others) * UINT8 + _INT32
    return PREFETCHED_BATCHES * settings.batch_size * height * width * pixel


def disk_needs(size: DatasetSize) -> dict[str, Need]:
    """By step: the bytes that it fetches into its cache."""
    scored = "test" if size.pairs["test"] else "val"
    fetched = {
        "verify": SPLITS,
        "augment": ("train",),
        "train": ("val",),
        **dict.fromkeys(("evaluate", "gate", "export"), (scored,)),
    }
    return {
        step: Need(
            size_bytes=sum(size.encoded_bytes.get(split, 0) for split in splits),
            because=f"it fetches {' and '.join(splits)}, "
            f"{sum(size.pairs[split] for split in splits)} pairs, as they are stored",
        )
        for step, splits in fetched.items()
    }


def describe(size: DatasetSize, settings: RunSettings) -> str:
    """The estimate in one line."""
    pairs = ", ".join(f"{size.pairs[s]} {s}" for s in SPLITS if size.pairs[s])
    records = size.pairs["train"] * (1 + settings.copies)
    decoded = records * size.decoded_pair_bytes(settings.channels)
    return (
        f"dataset: {pairs} pairs, {readable(size.total_bytes)} as they are stored; "
        f"with {_copies(settings)} of {size.height}×{size.width} pixels "
        f"{readable(decoded)} decoded, about {readable(decoded * _PNG_SHARE)} as shards"
    )


def _copies(settings: RunSettings) -> str:
    return f"{settings.copies} {'copy' if settings.copies == 1 else 'copies'}"
