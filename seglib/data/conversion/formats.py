"""The formats: how each is recognised, read and written."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from seglib.data.conversion import (
    ade20k,
    cityscapes,
    coco,
    coco_masks,
    coco_panoptic,
    colour_folders,
    hugging_face,
    keras_layout,
    labelme,
    own,
    voc,
)
from seglib.data.conversion.foreign import ForeignDataset, ReadOptions
from seglib.data.dataset import Dataset
from seglib.errors import DatasetError, UsageError, unknown

AUTO, OWN = "auto", "seglib"


@dataclass(frozen=True)
class Format:
    """A format; `files` tells people what its folder holds."""

    files: str
    recognises: Callable[[Path], bool]
    read: Callable[[Path, ReadOptions], ForeignDataset]
    write: Callable[[Dataset, Path], None] | None = None
    require_library: Callable[[], object] = bool  # asked before the work


# In the order in which a folder is tried.
FORMATS: Mapping[str, Format] = {
    OWN: Format("train_images/, train_segmentation/", own.recognises, own.read),
    "cityscapes": Format(
        "leftImg8bit/train/CITY/*_leftImg8bit.png, "
        "gtFine/train/CITY/*_gtFine_labelIds.png",
        cityscapes.recognises,
        cityscapes.read,
    ),
    "voc": Format(
        "JPEGImages/, SegmentationClass/, ImageSets/Segmentation/train.txt",
        voc.recognises,
        voc.read,
        voc.write,
    ),
    "ade20k": Format(
        "images/training/, annotations/training/, objectInfo150.txt",
        ade20k.recognises,
        ade20k.read,
        ade20k.write,
    ),
    "keras_segmentation": Format(
        "images_prepped_train/, annotations_prepped_train/",
        keras_layout.recognises,
        keras_layout.read,
        keras_layout.write,
    ),
    "coco-panoptic": Format(
        "annotations/panoptic_train.json, annotations/panoptic_train/*.png, images",
        coco_panoptic.recognises,
        coco_panoptic.read,
        coco_panoptic.write,
    ),
    "coco": Format(
        "annotations/instances_train.json (or one JSON of another name), images",
        coco.recognises,
        coco.read,
        coco.write,
        coco_masks.require_library,
    ),
    "huggingface": Format(
        "train/metadata.jsonl with file_name and mask_file_name; or *.parquet; or "
        "*.arrow",
        hugging_face.recognises,
        hugging_face.read,
        hugging_face.write,
    ),
    "labelme": Format(
        "a JSON with `shapes` beside each image",
        labelme.recognises,
        labelme.read,
        labelme.write,
    ),
    "colours": Format(
        "class_dict.csv (or label_colors.txt, labelmap.txt, config.json), and "
        "images/, masks/ or train/, train_labels/",
        colour_folders.recognises,
        colour_folders.read,
        colour_folders.write,
    ),
}


def find_format(root: Path, name: str = AUTO) -> tuple[str, list[str]]:
    """The name of a source's format, and those of others that would fit.

    Raises:
        DatasetError: none fits, or there is no such folder; says what each expects.
        UsageError: an unknown name.
    """
    if name != AUTO and name not in FORMATS:
        raise unknown("format", name, (AUTO, *FORMATS))
    if not root.is_dir():
        raise DatasetError(f"{root}: no such folder. Expected one of a dataset.")
    if name != AUTO:
        return name, []
    fitting = [key for key, known in FORMATS.items() if known.recognises(root)]
    if not fitting:
        lines = [f"{key}: {known.files}" for key, known in FORMATS.items()]
        raise DatasetError(
            f"{root}: no format fits its files. Name one by --from. Expected:", lines
        )
    return fitting[0], fitting[1:]


def writable(name: str) -> Format | None:
    """The format to write; None for that of this library.

    Raises:
        UsageError: there is no such format, or it is only read.
    """
    if name == OWN:
        return None
    names = [key for key, known in FORMATS.items() if known.write]
    if name in FORMATS and name not in names:
        told = ", ".join([OWN, *names])
        raise UsageError(f"The format `{name}` is only read. Expected one of: {told}.")
    if name not in FORMATS:
        raise unknown("format", name, [OWN, *names])
    return FORMATS[name]
