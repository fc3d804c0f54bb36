"""Models that keras_segmentation offers trained; seglib offers SegFormer."""

from typing import NoReturn

from seglib.errors import UsageError


def pspnet_50_ADE_20K() -> NoReturn:  # noqa: N802 # its name there
    _refuse("pspnet_50_ADE_20K", "ade20k", 150)


def pspnet_101_cityscapes() -> NoReturn:
    _refuse("pspnet_101_cityscapes", "cityscapes", 19)


def pspnet_101_voc12() -> NoReturn:
    _refuse("pspnet_101_voc12", "ade20k", 150)


def _refuse(name: str, weights: str, num_classes: int) -> NoReturn:
    raise UsageError(
        f"`{name}`: its weights are those of another network. SegFormer has published "
        f'ones: seglib.build_model("segformer", weights="{weights}", '
        f"num_classes={num_classes}, image_size=(512, 512))."
    )
