"""Pairs of image and mask files of a split, by their stem.

Stems are compared in Unicode's normal form C, since macOS and other systems write the
same name in two ways. Links are followed, to files and to folders alike.
"""

import os
from pathlib import Path
from typing import NamedTuple

from seglib.data.image_io import IMAGE_SUFFIXES
from seglib.data.pairs import Inputs, Pair
from seglib.storage.files import check_file, normal, visible_files


class Fault(NamedTuple):
    """A reason why a folder is not a dataset."""

    path: Path
    reason: str

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


def has_split(root: Path, split: str) -> bool:
    """Whether a folder of the split exists, even as a broken link."""
    folders = (root / f"{split}_{part}" for part in ("images", "segmentation"))
    return any(map(os.path.lexists, folders))


def list_split(
    root: Path, split: str, others: Inputs
) -> tuple[tuple[Pair, ...], list[Fault]]:
    """The pairs of a split, by stem, and faults for files without a partner."""
    faults: list[Fault] = []
    images = files_by_stem(root / f"{split}_images", faults)
    masks = files_by_stem(root / f"{split}_segmentation", faults)
    for stem in sorted(images.keys() - masks.keys()):
        expected = f"{split}_segmentation/{stem}.png"
        faults.append(_without(images[stem], "image", "mask", expected))
    for stem in sorted(masks.keys() - images.keys()):
        expected = f"{split}_images/{stem}.*"
        faults.append(_without(masks[stem], "mask", "image", expected))
    stems = images.keys() & masks.keys()
    found = {name: files_by_stem(root / f"{split}_{name}", faults) for name in others}
    for name, files in found.items():
        if not files:
            continue  # of the folder, not of each image
        for stem in sorted(stems - files.keys()):
            expected = f"{split}_{name}/{stem}.*"
            faults.append(_without(images[stem], "image", name, expected))
        for stem in sorted(files.keys() - images.keys()):
            expected = f"{split}_images/{stem}.*"
            faults.append(_without(files[stem], name, "image", expected))
        stems &= files.keys()
    if not stems and not faults:
        faults.append(Fault(root / f"{split}_images", f"the split `{split}` is empty"))
    pairs = (
        Pair(
            stem,
            images[stem],
            masks[stem],
            {name: files[stem] for name, files in found.items() if files},
        )
        for stem in sorted(stems)
    )
    return tuple(pairs), faults


def files_by_stem(folder: Path, faults: list[Fault]) -> dict[str, Path]:
    """The image files of a folder by stem; problems are added to `faults`."""
    try:
        paths = visible_files(folder)
    except OSError as error:
        reason = "no such folder"
        if folder.is_symlink():
            reason += f": a link to {folder.readlink()}"
        elif os.path.lexists(folder):
            reason = f"the folder cannot be listed ({error.strerror})"
        faults.append(Fault(folder, reason))
        return {}
    files: dict[str, Path] = {}
    for path in paths:
        stem = normal(path.stem)
        if path.suffix.lower() not in IMAGE_SUFFIXES:
            faults.append(Fault(path, "not an image file by its suffix"))
        elif reason := _unfit(path):
            faults.append(Fault(path, f"cannot be read ({reason})"))
        elif stem in files:
            faults.append(Fault(path, same_stem(path, files[stem])))
        else:
            files[stem] = path
    return files


def same_stem(path: Path, other: Path) -> str:
    """The problem of two files with one stem, as a sentence."""
    if path.stem == other.stem:
        return f"same stem as {other.name}"
    return (
        f"same stem as {other.name}, from which only Unicode normalization (NFC, NFD) "
        "tells it apart"
    )


def _without(path: Path, what: str, missing: str, expected: str) -> Fault:
    return Fault(path, f"{what} without {missing}; expected {expected}")


def _unfit(path: Path) -> str:
    try:
        check_file(path)
    except OSError as error:
        return str(error.strerror)
    return ""
