"""Export a model to the form in which it is served, compared with the Keras model."""

import hashlib
import json
from pathlib import Path
from typing import Any

from seglib.config import ExportConfig
from seglib.errors import SegError
from seglib.exports.saved_model import compare_saved_model, write_saved_model
from seglib.models.model import SegmentationModel, load_model
from seglib.storage.atomic_write import whole_folder

COMPARISON, CHECKSUMS, CONTRACT = "comparison.json", "SHA256SUMS", "contract.json"


def export(
    model: SegmentationModel | str | Path,
    out: str | Path,
    *,
    config: ExportConfig | None = None,
) -> dict[str, Any]:
    """Write the model as it is served, and compare the two on the same images.

    `out/saved_model` answers `serve(images uint8 (N, H, W, C))`, any size, with class
    ids uint8 or uint16 (N, H, W); and `logits(images)` with float32 (N, H, W, classes).
    Beside it: contract.json, comparison.json and SHA256SUMS. Resizing and
    normalisation are inside.

    Returns:
        The comparison: largest logit difference, share of equal pixels, images.

    Raises:
        SegError: the export differs by more than the config allows, or `out` cannot
            be written; whatever was at `out` stays as it was.
    """
    config = config or ExportConfig()
    if not isinstance(model, SegmentationModel):
        model = load_model(model)
    with whole_folder(Path(out), what="export", marker=CHECKSUMS) as beside:
        write_saved_model(model, beside / "saved_model")
        comparison = compare_saved_model(model, beside / "saved_model")
        _check(comparison, config)
        (beside / CONTRACT).write_text(model.contract.to_json(), encoding="utf-8")
        (beside / COMPARISON).write_text(json.dumps(comparison, indent=2) + "\n")
        (beside / CHECKSUMS).write_text(_checksums(beside))
    return comparison


def _check(comparison: dict[str, Any], config: ExportConfig) -> None:
    difference, equal = comparison["max_logit_difference"], comparison["equal_pixels"]
    if difference > config.max_logit_difference or equal < config.min_equal_pixels:
        raise SegError(
            "The SavedModel does not answer like the Keras model. Expected: logits "
            f"within {config.max_logit_difference:g}, {config.min_equal_pixels:.2%} "
            f"equal pixels. Received: {difference:.2g}, {equal:.2%}. Nothing was "
            "written."
        )


def _checksums(folder: Path) -> str:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return "".join(
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(folder)}\n"
        for path in files
    )
