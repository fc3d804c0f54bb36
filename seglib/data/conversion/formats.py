"""The formats by name, and how the files of a folder tell which it is."""

from collections.abc import Mapping

from seglib.data.conversion.ade20k import ADE20K
from seglib.data.conversion.cityscapes import CITYSCAPES
from seglib.data.conversion.coco import COCO
from seglib.data.conversion.coco_panoptic import COCO_PANOPTIC
from seglib.data.conversion.foreign import Format
from seglib.data.conversion.hugging_face import HUGGING_FACE
from seglib.data.conversion.labelme import LABELME
from seglib.data.conversion.own import SEGLIB
from seglib.data.conversion.paired_folders import COLOURS, KERAS_SEGMENTATION
from seglib.data.conversion.source import Source
from seglib.data.conversion.voc import VOC
from seglib.errors import DatasetError, unknown

AUTO, OWN = "auto", "seglib"
# In the order in which a folder is tried.
FORMATS: Mapping[str, Format] = {
    OWN: SEGLIB,
    "cityscapes": CITYSCAPES,
    "voc": VOC,
    "ade20k": ADE20K,
    "keras_segmentation": KERAS_SEGMENTATION,
    "coco-panoptic": COCO_PANOPTIC,
    "coco": COCO,
    "huggingface": HUGGING_FACE,
    "labelme": LABELME,
    "colours": COLOURS,
}


def find_format(source: Source, name: str = AUTO) -> tuple[str, list[str]]:
    """The name of a source's format, and those of others that would fit.

    Raises:
        DatasetError: none fits, or there is no such folder; says what each expects.
        UsageError: an unknown name.
    """
    if name != AUTO and name not in FORMATS:
        raise unknown("format", name, (AUTO, *FORMATS))
    root = source.root
    if not root.is_dir():
        raise DatasetError(f"{root}: no such folder. Expected one of a dataset.")
    if name != AUTO:
        return name, []
    fitting = [key for key, known in FORMATS.items() if known.recognises(source)]
    if not fitting:
        lines = [f"{key}: {known.files}" for key, known in FORMATS.items()]
        raise DatasetError(
            f"{root}: no format fits its files. Name one by --from. Expected:", lines
        )
    return fitting[0], fitting[1:]


def writable(name: str) -> Format | None:
    """The format to write; None for that of this library.

    Raises:
        UsageError: there is no such format.
    """
    if name not in FORMATS:
        raise unknown("format", name, FORMATS)
    return None if name == OWN else FORMATS[name]
