"""The model card: what an export is, how it is used, and how it compares."""

from typing import Any

from seglib.exports.exported import FORMATS, SAVED_MODEL
from seglib.models.contract import Contract

_HEAD = (
    *("file", "run by", "size", "largest logit difference", "equal pixels", "mIoU"),
    *("one image, p50 (p95)", "cold start"),
)
_AS_GOOD = 0.002  # of mIoU, or of the pixels


def recommended(table: dict[str, dict[str, Any]]) -> str:
    """The fastest format that answers as well as the Keras model."""
    keras = table["keras"]

    def is_as_good(name: str) -> bool:
        found = table[name]
        if found["miou"] is None:
            return bool(found["equal_pixels"] >= 1 - _AS_GOOD)
        return bool(found["miou"] >= keras["miou"] - _AS_GOOD)

    names = [name for name in table if name != "keras" and is_as_good(name)]
    return min(names, key=lambda name: table[name]["latency_ms"]["p50"], default="")


def model_card(contract: Contract, comparison: dict[str, Any]) -> str:
    """Markdown.

    Args:
        comparison: as `seglib.steps.export.export` gives it.

    Reference: Mitchell et al. 2019, "Model Cards for Model Reporting",
    arXiv:1810.03993.
    """
    table = comparison["formats"]
    names = [name for name in table if name != "keras"]
    height, width = contract.image_size
    best = recommended(table)
    inputs = ", ".join(f"{name} ({n} channels)" for name, n in contract.inputs.items())
    what = (
        f"Semantic segmentation into {contract.num_classes} classes. The network sees "
        f"{height}×{width} pixels: {inputs}, RGB, 0 … 255; normalisation is inside. "
        "`contract.json` has all of it for programs."
    )
    compared = (
        f"Compared on {len(comparison['images'])} images ({comparison['source']}); "
        "times are of two threads, of one image of the network's size, from its pixels "
        "to class ids."
    )
    limits = (
        "The scores hold for images like those of the dataset. Details smaller than a "
        f"pixel of {height}×{width} are lost: larger images are shrunk to that size. "
        f"{_ignored(contract)}"
    )
    lines = [
        f"# {contract.architecture} on {contract.encoder}",
        "",
        what,
        "",
        f"| {' | '.join(_HEAD)} |",
        "|---" * len(_HEAD) + "|",
        *(_row(name, table[name]) for name in table),
        "",
        compared,
    ]
    if best:
        lines += ["", f"The fastest that answers as well: **{FORMATS[best].file}**."]
    lines += ["", "## Use", "", "```python"]
    if SAVED_MODEL in names:
        lines += [
            "import tensorflow as tf",
            'ids = tf.saved_model.load("saved_model").serve(images)  # uint8, any size',
        ]
    else:
        lines += [
            "from seglib.exports.exported import ExportedModel",
            f'ids = ExportedModel.open(".", "{names[0]}").predict("image.png")',
        ]
    lines += [
        "```",
        "",
        "## Classes",
        "",
        "| id | name | colour |",
        "|---|---|---|",
        *(
            f"| {i} | {_cell(name)} | #{bytes(colour).hex()} |"
            for i, (name, colour) in enumerate(
                zip(contract.class_names, contract.palette, strict=True)
            )
        ),
        "",
        "## Limits",
        "",
        limits,
    ]
    return "\n".join(lines) + "\n"


def _row(name: str, found: dict[str, Any]) -> str:
    latency, miou = found["latency_ms"], found["miou"]
    size, start = found.get("bytes"), found.get("cold_start_s")
    cells = [
        FORMATS[name].file if name in FORMATS else "the Keras model",
        FORMATS[name].runtime if name in FORMATS else "Keras",
        "" if size is None else f"{size / 1e6:.1f} MB",
        f"{found['max_logit_difference']:.1e}",
        f"{found['equal_pixels']:.3%}",
        "" if miou is None else f"{miou:.4f}",
        f"{latency['p50']:.1f} ms ({latency['p95']:.1f})",
        "" if start is None else f"{start:.1f} s",
    ]
    return f"| {' | '.join(cells)} |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _ignored(contract: Contract) -> str:
    if contract.ignore_index is None:
        return "Every pixel gets a class."
    return (
        f"Pixels of the id {contract.ignore_index} were left out of training and "
        "scores; what such pixels show gets some class all the same."
    )
