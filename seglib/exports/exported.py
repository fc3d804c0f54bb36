"""Exported models: their formats, and how each is opened by its own runtime."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Self

import numpy as np

from seglib.arguments import checked
from seglib.data.samples import Sample, read_sample
from seglib.errors import SegError, UsageError, unknown
from seglib.exports import litert, onnx_model, saved_model
from seglib.exports.resizing import enlarge, shrink
from seglib.hardware import require_memory
from seglib.models.contract import CONTRACT, NETWORK, Contract
from seglib.models.model import load_model
from seglib.storage.files import read_file

Runner = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class ExportFormat:
    """A form in which a model is served."""

    file: str  # or folder, in an export
    runtime: str
    packages: tuple[str, ...] = ()  # of the extra `export`, that write and run it
    is_rounded: bool = False  # other weights than the model's: other logits
    resizes: bool = False  # takes images of any size by itself


SAVED_MODEL, ONNX = "saved_model", "onnx"
FORMATS = {
    SAVED_MODEL: ExportFormat("saved_model", "TensorFlow", resizes=True),
    ONNX: ExportFormat("model.onnx", "ONNX Runtime", ("tf2onnx", "onnxruntime")),
    litert.FLOAT: ExportFormat("model.tflite", "LiteRT", ("ai_edge_litert",)),
    litert.HALF: ExportFormat("model_fp16.tflite", "LiteRT", ("ai_edge_litert",), True),
    litert.INTEGER: ExportFormat(
        "model_int8.tflite", "LiteRT", ("ai_edge_litert",), True
    ),
}


@dataclass(frozen=True)
class ExportedModel:
    """An exported model with its contract; it predicts as `SegmentationModel` does."""

    contract: Contract
    format: str
    run: Runner  # float32 (N, H, W, C) at the network's size → logits float32

    @classmethod
    @checked
    def open(cls, folder: str | Path, name: str, *, threads: int = 0) -> Self:
        """Open one format of an export.

        Args:
            folder: that `export` wrote.
            name: of the format; one of `FORMATS`.
            threads: that one image is computed by. Default: one a core. (A SavedModel
                takes those of TensorFlow.)

        Raises:
            UsageError: no such format, or the packages that run it are missing.
            SegError: the export does not have it.
        """
        require_packages([name])
        folder = Path(folder)
        path = folder / FORMATS[name].file
        if not path.exists():
            raise SegError(
                f"{path}: no such file. Export the model with "
                f"`seglib export --format {name}`."
            )
        threads = threads or len(os.sched_getaffinity(0))
        if name == SAVED_MODEL:
            run = saved_model.open_saved_model(path)
        elif name == ONNX:
            run = onnx_model.open_onnx(path, threads)
        else:
            run = litert.open_litert(path, threads)
        contract = Contract.from_json(read_file(folder / CONTRACT))
        return cls(contract, name, run)

    def predict(self, image: Sample) -> np.ndarray:
        """Class ids (H, W) of an image, at its own size; see `SegmentationModel`."""
        return self.predict_batch(read_sample(image, self.contract.inputs)[None])[0]

    def predict_logits(self, image: Sample) -> np.ndarray:
        """Logits float32 (H, W, num_classes) of an image, at its own size."""
        return self.predict_logits_batch(
            read_sample(image, self.contract.inputs)[None]
        )[0]

    def predict_batch(self, images: np.ndarray) -> np.ndarray:
        """Class ids (N, H, W) of images uint8 (N, H, W, channels) of one size."""
        return (
            self.predict_logits_batch(images)
            .argmax(-1)
            .astype(self.contract.mask_dtype)
        )

    def predict_logits_batch(self, images: np.ndarray) -> np.ndarray:
        """Logits float32 (N, H, W, num_classes) of images uint8 of one size."""
        require_memory(images.shape, self.contract.num_classes)
        if FORMATS[self.format].resizes:
            return self.run(images)
        logits = self.run(shrink(images, self.contract.image_size))
        return enlarge(logits, images.shape[1:3])


def open_model(model: Any, name: str = "") -> Any:
    """Load a model, or one format of an export, from its folder.

    Args:
        model: its folder; a model in memory is returned as it is.
        name: of the format; "" for a model.

    Raises:
        UsageError: an export without the name of a format, or see `ExportedModel.open`.
        SegError: it cannot be loaded.
    """
    if not isinstance(model, str | Path):
        return model
    folder = Path(model)
    if name:
        return ExportedModel.open(folder, name)
    if (folder / CONTRACT).is_file() and not (folder / NETWORK).is_file():
        there = [one for one, how in FORMATS.items() if (folder / how.file).exists()]
        if there:
            raise UsageError(
                f"{folder}: an export. Choose its format with --format: "
                f"{', '.join(there)}."
            )
    return load_model(folder)


def require_packages(names: list[str]) -> None:
    """See that some formats exist and can be written and run here.

    Raises:
        UsageError: one cannot.
    """
    for name in names:
        if name not in FORMATS:
            raise unknown("format", name, FORMATS)
        missing = [each for each in FORMATS[name].packages if find_spec(each) is None]
        if missing:
            package = missing[0].replace("_", "-")
            raise UsageError(
                f"The format `{name}` needs the package {package}. Install it with: "
                "pip install 'seglib[export]'."
            )
