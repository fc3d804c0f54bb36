"""The encoders, by name: an image in, maps {"P0" … "P5"} at stride 2**level out."""

from seglib.models.encoders import (
    efficientnet_lite,
    keras_applications,
    keras_hub,
    mix_transformer,
    plain_transformer,
    small,
)
from seglib.models.encoders.encoder import Encoder

ENCODERS: dict[str, Encoder] = {
    **small.ENCODERS,
    **efficientnet_lite.ENCODERS,
    **keras_applications.ENCODERS,
    **keras_hub.ENCODERS,
    **mix_transformer.ENCODERS,
    **plain_transformer.ENCODERS,
}
