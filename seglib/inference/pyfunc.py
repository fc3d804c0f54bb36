"""A model as MLflow's pyfunc flavour, for `load_model` and `mlflow models serve`.

A request has either pixels or encoded files; the answer has as many masks.
"""

import base64
import binascii
from pathlib import Path
from typing import Any

import numpy as np

from seglib.data.image_io import decode_image, encode_png
from seglib.errors import SegError
from seglib.models.model import SegmentationModel, load_model

COLUMN = "image"
_EXPECTED = (
    "expected pixels 0 … 255 of images of one size, (number, height, width, channels), "
    f"or a column `{COLUMN}` of PNG or JPEG files, in base64 where they are text"
)


class Pyfunc:
    """A model as MLflow calls it."""

    def __init__(self, model: SegmentationModel):
        self.model = model

    def predict(self, model_input: Any, params: Any = None) -> Any:
        """Class ids of images.

        Args:
            model_input: an array of pixels (N, H, W, channels), 0 … 255; or a table, or
                a mapping, with a column `image` of encoded files: bytes, or base64.
            params: none are known.

        Returns:
            Of pixels, class ids (N, H, W). Of files, a list with a mapping for each:
            `mask`, a PNG of class ids in base64, `height` and `width`.

        Raises:
            SegError: the input is neither.
        """
        if params:
            raise SegError(f"No parameters are known. Received: {', '.join(params)}.")
        if isinstance(model_input, np.ndarray) and model_input.dtype.kind in "iuf":
            return self.model.predict_batch(_pixels(model_input, self.model))
        try:
            files = list(model_input[COLUMN])
        except (KeyError, TypeError, IndexError, ValueError) as error:
            kind = type(model_input).__name__
            raise SegError(f"The input: {_EXPECTED}. Received: {kind}.") from error
        return [self._predict_file(file, place) for place, file in enumerate(files)]

    def _predict_file(self, file: Any, place: int) -> dict[str, Any]:
        name = f"{COLUMN} {place}"
        if isinstance(file, str):
            try:
                file = base64.b64decode(file, validate=True)
            except (binascii.Error, ValueError) as error:
                raise SegError(f"{name}: no base64 ({error}).") from error
        if not isinstance(file, bytes):
            raise SegError(f"{name}: {_EXPECTED}. Received: {type(file).__name__}.")
        contract = self.model.contract
        if len(contract.inputs) > 1:
            raise SegError(
                f"The model takes {', '.join(contract.inputs)}: send their pixels, "
                "joined along the channels."
            )
        image = decode_image(file, channels=contract.channels, name=name)
        mask = self.model.predict(image)
        height, width = mask.shape
        encoded = base64.b64encode(encode_png(mask)).decode()
        return {"mask": encoded, "height": height, "width": width}


def _load_pyfunc(path: str) -> Pyfunc:
    """MLflow calls this with the folder of the model."""
    return Pyfunc(load_model(Path(path)))


def _pixels(values: np.ndarray, model: SegmentationModel) -> np.ndarray:
    channels = model.contract.channels
    fits = values.ndim == 4 and values.shape[3] == channels and values.size
    if not fits or values.min() < 0 or values.max() > 255:
        raise SegError(
            f"The input: {_EXPECTED}; {channels} channels. Received: shape "
            f"{values.shape}{_range(values)}."
        )
    return values.astype(np.uint8)


def _range(values: np.ndarray) -> str:
    return f", values {values.min()} … {values.max()}" if values.size else ""
