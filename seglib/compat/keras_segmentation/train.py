"""Training of a model, or of one that is named."""

import inspect
from functools import wraps
from typing import Any

from seglib.compat.keras_segmentation.models.all_models import model_from_name
from seglib.compat.keras_segmentation.models.model import KerasSegmentationModel
from seglib.errors import UsageError, unknown
from seglib.training.state import Row

_SIGNATURE = inspect.signature(KerasSegmentationModel.train)


@wraps(KerasSegmentationModel.train)
def train(model: Any, *args: Any, **options: Any) -> list[Row]:
    given = _SIGNATURE.bind(model, *args, **options).arguments
    if isinstance(model, str):
        given["self"] = _built(model, given)
    return KerasSegmentationModel.train(**given)


def _built(name: str, given: dict[str, Any]) -> KerasSegmentationModel:
    if name not in model_from_name:
        raise unknown("model", name, model_from_name)
    if given.get("n_classes") is None:
        raise UsageError(f"`train` needs n_classes to build `{name}`.")
    sizes = {key: given.get(key) for key in ("input_height", "input_width")}
    size = sizes if None not in sizes.values() else {}
    return model_from_name[name](given["n_classes"], **size)
