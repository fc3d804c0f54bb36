"""Prediction of image and video files: class ids, pictures of them, and a legend."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from seglib.arguments import checked
from seglib.drawing.pictures import legend
from seglib.errors import UsageError
from seglib.exports.exported import FORMATS, open_model
from seglib.inference.file_prediction import FilePrediction, Predictions
from seglib.inference.outputs import COLOR, IDS, OVERLAY, Record, kinds_of, write_png
from seglib.inference.predictor import OVERLAP, Predictor
from seglib.inference.sources import find_sources
from seglib.models.contract import CONTRACT, NETWORK
from seglib.progress import Progress, shown
from seglib.storage.files import files_sha256


@checked
def predict(
    model: Any,
    inputs: str | Path | Sequence[str | Path],
    out: str | Path,
    *,
    others: Mapping[str, str | Path] | None = None,
    save: str | Sequence[str] = IDS,
    opacity: float = 0.5,
    tile: bool | None = None,
    overlap: float = OVERLAP,
    tta: str | Sequence[str | float] = (),
    export_format: str = "",
    overwrite: bool = False,
    keep_others: bool = False,
    progress: Progress = None,
) -> Predictions:
    """Predict files, all images of a folder, what a glob matches, or videos.

    Writes, at the image's own size, `KIND/NAME.png` of each image NAME, and one
    `legend.png`; of a video, `KIND/NAME.mp4`, and the ids as `ids/NAME/000000.png` and
    so on. Reading, prediction and writing overlap. A file that cannot be read is
    reported and does not stop the others. What an earlier call with the same model and
    settings has written stays and is skipped.

    Args:
        model: a model or its folder, or several, whose probabilities are averaged.
        others: of a model of several inputs, the folder of each beyond the image, by
            name; a file belongs to the image of its stem.
        save: kinds, a list or a text with commas: `ids` (pixel = class id), `color`,
            `overlay`, and, as grey values, `probability` of the predicted class and
            `uncertainty`, the entropy as a share of the largest possible.
        opacity: of the colours in overlays, 0 … 1.
        tile, overlap, tta: see `Predictor`.
        export_format: of an export, whose folder `model` is then.
        overwrite: predict also what is done.
        keep_others: refuse a folder that holds predictions of another model or of other
            settings.
        progress: see `seglib.train`; a function is called with (images and frames done,
            all of them).

    Raises:
        UsageError: no image among the inputs, or two that would be written to the
            same name; a model's further input without a folder; an argument out of its
            range.
        SegError: a model cannot be loaded, or an output cannot be written.
    """
    if not 0 <= opacity <= 1:
        raise UsageError(f"`opacity` must be 0 … 1. Received: {opacity}.")
    kinds, out = kinds_of(save), Path(out)
    models = list(model) if isinstance(model, list | tuple) else [model]
    loaded = [open_model(each, export_format) for each in models]
    predictor = Predictor(loaded, tile=tile, overlap=overlap, tta=tta)
    contract = predictor.contract
    given = [inputs] if isinstance(inputs, str | Path) else inputs
    sources = find_sources(given, contract.inputs, others or {})
    digests = [_digest(each, export_format) for each in models]
    settings = {
        "models": digests,
        "save": list(kinds),
        "opacity": opacity,
        "tile": [tile, overlap],
        "flips": list(predictor.flips),
        "scales": list(predictor.scales),
    }
    record = Record(out, settings if all(digests) else None, keep_others=keep_others)
    if {COLOR, OVERLAY} & set(kinds):
        write_png(out / "legend.png", legend(contract.class_names, contract.palette))
    with shown(progress, "predicting") as tell:
        run = FilePrediction(predictor, out, kinds, opacity, record, tell)
        return run.run(sources, overwrite=overwrite)


def _digest(model: Any, name: str) -> str:
    """Of the files of a model or export; "" for a model in memory."""
    if not isinstance(model, str | Path):
        return ""
    folder = Path(model)
    path = folder / (FORMATS[name].file if name else NETWORK)
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    return files_sha256([folder / CONTRACT, *filter(Path.is_file, files)])
