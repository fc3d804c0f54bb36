"""Prediction of files: class ids, colours, overlays, and a legend."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from seglib.artifact import SegmentationModel, load_model
from seglib.data.images import IMAGE_SUFFIXES, read_image, write_image
from seglib.errors import SegError, UsageError
from seglib.report import colorize, legend, overlay


@dataclass(frozen=True)
class Predictions:
    """What was written, and which inputs could not be read."""

    written: tuple[Path, ...]  # the masks of class ids
    problems: tuple[str, ...]  # one `path: reason` each


def predict(
    model: SegmentationModel | str | Path,
    inputs: Path | Sequence[Path],
    out: Path,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> Predictions:
    """Predict a file, a list of files, or all images of a folder.

    Writes, for each image NAME and at its own size, `ids/NAME.png` (pixel = class
    id), `color/NAME.png` and `overlay/NAME.png`, and one `legend.png`. A file that
    cannot be read is reported and does not stop the others.

    Raises:
        UsageError: no image among the inputs, or two that would be written to the
            same name.
    """
    if not isinstance(model, SegmentationModel):
        model = load_model(model)
    names = _output_names(_images([inputs] if isinstance(inputs, Path) else inputs))
    contract = model.contract
    write_image(out / "legend.png", legend(contract.class_names, contract.palette))
    written, problems = [], []
    for done, (name, path) in enumerate(names.items(), start=1):
        try:
            image = read_image(path, channels=contract.channels)
            prediction = model.predict(image)
        except SegError as error:
            problems.append(str(error))
        else:
            _write(out, name, image, prediction, contract.palette)
            written.append(out / "ids" / f"{name}.png")
        if progress:
            progress(done, len(names))
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


def _images(inputs: Iterable[Path]) -> list[Path]:
    found: list[Path] = []
    for path in inputs:
        if path.is_dir():
            found += sorted(
                p for p in path.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES
            )
        elif path.exists():
            found.append(path)
        else:
            raise UsageError(f"{path}: no such file or folder.")
    if not found:
        raise UsageError(
            f"No image found. Expected files that end in {', '.join(IMAGE_SUFFIXES)}. "
            f"Received: {', '.join(map(str, inputs))}."
        )
    return found


def _output_names(paths: list[Path]) -> dict[str, Path]:
    names: dict[str, Path] = {}
    for path in paths:
        if path.stem in names:
            raise UsageError(
                f"{path} and {names[path.stem]} would both be written as "
                f"{path.stem}.png. Predict them into different folders."
            )
        names[path.stem] = path
    return names
