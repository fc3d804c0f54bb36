"""Pictures of a dataset."""

from pathlib import Path
from typing import Any

from seglib.compat.keras_segmentation.data_utils.data_loader import (
    FolderTree,
    Place,
    open_folders,
)
from seglib.config import Config, ModelConfig, TrainConfig
from seglib.steps.visualize import visualize


def visualize_segmentation_dataset(
    images_path: Place,
    segs_path: Place,
    n_classes: int,
    do_augment: bool = False,
    ignore_non_matching: bool = False,
    no_show: bool = False,
    image_size: tuple[int, int] | None = None,
    augment_name: str = "aug_all",
    custom_aug: Any = None,
    *,
    out: str | Path | None = None,
) -> Any:
    """Images and their annotations, with a legend; no window is opened.

    Args:
        do_augment: beside each, what training sees of it.
        ignore_non_matching: leave files without a partner out.
        no_show: without effect.
        image_size: (width, height) at which training sees the images. Default: theirs.
        custom_aug: as `custom_augmentation` of `train`.
        out: a file (.png, .jpg, .html), or a folder, that gets the pictures.

    Returns:
        A PIL image, which notebooks show; the path of what was written, with `out`.
    """
    tree = FolderTree({"train": (images_path, segs_path)})
    verify = not ignore_non_matching
    data = open_folders(tree, n_classes, splits=("train",), verify=verify)
    if not do_augment:
        return visualize(data, out)
    from seglib.compat.keras_segmentation.settings import UNALTERED, policy_of

    width, height = image_size or (0, 0)
    config = Config(
        model=ModelConfig(image_height=height, image_width=width),
        train=TrainConfig(**UNALTERED),
    )
    policy = policy_of(augment_name, custom_aug)
    return visualize(data, out, config=config, policy=policy)
