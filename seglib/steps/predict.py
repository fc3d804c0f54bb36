"""Prediction of files: class ids, colours, overlays, and a legend."""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from seglib.data.image_io import IMAGE_SUFFIXES, write_image
from seglib.data.pairing import same_stem
from seglib.data.pairs import IMAGE, describe, read_inputs, split
from seglib.errors import SegError, UsageError
from seglib.models.contract import Contract
from seglib.models.model import SegmentationModel, load_model
from seglib.report import colorize, legend, overlay
from seglib.storage.files import normal, visible_files


@dataclass(frozen=True)
class Predictions:
    """The written images, and the inputs that cannot be read."""

    written: tuple[Path, ...]  # the masks of class ids
    problems: tuple[str, ...]  # one `path: reason` each


def predict(
    model: SegmentationModel | str | Path,
    inputs: Path | Sequence[Path],
    out: Path,
    *,
    others: Mapping[str, Path] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Predictions:
    """Predict a file, a list of files, or all images of a folder.

    Writes, for each image NAME and at its own size, `ids/NAME.png` (pixel = class
    id), `color/NAME.png` and `overlay/NAME.png`, and one `legend.png`. A file that
    cannot be read is reported and does not stop the others.

    Args:
        others: of a model of several inputs, the folder of each beyond the image, by
            name; a file belongs to the image of its stem.

    Raises:
        UsageError: no image among the inputs, or two that would be written to the
            same name; a model's further input without a folder.
    """
    if not isinstance(model, SegmentationModel):
        model = load_model(model)
    paths = _by_stem(_images([inputs] if isinstance(inputs, Path) else inputs)).values()
    contract = model.contract
    beside = _files_beside(contract, others or {})
    write_image(out / "legend.png", legend(contract.class_names, contract.palette))
    written, problems = [], []
    for done, path in enumerate(paths, start=1):
        try:
            files = [path, *(_partner(path, found) for found in beside)]
            image = read_inputs(files, contract.inputs)
            prediction = model.predict(image)
        except SegError as error:
            problems.append(str(error))
        else:
            first = split(image, contract.inputs)[0]
            _write(out, path.stem, first, prediction, contract.palette)
            written.append(out / "ids" / f"{path.stem}.png")
        if progress:
            progress(done, len(paths))
    return Predictions(tuple(written), tuple(problems))


def _write(
    out: Path,
    name: str,
    image: np.ndarray,
    prediction: np.ndarray,
    palette: tuple[tuple[int, int, int], ...],
) -> None:
    write_image(out / "ids" / f"{name}.png", prediction)
    write_image(out / "color" / f"{name}.png", colorize(prediction, palette))
    picture = overlay(as_rgb(image), prediction, palette)
    write_image(out / "overlay" / f"{name}.png", picture)


def as_rgb(image: np.ndarray) -> np.ndarray:
    """An image of 1, 3 or 4 channels as RGB uint8 (H, W, 3), for showing."""
    if image.shape[2] == 1:
        return cv2.cvtColor(image, cv2.COLOR_GRAY2RGB)
    return np.ascontiguousarray(image[..., :3])


@dataclass(frozen=True)
class _Folder:
    """The files of one further input, by stem."""

    path: Path
    files: dict[str, Path]


def _files_beside(contract: Contract, others: Mapping[str, Path]) -> list[_Folder]:
    wanted = [name for name in contract.inputs if name != IMAGE]
    unknown = [name for name in others if name not in wanted]
    missing = [name for name in wanted if name not in others]
    if unknown or missing:
        raise UsageError(
            f"The model takes {describe(contract.inputs)}. Give a folder for each "
            f"beyond the image, `--input NAME=FOLDER`. Received: "
            f"{', '.join(others) or 'none'}."
        )
    return [_Folder(others[name], _by_stem(_images([others[name]]))) for name in wanted]


def _partner(path: Path, folder: _Folder) -> Path:
    partner = folder.files.get(normal(path.stem))
    if partner is None:
        raise SegError(f"{path}: no file {path.stem}.* in {folder.path}.")
    return partner


def _images(inputs: Iterable[Path]) -> list[Path]:
    found: list[Path] = []
    for path in inputs:
        if path.is_dir():
            found += (p for p in _listed(path) if p.suffix.lower() in IMAGE_SUFFIXES)
        elif os.path.lexists(path):
            found.append(path)
        else:
            raise UsageError(f"{path}: no such file or folder.")
    if not found:
        raise UsageError(
            f"No image found. Expected files that end in {', '.join(IMAGE_SUFFIXES)}. "
            f"Received: {', '.join(map(str, inputs))}."
        )
    return found


def _listed(folder: Path) -> list[Path]:
    try:
        return visible_files(folder)
    except OSError as error:
        raise UsageError(
            f"{folder}: the folder cannot be listed ({error.strerror})."
        ) from error


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
