"""Prediction of files: class ids, colours, overlays, and a legend."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from seglib.data.image_io import IMAGE_SUFFIXES, write_image
from seglib.data.pairing import same_stem
from seglib.data.pairs import IMAGE, describe, read_inputs, split
from seglib.drawing.pictures import colorize, legend, overlay
from seglib.errors import SegError, UsageError
from seglib.models.contract import Contract
from seglib.models.model import SegmentationModel, load_model
from seglib.storage.files import normal, visible_files


@dataclass(frozen=True)
class Predictions:
    """The written images, and the inputs that cannot be read."""

    written: tuple[Path, ...]  # the masks of class ids
    problems: tuple[str, ...]  # one `path: reason` each


def predict(
    model: SegmentationModel | str | Path,
    inputs: str | Path | Sequence[str | Path],
    out: str | Path,
    *,
    others: Mapping[str, str | Path] | None = None,
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
    given = [inputs] if isinstance(inputs, str | Path) else inputs
    paths = _by_stem(_images([Path(path) for path in given])).values()
    out, contract = Path(out), model.contract
    beside = _files_beside(contract, others or {})
    write_image(out / "legend.png", legend(contract.class_names, contract.palette))
    written, problems = [], []
    for done, path in enumerate(paths, start=1):
        try:
            files = [path, *(_partner(path, *found) for found in beside.items())]
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
    picture = overlay(image, prediction, palette)
    write_image(out / "overlay" / f"{name}.png", picture)


def _files_beside(
    contract: Contract, others: Mapping[str, str | Path]
) -> dict[Path, dict[str, Path]]:
    """The files of each further input by stem, by folder, in the model's order."""
    wanted = [name for name in contract.inputs if name != IMAGE]
    unknown = [name for name in others if name not in wanted]
    missing = [name for name in wanted if name not in others]
    if unknown or missing:
        raise UsageError(
            f"The model takes {describe(contract.inputs)}. Give a folder for each "
            f"beyond the image, `--input NAME=FOLDER`. Received: "
            f"{', '.join(others) or 'none'}."
        )
    folders = [Path(others[name]) for name in wanted]
    return {folder: _by_stem(_images([folder])) for folder in folders}


def _partner(path: Path, folder: Path, files: Mapping[str, Path]) -> Path:
    partner = files.get(normal(path.stem))
    if partner is None:
        raise SegError(f"{path}: no file {path.stem}.* in {folder}.")
    return partner


def _images(inputs: Sequence[Path]) -> list[Path]:
    """The files among some paths, and the images of the folders among them."""
    found: list[Path] = []
    for path in inputs:
        if path.is_dir():
            try:
                listed = visible_files(path)
            except OSError as error:
                raise UsageError(
                    f"{path}: the folder cannot be listed ({error.strerror})."
                ) from error
            found += (p for p in listed if p.suffix.lower() in IMAGE_SUFFIXES)
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
