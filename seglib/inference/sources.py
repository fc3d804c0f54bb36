"""Files to be predicted: images of files, folders and globs, and videos."""

import glob
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from seglib.data.image_io import IMAGE_SUFFIXES
from seglib.data.pairing import same_stem
from seglib.data.pairs import IMAGE, Inputs, describe, read_inputs
from seglib.data.video import VIDEO_SUFFIXES
from seglib.errors import SegError, UsageError
from seglib.storage.files import normal, visible_files


@dataclass(frozen=True)
class Source:
    """The files of one sample, in the order of the model's inputs."""

    name: str  # of its outputs, without a suffix
    files: tuple[Path, ...]
    missing: str = ""  # the problem of a sample without one of its files

    @property
    def is_video(self) -> bool:
        return self.files[0].suffix.lower() in VIDEO_SUFFIXES

    def read(self, inputs: Inputs) -> np.ndarray:
        """The inputs, joined: uint8 (H, W, sum of their channels).

        Raises:
            SegError: a file is missing or cannot be read.
        """
        if self.missing:
            raise SegError(self.missing)
        return read_inputs(self.files, inputs)

    def state(self) -> list[list[int]]:
        """Size in bytes and time of change (ns) of each file; -1 if there is none."""
        return [_state(path) for path in self.files]


def find_sources(
    given: Sequence[str | Path], inputs: Inputs, others: Mapping[str, str | Path]
) -> list[Source]:
    """Files, the images of folders, and what globs match; each with its partners.

    Args:
        others: of each further input, its folder.

    Raises:
        UsageError: no image among them, or two of one stem; a further input without a
            folder.
    """
    found = _by_stem(_files([os.fspath(each) for each in given]))
    beside = _files_beside(inputs, others)
    sources = []
    for path in found.values():
        files, missing = [path], ""
        for folder, partners in beside.items():
            partner = partners.get(normal(path.stem))
            missing = missing or (
                "" if partner else f"{path}: no file {path.stem}.* in {folder}."
            )
            files += [partner] * bool(partner) if partner else []
        sources.append(Source(path.stem, tuple(files), missing))
    videos = [source for source in sources if source.is_video]
    if videos and (len(inputs) > 1 or inputs[IMAGE] not in (1, 3)):
        raise UsageError(
            f"{videos[0].files[0]}: a video has no alpha and no further inputs. "
            f"The model takes {describe(inputs)}. Predict images."
        )
    return sources


def _files_beside(
    inputs: Inputs, others: Mapping[str, str | Path]
) -> dict[Path, dict[str, Path]]:
    """The files of each further input by stem, by folder, in the model's order."""
    wanted = [name for name in inputs if name != IMAGE]
    unknown = [name for name in others if name not in wanted]
    missing = [name for name in wanted if name not in others]
    if unknown or missing:
        raise UsageError(
            f"The model takes {describe(inputs)}. Give a folder for each "
            f"beyond the image, `--input NAME=FOLDER`. Received: "
            f"{', '.join(others) or 'none'}."
        )
    folders = [Path(others[name]) for name in wanted]
    return {folder: _by_stem(_files([str(folder)])) for folder in folders}


def _files(inputs: Sequence[str]) -> list[Path]:
    """The files among some paths, the images of folders, and the matches of globs."""
    found: list[Path] = []
    for text in inputs:
        path = Path(text)
        if path.is_dir():
            found += _images_of(path)
        elif os.path.lexists(path):
            found.append(path)
        elif glob.has_magic(text):
            matches = sorted(map(Path, glob.glob(text, recursive=True)))  # noqa: PTH207
            kinds = (*IMAGE_SUFFIXES, *VIDEO_SUFFIXES)
            found += (path for path in matches if path.suffix.lower() in kinds)
        else:
            raise UsageError(f"{path}: no such file or folder.")
    if not found:
        raise UsageError(
            f"No image found. Expected files that end in {', '.join(IMAGE_SUFFIXES)}. "
            f"Received: {', '.join(inputs)}."
        )
    return list(dict.fromkeys(found))


def _images_of(folder: Path) -> list[Path]:
    try:
        listed = visible_files(folder)
    except OSError as error:
        raise UsageError(
            f"{folder}: the folder cannot be listed ({error.strerror})."
        ) from error
    return [path for path in listed if path.suffix.lower() in IMAGE_SUFFIXES]


def _by_stem(paths: list[Path]) -> dict[str, Path]:
    """The paths by stem; two of one stem would be written to one place."""
    files: dict[str, Path] = {}
    for path in paths:
        other = files.setdefault(normal(path.stem), path)
        if other is not path:
            raise UsageError(
                f"{path} and {other} would both be written as {path.stem}.png: "
                f"{same_stem(path, other)}. Predict them into different folders."
            )
    return files


def _state(path: Path) -> list[int]:
    try:
        facts = path.stat()
    except (OSError, ValueError):
        return [-1, -1]
    return [facts.st_size, facts.st_mtime_ns]
