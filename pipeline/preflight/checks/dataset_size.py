"""Size of a dataset, from its listing and one image; nothing else is fetched."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from pipeline.preflight.findings import FoundError
from seglib.errors import SegError
from seglib.storage.hashes import Entry

SPLITS = ("train", "val", "test")
UINT8 = 1  # byte


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
        return self.height * self.width * (channels + self.others + 1) * UINT8


def measure(data_md5: str, remote: str) -> DatasetSize:
    """List a dataset on its remote and decode its first training image.

    Raises:
        FoundError: the remote lacks files of the dataset.
        SegError: it cannot be listed, or holds no training images.
    """
    from seglib.storage.listings import manifest_entries, with_sizes

    entries = with_sizes(manifest_entries(data_md5, remote), remote)
    missing = [entry.path for entry in entries if entry.size is None]
    if missing:
        what = f"{len(missing)} files are missing, such as {missing[0]}"
        raise FoundError("S271", f"dataset {data_md5} at {remote}", what)
    images = sorted(e.path for e in entries if e.path.startswith("train_images/"))
    if not images:
        raise SegError(
            f"{data_md5} at {remote}: no file in train_images/. Expected a dataset in "
            "the format of docs/data-format.md."
        )
    first = next(entry for entry in entries if entry.path == images[0])
    height, width = _image_size(first, remote)
    return DatasetSize(
        encoded_bytes=_by_split(entries),
        pairs={s: _count(entries, f"{s}_images/") for s in SPLITS},
        height=height,
        width=width,
        others=len(_folders(entries, "train_")) - 2,
    )


def _image_size(entry: Entry, remote: str) -> tuple[int, int]:
    from seglib.data.headers import max_file_bytes
    from seglib.data.image_io import decode_image
    from seglib.storage.listings import read_entry
    from seglib.storage.remotes import open_remote

    content = read_entry(open_remote(remote), entry, max_bytes=max_file_bytes())
    height, width = decode_image(content, channels=3, name=entry.path).shape[:2]
    return height, width


def _by_split(entries: Iterable[Entry]) -> dict[str, int]:
    sizes = dict.fromkeys((*SPLITS, ""), 0)
    for entry in entries:
        split = PurePosixPath(entry.path).parts[0].partition("_")[0]
        sizes[split if split in SPLITS else ""] += entry.size or 0
    return sizes


def _count(entries: Iterable[Entry], start: str) -> int:
    return sum(entry.path.startswith(start) for entry in entries)


def _folders(entries: Iterable[Entry], start: str) -> set[str]:
    parts = (PurePosixPath(entry.path).parts for entry in entries)
    return {p[0] for p in parts if len(p) > 1 and p[0].startswith(start)}
