"""Datasets whose images and annotations lie in folders of any names."""

import logging
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import yaml

from seglib.config import TrainConfig
from seglib.data.dataset import Dataset, scan_dataset
from seglib.data.dataset_yaml import DESCRIPTION, read_description
from seglib.data.pairs import IMAGE, Inputs, Pair, stem_of
from seglib.data.problems import some_of_each
from seglib.data.tree import Tree
from seglib.data.verification.verifier import examine
from seglib.drawing import class_color
from seglib.drawing.layout import resize_ids
from seglib.errors import DatasetError, UsageError

if TYPE_CHECKING:
    from seglib.models.contract import Contract  # which imports Keras

logger = logging.getLogger(__name__)

IMAGE_ORDERING = "channels_last"
DataLoaderError = DatasetError
# Blue, green, red, as OpenCV has them; the colours themselves are seglib's.
class_colors = [class_color(index)[::-1] for index in range(1024)]

Place = str | Path
TwoFolders = tuple[Place, Place]  # of images, and of annotations


class FolderTree(Tree):
    """Folders of any names as those of a dataset; no file is moved or copied.

    Args:
        splits: the folders of images and annotations of each split.
        others: the folder of each further input, for all splits.
        inputs: name and channels of these.

    Raises:
        DatasetError: one of the folders does not exist.
    """

    def __init__(
        self,
        splits: Mapping[str, TwoFolders],
        others: Mapping[str, Place] | None = None,
        inputs: Inputs | None = None,
    ):
        self._folders: dict[str, Path] = {}
        for split, (images, masks) in splits.items():
            self._folders[f"{split}_images"] = Path(images)
            self._folders[f"{split}_segmentation"] = Path(masks)
            for name, folder in (others or {}).items():
                self._folders[f"{split}_{name}"] = Path(folder)
        for folder in self._folders.values():
            if not folder.is_dir():
                raise DatasetError(
                    f"{folder}: no such folder. Expected one of images, and one of "
                    "annotations of the same names."
                )
        self.root = next(iter(self._folders.values())).parent
        description = read_description(self.root) | {"inputs": dict(inputs or {})}
        self._description = yaml.safe_dump(description).encode()

    def exists(self, path: Path) -> bool:
        return path.name == DESCRIPTION or path.name in self._folders

    def folders(self, folder: Path) -> list[Path]:
        return []  # none of which something would have to be told

    def place(self, folder: Path) -> Path:
        return self._folders[folder.name]

    def names(self, folder: Path) -> tuple[list[str], set[str]]:
        found, odd = super().names(self.place(folder))
        split, _, part = folder.name.partition("_")
        if part not in ("images", "segmentation"):
            images, _ = super().names(self._folders[f"{split}_images"])
            stems = set(map(stem_of, images))  # those of the other splits lie here, too
            found = [name for name in found if stem_of(name) in stems]
        return found, odd

    def read(self, path: Path) -> bytes:
        is_description = path == self.root / DESCRIPTION
        return self._description if is_description else super().read(path)


def open_folders(
    tree: FolderTree,
    n_classes: int,
    *,
    ignore_index: int | None = None,
    splits: Collection[str],
    verify: bool = True,
) -> Dataset:
    """The dataset of some folders.

    A dataset.yaml beside the images names classes, colours and the ignored id.

    Raises:
        DatasetError: all problems at once, one `path: reason` a line.
    """
    options: dict[str, Any] = {"num_classes": n_classes, "ignore_index": ignore_index}
    if not verify:
        scan = scan_dataset(tree.root, **options, tree=tree)
        wrong = [p for p in scan.problems if p.kind == "description"]
        if wrong:
            raise DatasetError(f"{tree.root}:", some_of_each(wrong))
        return scan.dataset
    found = examine(tree.root, options, splits=splits, tree=tree)
    try:
        found.raise_if_bad()
    except DatasetError as error:
        raise DatasetError(f"{error}\n{_words(tree)}") from error
    return found.dataset


def pair_up(
    images: Sequence[Place], masks: Sequence[Place], contract: "Contract"
) -> Dataset:
    """The val split of images and masks, pair by pair, of a model's classes.

    Raises:
        UsageError: they are not as many paths.
    """
    given = [*images, *masks]
    kinds = sorted({type(one).__name__ for one in given})
    are_paths = all(isinstance(one, str | Path) for one in given)
    if len(images) != len(masks) or not are_paths:
        raise UsageError(
            "`inp_images` and `annotations` must be as many paths. Received: "
            f"{len(images)} and {len(masks)}, {', '.join(kinds)}."
        )
    pairs = tuple(
        Pair(Path(image).stem, Path(image), Path(mask))
        for image, mask in zip(images, masks, strict=True)
    )
    return Dataset(
        root=Path(),
        splits={"val": pairs},
        num_classes=contract.num_classes,
        class_names=contract.class_names,
        palette=contract.palette,
        ignore_index=contract.ignore_index,
    )


