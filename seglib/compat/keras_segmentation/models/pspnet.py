"""PSPNets."""

from seglib.compat.keras_segmentation.models.constructors import constructor

pspnet = constructor("pspnet", 384, 576)
vgg_pspnet = constructor("vgg_pspnet", 384, 576)
resnet50_pspnet = constructor("resnet50_pspnet", 384, 576)
pspnet_50 = constructor("pspnet_50", 473, 473)
pspnet_101 = constructor("pspnet_101", 473, 473)
