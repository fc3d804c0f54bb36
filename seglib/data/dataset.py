"""The dataset format: folders of images and masks that share their stems.

`<split>_images/NAME.*` and `<split>_segmentation/NAME.png` for the splits train,
val and test; `dataset.yaml` beside them may name classes, colours, the ignored id and
further inputs, whose images lie in `<split>_<input>/NAME.*`.
The whole format is on one page: docs/data-format.md.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import escape

from seglib.config import DataConfig, ModelConfig
from seglib.data.dataset_yaml import DESCRIPTION, read_description, require_name
from seglib.data.image_io import jpeg_uri, read_image
from seglib.data.pairing import has_split, list_split
from seglib.data.pairs import (
    IMAGE,
    Inputs,
    Pair,
    describe,
    missing_input,
    read_pair,
    spread,
)
from seglib.data.problems import Problem
from seglib.data.tree import LOCAL, Tree
from seglib.drawing import Album, class_color, notebook
from seglib.errors import DatasetError, SegError
from seglib.storage.files import normal

SPLITS = ("train", "val", "test")
_SHOWN_PAIRS = 4  # in notebooks
_MEASURED_PAIRS = 9  # for their usual size


@dataclass(frozen=True, kw_only=True, repr=False)
class Dataset:
    """A dataset folder, listed. `splits` holds only the splits that exist."""

    root: Path
    splits: Mapping[str, Sequence[Pair]]
    num_classes: int
    class_names: tuple[str, ...]
    palette: tuple[tuple[int, int, int], ...]
    ignore_index: int | None
    data_md5: str = ""  # the hash that DVC gives the folder, where known
    others: Inputs = field(default_factory=dict)  # inputs beside the image

    def pairs(self, split: str) -> Sequence[Pair]:
        """The pairs of a split; "auto" is test where there is one, else val."""
        if split == "auto":
            split = self.evaluation_split
        if split not in self.splits:
            raise DatasetError(
                f"{self.root}: the dataset has no split `{split}`. It has: "
                f"{', '.join(self.splits)}. Expected {split}_images/ and "
                f"{split}_segmentation/."
            )
        return self.splits[split]

    def check_inputs(self, inputs: Inputs) -> None:
        """Raise a DatasetError unless every one of a model's inputs is here."""
        for name, channels in inputs.items():
            if name == IMAGE:
                continue  # is read with as many channels as the model asks for
            if name not in self.others:
                received = {IMAGE, *self.others}
                raise DatasetError(
                    f"{self.root}: {missing_input(name, inputs, received)}"
                )
            if self.others[name] != channels:
                raise DatasetError(
                    f"{self.root}: the model's inputs are {describe(inputs)}; the "
                    f"dataset's are image, {describe(self.others)}."
                )

    def _repr_html_(self) -> str:
        """For notebooks: splits, classes, and some pairs with their masks."""
        album = Album(self.class_names, self.palette, self.ignore_index, max_width=240)
        shown = ""
        try:
            for pair in spread(next(iter(self.splits.values()), ()), _SHOWN_PAIRS):
                album.add(*read_pair(pair, {IMAGE: 3}), pair.stem)
            if album.rows:
                source = jpeg_uri(album.sheet(), quality=85)
                shown = notebook.picture(source, "some pairs, and their masks")
        except SegError as error:  # a list of splits is better than none
            shown = escape(str(error))
        classes = notebook.class_list(self.class_names, self.palette)
        return notebook.card(self.root, self._told(), classes, shown)

    def __repr__(self) -> str:
        return f"Dataset({str(self.root)!r}: {self._told()})"

    def _told(self) -> str:
        """Its splits, inputs and classes in a line."""
        splits = ", ".join(f"{len(p):,} {split}" for split, p in self.splits.items())
        others = f"; further inputs: {describe(self.others)}" if self.others else ""
        ignored = "" if self.ignore_index is None else f", ignored: {self.ignore_index}"
        return f"pairs: {splits}; {self.num_classes} classes{ignored}{others}"

    @property
    def evaluation_split(self) -> str:
        """The split that scores are reported on."""
        return "test" if "test" in self.splits else "val"


@dataclass(frozen=True)
class Scan:
    """The listing of a folder, and every reason why it is not a dataset."""

    dataset: Dataset
    problems: tuple[Problem, ...]
    knows_classes: bool  # else the number is a stand-in; see `infer_classes`
    has_palette: bool
    severities: Mapping[str, str]  # kind of finding → severity, by dataset.yaml


def config_options(config: DataConfig) -> dict[str, Any]:
    """A config's settings as the options of `scan_dataset`."""
    names = (normal(name.strip()) for name in config.class_names.split(","))
    return {
        "num_classes": config.num_classes or None,
        "ignore_index": None if config.ignore_index < 0 else config.ignore_index,
        "class_names": tuple(name for name in names if name),
    }


