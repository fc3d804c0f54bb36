"""Pairs of image and mask files of a split, by their stem.

Stems are compared in Unicode's normal form C, since macOS and other systems write the
same name in two ways. Links are followed, to files and to folders alike.
"""

from collections.abc import Collection, Mapping
from pathlib import Path

from seglib.data.image_io import IMAGE_SUFFIXES
from seglib.data.naming import NamePattern, find_patterns
from seglib.data.pairs import Inputs, Pair
from seglib.data.problems import Problem
from seglib.data.tree import LOCAL, Tree
from seglib.storage.files import normal


def has_split(root: Path, split: str, tree: Tree = LOCAL) -> bool:
    """Whether a folder of the split exists, even as a broken link."""
    folders = (root / f"{split}_{part}" for part in ("images", "segmentation"))
    return any(map(tree.exists, folders))


def list_split(
    root: Path, split: str, others: Inputs, tree: Tree = LOCAL
) -> tuple[tuple[Pair, ...], list[Problem]]:
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
    images = files_by_stem(root / f"{split}_images", problems, tree)
    stems, found = set(images), {}
    for part in ("mask", *others):
        name = f"{split}_{'segmentation' if part == 'mask' else part}"
        files = files_by_stem(root / name, problems, tree)
        if not files and part != "mask":
            continue  # the problem is of the folder, not of each image
        if part == "mask" and (found_names := _other_names(images, files, root / name)):
            problems.append(found_names)
            stems = set()
            found[part] = files
            continue
        for stem in sorted(stems - files.keys()):
            expected = f"{name}/{stem}.{'png' if part == 'mask' else '*'}"
            problems.append(_without(images[stem], "image", part, expected))
        for stem in sorted(files.keys() - images.keys()):
            expected = f"{split}_images/{stem}.*"
            problems.append(_without(files[stem], part, "image", expected))
        stems &= files.keys()
        found[part] = files
    if not stems and not problems:
        reason = f"the split `{split}` is empty"
        remedy = "Put pairs in, or remove its two folders."
        folder = root / f"{split}_images"
        problems.append(Problem(folder, reason, remedy, "empty-split"))
    masks = found.pop("mask")
    pairs = (
        Pair(
            stem,
            images[stem],
            masks[stem],
            {name: files[stem] for name, files in found.items()},
        )
        for stem in sorted(stems)
    )
    return tuple(pairs), problems


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


def files_by_stem(
    folder: Path, problems: list[Problem], tree: Tree = LOCAL
) -> dict[str, Path]:
    """The image files of a folder by stem; problems are added to `problems`."""
    try:
        paths = tree.files(folder)
    except OSError as error:
        reason, remedy = "no such folder", "Create it, or remove its counterpart."
        if folder.is_symlink():
            reason += f": a link to {folder.readlink()}"
        elif tree.exists(folder):
            reason = f"the folder cannot be listed ({error.strerror})"
            remedy = "Check its rights."
        problems.append(Problem(folder, reason, remedy, "missing-folder"))
        return {}
    files: dict[str, Path] = {}
    for path in paths:
        stem = normal(path.stem)
        if path.suffix.lower() not in IMAGE_SUFFIXES:
            reason, remedy = (
                "not an image file by its suffix",
                "Move it out of the folder.",
            )
            problems.append(Problem(path, reason, remedy, "not-an-image"))
        elif unfit := tree.unfit(path):
            remedy = "Put a file in its place, or remove it."
            reason = f"cannot be read ({unfit})"
            problems.append(Problem(path, reason, remedy, "unreadable-file"))
        elif stem in files:
            remedy = "Rename it together with its mask, or remove it."
            reason = same_stem(path, files[stem])
            problems.append(Problem(path, reason, remedy, "same-stem"))
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


def _other_names(
    images: Mapping[str, Path], masks: Mapping[str, Path], folder: Path
) -> Problem | None:
    patterns = mask_names(images, masks)
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
