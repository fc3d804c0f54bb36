"""U-Nets."""

from seglib.compat.keras_segmentation.models.constructors import (
    constructor,
    constructor_with_level,
)

unet_mini = constructor("unet_mini", 360, 480)
unet = constructor_with_level("unet")
vgg_unet = constructor_with_level("vgg_unet")
resnet50_unet = constructor_with_level("resnet50_unet")
mobilenet_unet = constructor_with_level("mobilenet_unet", 224, 224)
