"""SegNets."""

from seglib.compat.keras_segmentation.models.constructors import constructor_with_level

segnet = constructor_with_level("segnet")
vgg_segnet = constructor_with_level("vgg_segnet")
resnet50_segnet = constructor_with_level("resnet50_segnet")
mobilenet_segnet = constructor_with_level("mobilenet_segnet", 224, 224)