def verify_segmentation_dataset(
    images_path: Place, segs_path: Place, n_classes: int, show_all_errors: bool = False
) -> bool:
    """Whether a dataset can be used; its problems and warnings are logged.

    Args:
        show_all_errors: log each of them, not a few of each kind.
    """
    try:
        tree = FolderTree({"train": (images_path, segs_path)})
        options = {"num_classes": n_classes}
        found = examine(tree.root, options, splits=("train",), tree=tree)
    except DatasetError as error:
        logger.error("%s", error)
        return False
    for log, each in ((logger.error, found.problems), (logger.warning, found.warnings)):
        for line in map(str, each) if show_all_errors else some_of_each(each):
            log("%s", line)
    if not found.ok:
        logger.error("%s", _words(tree))
    return found.ok


def get_pairs_from_paths(
    images_path: Place,
    segs_path: Place,
    ignore_non_matching: bool = False,
    other_inputs_paths: Sequence[Place] | None = None,
) -> list[tuple[str, ...]]:
    """The paths of each image, its annotation, and its further inputs.

    Raises:
        DatasetError: a file without a partner, unless these are to be ignored.
    """
    others = {f"input_{i}": path for i, path in enumerate(other_inputs_paths or (), 1)}
    splits = {"train": (images_path, segs_path)}
    tree = FolderTree(splits, others, dict.fromkeys(others, 3))
    scan = scan_dataset(tree.root, tree=tree)
    if scan.problems and not ignore_non_matching:
        raise DatasetError(f"{images_path}:", some_of_each(scan.problems))
    return [
        (str(pair.image), str(pair.mask), *(str(pair.others[name]) for name in others))
        for pair in scan.dataset.pairs("train")
    ]


def image_segmentation_generator(
    images_path: Place,
    segs_path: Place,
    batch_size: int,
    n_classes: int,
    input_height: int,
    input_width: int,
    output_height: int,
    output_width: int,
    do_augment: bool = False,
    augmentation_name: str = "aug_all",
    custom_augmentation: Any = None,
    other_inputs_paths: Sequence[Place] | None = None,
    preprocessing: Any = None,
    read_image_type: int = 1,
    ignore_segs: bool = False,
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Endless batches for a training loop of one's own.

    Yields:
        Images float32 (N, input_height, input_width, C) in 0 … 255, RGB or grey, and
        the classes, float32 (N, output_height * output_width, n_classes): 1 for that
        of the pixel. Pixels that an augmentation reveals have none.

    Raises:
        UsageError: further inputs, images without annotations, or preprocessing.
    """
    from seglib.compat.keras_segmentation.settings import (
        UNALTERED,
        policy_of,
        require_supported,
    )
    from seglib.data.loader import PairSource, training_batches

    if other_inputs_paths or ignore_segs:
        raise UsageError(
            "`image_segmentation_generator` gives images and their annotations. For "
            "other_inputs_paths use `train`, for ignore_segs `perform_distilation`."
        )
    channels = 1 if read_image_type == 0 else 3
    require_supported(preprocessing, read_image_type, channels)
    tree = FolderTree({"train": (images_path, segs_path)})
    data = open_folders(tree, n_classes, splits=("train",), verify=False)
    batches = training_batches(
        PairSource(data.pairs("train"), inputs={IMAGE: channels}),
        image_size=(input_height, input_width),
        ignore_index=None,
        config=TrainConfig(batch_size=batch_size, **UNALTERED),
        policy=policy_of(augmentation_name, custom_augmentation) if do_augment else "",
    )
    for images, masks in batches:
        ids = np.stack([resize_ids(m, (output_height, output_width)) for m in masks])
        classes = ids.reshape(len(ids), -1, 1) == np.arange(n_classes)
        yield images.astype(np.float32), classes.astype(np.float32)


def _words(tree: FolderTree) -> str:
    """What the remedies of `seglib verify` mean here."""
    return (
        "Here --num-classes is n_classes, and --ignore-index is a line "
        f"`ignore_index: ID` in {tree.root / DESCRIPTION}."
    )
