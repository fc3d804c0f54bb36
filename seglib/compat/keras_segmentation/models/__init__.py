"""The 22 models, by family."""

from seglib.compat.keras_segmentation.models import (
    all_models,
    fcn,
    model_utils,
    pspnet,
    segnet,
    unet,
)

__all__ = ["all_models", "fcn", "model_utils", "pspnet", "segnet", "unet"]