def scan_dataset(
    root: str | Path,
    *,
    num_classes: int | None = None,
    ignore_index: int | None = None,
    class_names: tuple[str, ...] = (),
    tree: Tree = LOCAL,
) -> Scan:
    """List a dataset folder, open no image, and gather the problems of the listing.

    Args:
        root: folder in the format above.
        num_classes: classes, background counted, the ignored id not. Default:
            dataset.yaml.
        ignore_index: id of the pixels that are not counted. Default: dataset.yaml.
        class_names: in id order. Default: dataset.yaml, else `class_0`, ….
        tree: that holds the folder.

    Raises:
        DatasetError: there is nothing to list (no folder, no split), or the
            dataset.yaml cannot be understood.
    """
    root = Path(root)
    if tree is LOCAL and not root.is_dir():
        raise DatasetError(
            f"{root}: no such folder. Expected one that holds train_images/ and "
            "train_segmentation/ (see docs/data-format.md)."
        )
    description = read_description(root, tree)
    others = dict(description.get("inputs") or {})
    splits, problems = _list_splits(root, others, tree)
    for name in class_names:
        require_name(name)
    names = class_names or tuple(description.get("class_names") or ())
    given = num_classes or description.get("num_classes") or len(names)
    ignore = (
        ignore_index if ignore_index is not None else description.get("ignore_index")
    )
    palette = tuple(tuple(c) for c in description.get("palette") or ())
    count = given or len(palette) or 1
    if names and len(names) != count:
        problems.append(wrong_number(root, f"{len(names)} class names", count))
    if palette and len(palette) != count:
        problems.append(wrong_number(root, f"{len(palette)} colours", count))
    dataset = Dataset(
        root=root,
        splits=splits,
        num_classes=count,
        class_names=names or default_class_names(count),
        palette=palette or default_palette(count),
        ignore_index=ignore,
        others=others,
    )
    severities = dict(description.get("severities") or {})
    return Scan(dataset, tuple(problems), bool(given), bool(palette), severities)


def _list_splits(
    root: Path, others: Inputs, tree: Tree
) -> tuple[dict[str, Sequence[Pair]], list[Problem]]:
    splits: dict[str, Sequence[Pair]] = {}
    problems: list[Problem] = []
    for split in SPLITS:
        if has_split(root, split, tree):
            splits[split], found = list_split(root, split, others, tree)
            problems += found
    if not splits:
        raise DatasetError(
            f"{root}: no split found. Expected train_images/ and train_segmentation/, "
            f"and the same for val and test. Received: {_listing(root, tree)}."
        )
    return splits, problems


def wrong_number(root: Path, received: str, num_classes: int) -> Problem:
    """The problem of a dataset.yaml with too few or too many names or colours."""
    remedy = f"Make {DESCRIPTION}, --num-classes and the masks agree."
    reason = f"{received} for {num_classes} classes"
    return Problem(root / DESCRIPTION, reason, remedy, "description")


def with_splits(dataset: Dataset, splits: Mapping[str, Sequence[Pair]]) -> Dataset:
    """A dataset with other splits and pairs."""
    return replace(dataset, splits=splits)


def default_class_names(num_classes: int) -> tuple[str, ...]:
    """`class_0`, `class_1`, … for a dataset without names."""
    return tuple(f"class_{index}" for index in range(num_classes))


def default_palette(num_classes: int) -> tuple[tuple[int, int, int], ...]:
    """The colours of the class ids, for a dataset without its own."""
    return tuple(map(class_color, range(num_classes)))


def model_image_size(config: ModelConfig, dataset: Dataset) -> tuple[int, int]:
    """The (height, width) at which a config's model sees the images of a dataset."""
    if config.image_height:
        return config.image_height, config.image_width
    first = next(iter(dataset.splits.values()))[0]
    height, width = read_image(first.image, channels=config.channels).shape[:2]
    return height, width


def usual_image_size(pairs: Sequence[Pair]) -> tuple[int, int] | None:
    """The median (height, width) of some evenly spread images; None of no image."""
    sizes = []
    for pair in spread(pairs, _MEASURED_PAIRS):
        with suppress(SegError):  # training from shards needs none of them
            sizes.append(read_image(pair.image, channels=1).shape[:2])
    if not sizes:
        return None
    height, width = np.median(sizes, axis=0).astype(int).tolist()
    return height, width


def _listing(root: Path, tree: Tree) -> str:
    names = sorted([*(path.name for path in tree.folders(root)), *tree.names(root)[0]])
    return (
        ", ".join(names[:8]) + (" …" if len(names) > 8 else "") if names else "nothing"
    )
