"""Pairs of image and mask files of a split, by their stem.

Stems are compared in Unicode's normal form C, since macOS and other systems write the
same name in two ways. Links are followed, to files and to folders alike.
"""

from collections.abc import Collection, Iterator
from pathlib import Path

import numpy as np

from seglib.data.image_io import IMAGE_SUFFIXES
from seglib.data.naming import NamePattern, find_patterns
from seglib.data.pairs import Inputs, Names, PairList, stem_of
from seglib.data.problems import Problem
from seglib.data.tree import LOCAL, Tree


def has_split(root: Path, split: str, tree: Tree = LOCAL) -> bool:
    """Whether a folder of the split exists, even as a broken link."""
    folders = (root / f"{split}_{part}" for part in ("images", "segmentation"))
    return any(map(tree.exists, folders))


def list_split(
    root: Path, split: str, others: Inputs, tree: Tree = LOCAL
) -> tuple[PairList, list[Problem]]:
    """List the pairs of a split.

    Args:
        root: folder of the dataset.
        split: train, val or test.
        others: name and channels of the inputs beside the image.
        tree: that holds the folder.

    Returns:
        The pairs, by stem, and problems such as files without a partner.
    """
    problems: list[Problem] = []
    folder = root / f"{split}_images"
    images = _list_names(folder, problems, tree)
    folder = tree.place(folder)
    paired = np.ones(len(images), bool)
    found: dict[str, tuple[Path, Names, np.ndarray]] = {}
    for part in ("mask", *others):
        place = root / f"{split}_{'segmentation' if part == 'mask' else part}"
        files = _list_names(place, problems, tree)
        place = tree.place(place)
        if not files and part != "mask":
            continue  # the problem is of the folder, not of each image
        partners, lonely = _partners(images, files)
        found[part] = place, files, partners
        missing = partners < 0
        if part == "mask" and (named := _other_names(images, files, missing, place)):
            problems.append(named)
            paired[:] = False
            continue
        for index in np.flatnonzero(paired & missing).tolist():
            name = images[index]
            suffix = "png" if part == "mask" else "*"
            expected = f"{place.name}/{stem_of(name)}.{suffix}"
            problems.append(_without(folder / name, "image", part, expected))
        for name in lonely:
            expected = f"{folder.name}/{stem_of(name)}.*"
            problems.append(_without(place / name, part, "image", expected))
        paired &= ~missing
    if not paired.any() and not problems:
        reason = f"the split `{split}` is empty"
        remedy = "Put pairs in, or remove its two folders."
        problems.append(Problem(folder, reason, remedy, "empty-split"))
    chosen = np.flatnonzero(paired).tolist()
    placed = {
        part: (place, Names(files[i] for i in partners[chosen].tolist()))
        for part, (place, files, partners) in found.items()
    }
    masks = placed.pop("mask")
    return PairList((folder, Names(images[i] for i in chosen)), masks, placed), problems


def _partners(images: Names, files: Names) -> tuple[np.ndarray, list[str]]:
    """The index of each image's file, or -1, and the names of the other files.

    Both are sorted by stem.
    """
    partners = np.full(len(images), -1)
    lonely: list[str] = []
    stems = iter(map(stem_of, images))
    stem, at = next(stems, None), 0
    for index, name in enumerate(files):
        of_file = stem_of(name)
        while stem is not None and stem < of_file:
            stem, at = next(stems, None), at + 1
        if stem == of_file:
            partners[at] = index
        else:
            lonely.append(name)
    return partners, lonely


def mask_names(
    images: Collection[str], masks: Collection[str]
) -> list[tuple[NamePattern, dict[str, str]]]:
    """How masks are named after images, where most have other stems than these.

    Args:
        images: all stems of images.
        masks: all stems of masks.

    Returns:
        As `find_patterns`, of those without a partner.
    """
    lonely = set(images) - set(masks)
    if 2 * len(lonely) <= len(images):
        return []  # the names are those of the format, and a file is missing
    return find_patterns(lonely, set(masks) - set(images))


def _list_names(folder: Path, problems: list[Problem], tree: Tree) -> Names:
    """The image files of a folder, sorted by stem; problems are added to `problems`."""
    try:
        names, odd = tree.names(folder)
    except OSError as error:
        reason, remedy = "no such folder", "Create it, or remove its counterpart."
        if folder.is_symlink():
            reason += f": a link to {folder.readlink()}"
        elif tree.exists(folder):
            reason = f"the folder cannot be listed ({error.strerror})"
            remedy = "Check its rights."
        problems.append(Problem(folder, reason, remedy, "missing-folder"))
        return Names(())
    folder = tree.place(folder)

    def is_fit(name: str) -> bool:
        if not name.lower().endswith(IMAGE_SUFFIXES):
            reason = "not an image file by its suffix"
            remedy = "Move it out of the folder."
            problems.append(Problem(folder / name, reason, remedy, "not-an-image"))
            return False
        if name in odd and (unfit := tree.unfit(folder / name)):
            remedy = "Put a file in its place, or remove it."
            reason = f"cannot be read ({unfit})"
            problems.append(Problem(folder / name, reason, remedy, "unreadable-file"))
            return False
        return True

    def first_of_stems() -> Iterator[str]:
        first = ""
        for name in names:
            if first and stem_of(name) == stem_of(first):
                remedy = "Rename it together with its mask, or remove it."
                reason = same_stem(folder / name, folder / first)
                problems.append(Problem(folder / name, reason, remedy, "same-stem"))
            else:
                first = name
                yield name

    names = [name for name in names if is_fit(name)]
    names.sort(key=stem_of)  # of one stem, they stay sorted by name
    return Names(first_of_stems())


def same_stem(path: Path, other: Path) -> str:
    """The problem of two files with one stem, as a sentence."""
    if path.stem == other.stem:
        return f"same stem as {other.name}"
    return (
        f"same stem as {other.name}, from which only Unicode normalization (NFC, NFD) "
        "tells it apart"
    )


def _other_names(
    images: Names, masks: Names, missing: np.ndarray, folder: Path
) -> Problem | None:
    if 2 * missing.sum() <= len(images):
        return None
    patterns = mask_names(*(set(map(stem_of, names)) for names in (images, masks)))
    if not patterns:
        return None
    told = " or ".join(str(pattern) for pattern, _ in patterns[:3])
    reason = f"the masks' stems are not those of the images: {told}"
    remedy = (
        "`seglib fix` renames the masks in a copy."
        if len(patterns) == 1
        else "Move the masks that are not meant out of the folder; then `seglib fix`."
    )
    return Problem(folder, reason, remedy, "names-differ")


def _without(path: Path, part: str, missing: str, expected: str) -> Problem:
    reason = f"{part} without {missing}; expected {expected}"
    kind = f"{part}-without-{missing}"
    if "mask" not in (part, missing):
        kind = "incomplete-sample"
    return Problem(path, reason, f"Add the {missing}, or remove the {part}.", kind)
