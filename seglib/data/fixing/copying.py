"""A copy of a dataset's files, under the names that the format wants."""

import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from seglib.data.dataset import SPLITS
from seglib.data.dataset_yaml import read_description
from seglib.data.file_formats import content_suffix, max_file_bytes
from seglib.data.fixing.fixes import Fix
from seglib.data.image_io import IMAGE_SUFFIXES, decode_image, decode_mask, encode_png
from seglib.data.pairing import mask_names
from seglib.errors import SegError
from seglib.storage.files import normal, open_file, read_file, visible_files

_THREADS = 8
_HEAD = 16  # bytes that tell a format
_GIF = ".gif"


def copy_dataset(
    root: Path, to: Path, progress: Callable[[int, int], None] | None = None
) -> list[Fix]:
    """Copy the folders of all splits, and the files beside them.

    Masks named otherwise than their images get the images' names; a file whose suffix
    is none of an image gets that of its content, and is left out if it has none.

    Args:
        root: folder of a dataset.
        to: an empty folder.
        progress: called with (files copied, all files).
    """
    inputs = read_description(root).get("inputs") or {}
    changes: list[Fix] = []
    copies: list[tuple[Path, Path]] = [
        (path, to / path.name) for path in visible_files(root) if path.is_file()
    ]
    for split in SPLITS:
        folders = [f"{split}_{part}" for part in ("images", "segmentation", *inputs)]
        files = {folder: _named(root / folder, changes) for folder in folders}
        _rename_masks(root, files[folders[0]], files[folders[1]], changes)
        for folder, named in files.items():
            copies += ((source, to / folder / new) for source, new in named.items())
    with ThreadPoolExecutor(_THREADS) as pool:
        done = pool.map(_copy, copies)
        for count, _ in enumerate(done, start=1):
            if progress:
                progress(count, len(copies))
    return changes


def _named(folder: Path, changes: list[Fix]) -> dict[Path, str]:
    """The files of a folder that are images, with their names in the copy."""
    named: dict[Path, str] = {}
    if not folder.is_dir():
        return named
    for path in visible_files(folder):
        place = f"{folder.name}/{path.name}"
        try:
            with open_file(path) as file:
                suffix = content_suffix(file.read(_HEAD))
        except OSError as error:
            told = f"left out: cannot be read ({error.strerror})"
            changes.append(Fix("", place, "unreadable-file", told))
            continue
        if path.suffix.lower() in IMAGE_SUFFIXES:
            named[path] = path.name
        elif suffix:
            told = "named by its content" if suffix != _GIF else "a GIF, saved as PNG"
            suffix = suffix.replace(_GIF, ".png")
            named[path] = normal(_stem(path)) + suffix
            new = f"{folder.name}/{named[path]}"
            changes.append(Fix(new, place, "not-an-image", told))
        else:
            changes.append(Fix("", place, "not-an-image", "left out: no image"))
    return named


def _stem(path: Path) -> str:
    """The name without its suffix, or two of them, as in `a.png.tmp`."""
    stem = Path(path.stem)
    return stem.stem if stem.suffix.lower() in IMAGE_SUFFIXES else path.stem


def _rename_masks(
    root: Path, images: dict[Path, str], masks: dict[Path, str], changes: list[Fix]
) -> None:
    """Give masks the stems of their images, where one pattern tells these."""
    stems = {normal(Path(name).stem) for name in images.values()}
    by_stem = {normal(Path(name).stem): path for path, name in masks.items()}
    patterns = mask_names(stems, by_stem)
    if len(patterns) != 1 or len(by_stem) != len(masks):
        return
    pattern, image_of = patterns[0]
    for stem, image in image_of.items():
        path = by_stem[stem]
        masks[path] = f"{image}{Path(masks[path]).suffix}"
        folder, source = path.parent.name, path.relative_to(root).as_posix()
        new = f"{folder}/{masks[path]}"
        changes.append(Fix(new, source, "names-differ", f"renamed: {pattern}"))


def _copy(copy: tuple[Path, Path]) -> None:
    source, target = copy
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        if source.suffix == target.suffix:
            shutil.copyfile(source, target)
            return
        encoded = read_file(source, max_bytes=max_file_bytes())
    except OSError as error:
        raise SegError(f"{source}: cannot be copied ({error.strerror}).") from error
    if content_suffix(encoded) == _GIF:
        is_mask = source.parent.name.endswith("_segmentation")
        decode = decode_mask if is_mask else decode_image
        encoded = encode_png(decode(encoded, name=str(source)))
    target.write_bytes(encoded)
