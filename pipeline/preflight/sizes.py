"""Whether memory, shared memory and disk suffice for a dataset: P170 … P172, S27x.

The needs are lower bounds: the network, its activations and its gradients come on top,
and differ by far more than the data do.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, NamedTuple

from pipeline.dag.document import Document
from pipeline.dag.inputs import Data
from pipeline.dag.quantities import quantity, readable
from pipeline.preflight.findings import Finding, FoundError
from pipeline.preflight.looking import Seen
from pipeline.preflight.pods import Pod
from seglib.config import Config
from seglib.environment import CACHE
from seglib.errors import SegError
from seglib.hardware import CACHED_BYTES, PAIRS_AUGMENTED_AT_ONCE, PREFETCHED_BATCHES

_SPLITS = ("train", "val", "test")
_DEFAULT_CACHE = "/tmp/.cache"  # of the image
# Resident memory after the imports, measured with TensorFlow 2.21 on x86-64.
_TENSORFLOW_BYTES = 700 * 2**20
_OPENCV_BYTES = 140 * 2**20
# Shards are PNG: of scenes and of CamVid 0.38 … 0.53 of the decoded bytes, measured.
_PNG_SHARE = 0.5
_UINT8, _INT32 = 1, 4  # bytes


@dataclass(frozen=True, kw_only=True)
class DatasetSize:
    """Numbers of a dataset."""

    encoded_bytes: Mapping[str, int]  # by split; "": what belongs to none
    pairs: Mapping[str, int]  # by split
    height: int  # of the first training image
    width: int
    others: int  # inputs beside the image, taken as one channel each

    @property
    def total_bytes(self) -> int:
        return sum(self.encoded_bytes.values())

    def decoded_pair_bytes(self, channels: int) -> int:
        """An image uint8 with all its channels, and a mask uint8."""
        return self.height * self.width * (channels + self.others + 1) * _UINT8


class RunSettings(NamedTuple):
    """Settings of a run that change its needs."""

    copies: int
    batch_size: int
    view: tuple[int, int]  # (height, width) of a training view
    channels: int
    calibrates: bool = False  # an export in integers

    @property
    def told_copies(self) -> str:
        return f"{self.copies} {'copy' if self.copies == 1 else 'copies'}"


class Need(NamedTuple):
    """What a step needs at least."""

    size_bytes: int
    because: str  # how the size comes about


def check_sizes(document: Document, pods: list[Pod], data: Data) -> Seen:
    """Compare the resources of the pods with the needs of a dataset.

    Raises:
        FoundError: the dataset cannot be listed, or lacks files.
    """
    try:
        size = measure(data.data_md5, data.remote)
    except SegError as error:
        where = f"dataset {data.data_md5} at {data.remote}"
        raise FoundError("S270", where, str(error)) from error
    given: dict[str, Any] = {**Config().flat(), **document.defaults}
    settings = RunSettings(
        copies=int(given["copies"]),
        batch_size=int(given["batch_size"]),
        view=(
            int(given["crop_height"] or given["image_height"] or size.height),
            int(given["crop_width"] or given["image_width"] or size.width),
        ),
        channels=int(given["channels"]),
        calibrates="int8" in str(given["export_formats"]),
    )
    memory, disk = memory_needs(size, settings), disk_needs(size, settings)
    batches = batch_bytes(size, settings)
    for pod in pods:
        limit, need = pod.limit("Memory"), memory.get(pod.step)
        if need and limit is not None and limit < need.size_bytes:
            has = f"its limit is {readable(limit)}, and it"
            yield Finding("P170", pod.where, _too_small(has, need))
        if need := disk.get(pod.step):
            yield from _check_disk(pod, need)
        if pod.step == "train" and pod.gpus and pod.shm_bytes < batches:
            what = (
                f"/dev/shm has {readable(pod.shm_bytes)}, the prefetched batches take "
                f"{readable(batches)}"
            )
            yield Finding("P171", pod.where, what)
    yield _describe(size, settings)


def measure(data_md5: str, remote: str) -> DatasetSize:
    """List a dataset on its remote and decode its first training image.

    Raises:
        FoundError: the remote lacks files of the dataset.
        SegError: it cannot be listed, or holds no training images.
    """
    from seglib.data.file_formats import max_file_bytes
    from seglib.data.image_io import decode_image
    from seglib.storage.listings import manifest_entries, read_entry, with_sizes
    from seglib.storage.remotes import open_remote

    entries = with_sizes(manifest_entries(data_md5, remote), remote)
    if missing := [entry.path for entry in entries if entry.size is None]:
        what = f"{len(missing)} files are missing, such as {missing[0]}"
        raise FoundError("S271", f"dataset {data_md5} at {remote}", what)
    first = min(
        (entry for entry in entries if entry.path.startswith("train_images/")),
        key=lambda entry: entry.path,
        default=None,
    )
    if not first:
        raise SegError(
            f"{data_md5} at {remote}: no file in train_images/. Expected a dataset in "
            "the format of docs/data-format.md."
        )
    content = read_entry(open_remote(remote), first, max_bytes=max_file_bytes())
    height, width = decode_image(content, channels=3, name=first.path).shape[:2]
    encoded, files = Counter[str](), Counter[str]()  # by split, by folder
    for entry in entries:
        folder, slash, _ = entry.path.partition("/")
        split = folder.partition("_")[0]
        encoded[split if split in _SPLITS else ""] += entry.size or 0
        files[folder if slash else ""] += 1
    return DatasetSize(
        encoded_bytes=encoded,
        pairs={split: files[f"{split}_images"] for split in _SPLITS},
        height=height,
        width=width,
        others=sum(folder.startswith("train_") for folder in files) - 2,
    )


def memory_needs(size: DatasetSize, settings: RunSettings) -> dict[str, Need]:
    """By step: the bytes that are in memory at the same time."""
    pair = size.decoded_pair_bytes(settings.channels)
    records = size.pairs["train"] * (1 + settings.copies)
    cached = min(_decoded_bytes(size, settings), CACHED_BYTES)
    batches = batch_bytes(size, settings)
    at_once = min(PAIRS_AUGMENTED_AT_ONCE, size.pairs["train"])
    window = at_once * (1 + settings.copies) * pair
    shape = f"{size.height}×{size.width}×{pair // (size.height * size.width)} bytes"
    tensorflow = f"{readable(_TENSORFLOW_BYTES)} for Python and TensorFlow"
    scoring = Need(
        _TENSORFLOW_BYTES + pair,
        f"{tensorflow}, {readable(pair)} for a pair; the network comes on top",
    )
    return {
        "augment": Need(
            _OPENCV_BYTES + window,
            f"{readable(_OPENCV_BYTES)} for Python and OpenCV, {readable(window)} for "
            f"{at_once} pairs in work, each with {settings.told_copies}",
        ),
        "train": Need(
            _TENSORFLOW_BYTES + cached + batches,
            f"{tensorflow}, {readable(cached)} for {records} decoded pairs of {shape}, "
            f"kept up to {readable(CACHED_BYTES)}, {readable(batches)} for prefetched "
            "batches; the network comes on top",
        ),
        **dict.fromkeys(("evaluate", "gate", "export"), scoring),
    }


def batch_bytes(size: DatasetSize, settings: RunSettings) -> int:
    """Bytes of the prefetched training batches: uint8 images and int32 masks."""
    height, width = settings.view
    pixel = (settings.channels + size.others) * _UINT8 + _INT32
    return PREFETCHED_BATCHES * settings.batch_size * height * width * pixel


def _decoded_bytes(size: DatasetSize, settings: RunSettings) -> int:
    records = size.pairs["train"] * (1 + settings.copies)
    return records * size.decoded_pair_bytes(settings.channels)


def disk_needs(size: DatasetSize, settings: RunSettings) -> dict[str, Need]:
    """By step: the bytes that it fetches into its cache, or decodes there."""
    scored = ("test" if size.pairs["test"] else "val",)
    fetched = {"verify": _SPLITS, "augment": ("train",), "train": ("val",)}
    needs = {
        step: Need(
            sum(size.encoded_bytes.get(split, 0) for split in splits),
            f"it fetches {' and '.join(splits)}, "
            f"{sum(size.pairs[split] for split in splits)} pairs, as they are stored",
        )
        for step, splits in {
            **fetched,
            **dict.fromkeys(("evaluate", "gate"), scored),
            "export": ("val", "train") if settings.calibrates else ("val",),
        }.items()
    }
    if (decoded := _decoded_bytes(size, settings)) > CACHED_BYTES:
        fetched_bytes, because = needs["train"]
        because += f"; {readable(decoded)} of decoded images do not fit the memory"
        needs["train"] = Need(fetched_bytes + decoded, because)
    return needs


def _check_disk(pod: Pod, need: Need) -> Iterator[Finding]:
    cache = PurePosixPath(pod.env.get(CACHE) or _DEFAULT_CACHE)
    volumes = {
        mount.get("mountPath", ""): quantity(mount.get("sizeLimit", ""))
        for mount in (*pod.entries("emptyDirMounts"), *pod.entries("pvcMount"))
    }
    around = [path for path in volumes if path and cache.is_relative_to(path)]
    volume = max(around, key=len, default="")
    room = volumes.get(volume)
    if room is not None and room < need.size_bytes:
        what = _too_small(f"it has {readable(room)}, and the cache", need)
        yield Finding("P172", f"{pod.where}, volume {volume}", what)


def _too_small(has: str, need: Need) -> str:
    return f"{has} needs at least {readable(need.size_bytes)}: {need.because}"


def _describe(size: DatasetSize, settings: RunSettings) -> str:
    """The estimate in one line."""
    pairs = ", ".join(f"{size.pairs[s]} {s}" for s in _SPLITS if size.pairs[s])
    decoded = _decoded_bytes(size, settings)
    return (
        f"dataset: {pairs} pairs, {readable(size.total_bytes)} as they are stored; "
        f"with {settings.told_copies} of {size.height}×{size.width} pixels "
        f"{readable(decoded)} decoded, about {readable(decoded * _PNG_SHARE)} as shards"
    )
