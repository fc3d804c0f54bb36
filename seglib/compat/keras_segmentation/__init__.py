"""keras_segmentation's names over seglib: the import is all that a script changes.

    from seglib.compat.keras_segmentation.models.unet import vgg_unet

Names, arguments and defaults are those of keras_segmentation (July 2023), the models
and results are seglib's. docs/keras_segmentation.md maps each call, and lists the
differences. Submodules are loaded when they are first used.
"""

import importlib
from typing import Any

_MODULES = (
    "data_utils",
    "metrics",
    "model_compression",
    "models",
    "predict",
    "pretrained",
    "train",
)


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return importlib.import_module(f"{__name__}.{name}")
