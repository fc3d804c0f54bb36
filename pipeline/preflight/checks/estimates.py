"""What a dataset needs, by its listing and the head of one image; an estimate.

It is a lower bound: the network, its activations and the gradients come on top, and
differ by far more than the data do. What it takes from the code, it names.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.preflight.checks.dataset_size import SPLITS, UINT8, DatasetSize
from pipeline.preflight.quantities import readable
from seglib.config import AugmentConfig, ModelConfig, TrainConfig
from seglib.hardware import CACHED_BYTES, PAIRS_AUGMENTED_AT_ONCE, PREFETCHED_BATCHES

# Resident memory after the imports, measured with TensorFlow 2.21 on x86-64.
_TENSORFLOW_BYTES = 700 * 2**20
_OPENCV_BYTES = 140 * 2**20
# Shards are PNG: of scenes and of CamVid 0.38 … 0.53 of the decoded bytes, measured.
_PNG_SHARE = 0.5
_INT32 = 4  # bytes


@dataclass(frozen=True, kw_only=True)
class Need:
    """What a step needs at least, in bytes, and how that comes about."""

    size_bytes: int
    because: str


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Those of a run that change what it needs."""

    copies: int
    batch_size: int
    view: tuple[int, int]  # (height, width) of a training view
    channels: int


def settings_of(defaults: Mapping[str, Any], size: DatasetSize) -> Settings:
    """By the document's default parameters; where it has none, by the code's."""

    def number(name: str, otherwise: int) -> int:
        value = defaults.get(name, otherwise)
        return int(value) if isinstance(value, int | float) else otherwise

    augment, model, train = AugmentConfig(), ModelConfig(), TrainConfig()
    height = number("image_height", model.image_height) or size.height
    width = number("image_width", model.image_width) or size.width
    return Settings(
        copies=number("copies", augment.copies),
        batch_size=number("batch_size", train.batch_size),
        view=(
            number("crop_height", train.crop_height) or height,
            number("crop_width", train.crop_width) or width,
        ),
        channels=number("channels", model.channels),
    )


def memory_needs(size: DatasetSize, settings: Settings) -> dict[str, Need]:
    """By step: what is in memory at the same time, at least."""
    pair = size.decoded_pair_bytes(settings.channels)
    records = size.pairs["train"] * (1 + settings.copies)
    cached = min(records * pair, CACHED_BYTES)
    batches = batch_bytes(size, settings)
    at_once = min(PAIRS_AUGMENTED_AT_ONCE, size.pairs["train"])
    window = at_once * (1 + settings.copies) * pair
    shape = f"{size.height}×{size.width}×{pair // (size.height * size.width)} bytes"
    python, tensorflow = readable(_OPENCV_BYTES), readable(_TENSORFLOW_BYTES)
    kept = f"{records} decoded pairs of {shape}, kept up to {readable(CACHED_BYTES)}"
    return {
        "augment": Need(
            size_bytes=_OPENCV_BYTES + window,
            because=f"{python} for Python and OpenCV, {readable(window)} for "
            f"{at_once} pairs in work, each with "
            f"{_copies(settings)}",
        ),
        "train": Need(
            size_bytes=_TENSORFLOW_BYTES + cached + batches,
            because=f"{tensorflow} for Python and TensorFlow, {readable(cached)} for "
            f"{kept}, {readable(batches)} for prefetched batches; the network comes "
            "on top",
        ),
        **{
            step: Need(
                size_bytes=_TENSORFLOW_BYTES + pair,
                because=f"{tensorflow} for Python and TensorFlow, {readable(pair)} "
                "for a pair; the network comes on top",
            )
            for step in ("evaluate", "gate", "export")
        },
    }


def batch_bytes(size: DatasetSize, settings: Settings) -> int:
    """The training batches that are ready at the same time: uint8 and int32 masks."""
    height, width = settings.view
    pixel = (settings.channels + size.others) * UINT8 + _INT32
    return PREFETCHED_BATCHES * settings.batch_size * height * width * pixel


def shard_bytes(size: DatasetSize, settings: Settings) -> int:
    """Of the shards that augmentation writes, and training reads."""
    pair = size.decoded_pair_bytes(settings.channels)
    records = size.pairs["train"] * (1 + settings.copies)
    return round(records * pair * _PNG_SHARE)


def disk_needs(size: DatasetSize) -> dict[str, Need]:
    """By step: what it fetches into its cache."""
    scored = "test" if size.pairs["test"] else "val"
    fetched = {
        "verify": SPLITS,
        "augment": ("train",),
        "train": ("val",),
        "evaluate": (scored,),
        "gate": (scored,),
        "export": (scored,),
    }
    return {
        step: Need(
            size_bytes=sum(size.encoded_bytes.get(split, 0) for split in splits),
            because=f"it fetches {' and '.join(splits)}, "
            f"{sum(size.pairs[split] for split in splits)} pairs, as they are stored",
        )
        for step, splits in fetched.items()
    }


def describe(size: DatasetSize, settings: Settings) -> str:
    """How the estimate comes about, in a line."""
    pairs = ", ".join(f"{size.pairs[s]} {s}" for s in SPLITS if size.pairs[s])
    pair = size.decoded_pair_bytes(settings.channels)
    decoded = readable(size.pairs["train"] * (1 + settings.copies) * pair)
    return (
        f"dataset: {pairs} pairs, {readable(size.total_bytes)} as they are stored; "
        f"with {_copies(settings)} of {size.height}×{size.width} pixels "
        f"{decoded} decoded, about {readable(shard_bytes(size, settings))} as shards"
    )


def _copies(settings: Settings) -> str:
    return f"{settings.copies} {'copy' if settings.copies == 1 else 'copies'}"
