"""FCNs, of which the plain two take any encoder."""

from seglib.compat.keras_segmentation.models.constructors import (
    Constructor,
    built,
    constructor,
)
from seglib.compat.keras_segmentation.models.model import KerasSegmentationModel
from seglib.data.pairs import Inputs

fcn_8_vgg = constructor("fcn_8_vgg")
fcn_32_vgg = constructor("fcn_32_vgg")
fcn_8_resnet50 = constructor("fcn_8_resnet50")
fcn_32_resnet50 = constructor("fcn_32_resnet50")
fcn_8_mobilenet = constructor("fcn_8_mobilenet", 224, 224)
fcn_32_mobilenet = constructor("fcn_32_mobilenet", 224, 224)


def _plain(name: str) -> Constructor:
    def build(
        n_classes: int,
        encoder: str | None = None,
        input_height: int = 416,
        input_width: int = 608,
        channels: int = 3,
        *,
        others: Inputs | None = None,
        weights: str | None = None,
    ) -> KerasSegmentationModel:
        size = input_height, input_width
        return built(name, n_classes, size, channels, others, weights, encoder)

    build.__name__ = build.__qualname__ = name
    build.__doc__ = f"`{name}` on an encoder of `seglib models`. Default: its own."
    return build


fcn_8 = _plain("fcn_8")
fcn_32 = _plain("fcn_32")
