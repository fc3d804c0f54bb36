"""The dataset format: folders of images and masks that share their stems.

`<split>_images/NAME.*` and `<split>_segmentation/NAME.png` for the splits train,
val and test; `dataset.yaml` beside them may name classes, colours, the ignored id and
further inputs, whose images lie in `<split>_<input>/NAME.*`.
The whole format is on one page: docs/data-format.md.
"""

import colorsys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from seglib.config import DataConfig
from seglib.data.description import DESCRIPTION, read_description, require_name
from seglib.data.images import IMAGE_SUFFIXES, read_mask
from seglib.data.pairs import IMAGE, Inputs, Pair, describe, missing_input
from seglib.errors import DatasetError

SPLITS = ("train", "val", "test")


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """A dataset folder, listed. `splits` holds only the splits that exist."""

    root: Path
    splits: Mapping[str, tuple[Pair, ...]]
    num_classes: int
    class_names: tuple[str, ...]
    palette: tuple[tuple[int, int, int], ...]
    ignore_index: int | None
    data_md5: str = ""  # the hash that DVC gives the folder, where known
    others: Inputs = field(default_factory=dict)  # inputs beside the image

    def pairs(self, split: str) -> tuple[Pair, ...]:
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

    @property
    def evaluation_split(self) -> str:
        """The split that scores are reported on."""
        return "test" if "test" in self.splits else "val"


@dataclass(frozen=True)
class Scan:
    """What a folder holds, and every reason why it is not a dataset."""

    dataset: Dataset
    problems: tuple[str, ...]


def load_dataset(
    root: str | Path,
    *,
    num_classes: int | None = None,
    ignore_index: int | None = None,
    class_names: tuple[str, ...] = (),
) -> Dataset:
    """List a dataset folder.

    Args:
        root: folder in the format above.
        num_classes: classes, background counted, the ignored id not. Default:
            dataset.yaml, else the largest id in the training masks + 1.
        ignore_index: id of the pixels that are not counted. Default: dataset.yaml.
        class_names: in id order. Default: dataset.yaml, else `class_0`, ….

    Raises:
        DatasetError: all problems of the listing at once, one `path: reason` a line.
    """
    scan = scan_dataset(
        root,
        num_classes=num_classes,
        ignore_index=ignore_index,
        class_names=class_names,
    )
    if scan.problems:
        raise DatasetError(
            f"{root}: {len(scan.problems)} problem(s). Nothing was changed; "
            f"`seglib verify {root}` explains them all.",
            scan.problems,
        )
    return scan.dataset


def dataset_from_config(root: str | Path, config: DataConfig) -> Dataset:
    """List a dataset folder with the settings of a config; see `load_dataset`."""
    return load_dataset(root, **config_options(config))


def config_options(config: DataConfig) -> dict[str, Any]:
    """A config's settings as the options of `load_dataset` and `scan_dataset`."""
    names = (name.strip() for name in config.class_names.split(","))
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
) -> Scan:
    """List a dataset folder and gather its problems instead of raising them.

    Raises:
        DatasetError: there is nothing to list (no folder, no split), or the
            dataset.yaml cannot be understood.
    """
    root = Path(root)
    if not root.is_dir():
        raise DatasetError(
            f"{root}: no such folder. Expected one that holds train_images/ and "
            "train_segmentation/ (see docs/data-format.md)."
        )
    description = read_description(root)
    others = dict(description.get("inputs") or {})
    splits: dict[str, tuple[Pair, ...]] = {}
    problems: list[str] = []
    for split in SPLITS:
        if (root / f"{split}_images").exists() or (
            root / f"{split}_segmentation"
        ).exists():
            splits[split], found = _list_split(root, split, others)
            problems += found
    if not splits:
        raise DatasetError(
            f"{root}: no split found. Expected train_images/ and train_segmentation/, "
            f"and the same for val and test. Received: {_listing(root)}."
        )
    for name in class_names:
        require_name(name)
    names = class_names or tuple(description.get("class_names") or ())
    given = num_classes or description.get("num_classes") or len(names)
    ignore = (
        ignore_index if ignore_index is not None else description.get("ignore_index")
    )
    count = given or _largest_id(splits, ignore) + 1
    if names and len(names) != count:
        problems.append(
            f"{root / DESCRIPTION}: {len(names)} class names for {count} classes"
        )
    palette = tuple(tuple(c) for c in description.get("palette") or ())
    if palette and len(palette) != count:
        problems.append(
            f"{root / DESCRIPTION}: {len(palette)} colours for {count} classes"
        )
    dataset = Dataset(
        root=root,
        splits=splits,
        num_classes=count,
        class_names=names or default_class_names(count),
        palette=palette or default_palette(count),
        ignore_index=ignore,
        others=others,
    )
    return Scan(dataset, tuple(problems))


def with_splits(dataset: Dataset, splits: Mapping[str, tuple[Pair, ...]]) -> Dataset:
    """The same dataset with other pairs."""
    return replace(dataset, splits=splits)


def default_class_names(num_classes: int) -> tuple[str, ...]:
    """`class_0`, `class_1`, … where nobody named them."""
    return tuple(f"class_{index}" for index in range(num_classes))


def default_palette(num_classes: int) -> tuple[tuple[int, int, int], ...]:
    """Colours that differ in hue and lightness, by the golden angle in HSV."""
    return tuple(_hsv_to_rgb(index) for index in range(num_classes))


def _hsv_to_rgb(index: int) -> tuple[int, int, int]:
    hue = (index * 0.61803398875 + 0.55) % 1.0
    saturation, value = 0.42 + 0.16 * (index % 3), 0.88 - 0.2 * (index % 2)
    red, green, blue = colorsys.hsv_to_rgb(hue, saturation, value)
    return round(red * 255), round(green * 255), round(blue * 255)


def _list_split(
    root: Path, split: str, others: Inputs
) -> tuple[tuple[Pair, ...], list[str]]:
    problems: list[str] = []
    images = _by_stem(root / f"{split}_images", problems)
    masks = _by_stem(root / f"{split}_segmentation", problems)
    for stem in sorted(images.keys() - masks.keys()):
        problems.append(
            f"{images[stem]}: image without mask; expected "
            f"{split}_segmentation/{stem}.png"
        )
    for stem in sorted(masks.keys() - images.keys()):
        problems.append(
            f"{masks[stem]}: mask without image; expected {split}_images/{stem}.*"
        )
    stems = images.keys() & masks.keys()
    found = {name: _by_stem(root / f"{split}_{name}", problems) for name in others}
    for name, files in found.items():
        if not files:
            continue  # of the folder, not of each image
        for stem in sorted(stems - files.keys()):
            problems.append(
                f"{images[stem]}: image without {name}; expected "
                f"{split}_{name}/{stem}.*"
            )
        for stem in sorted(files.keys() - images.keys()):
            problems.append(
                f"{files[stem]}: {name} without image; expected {split}_images/{stem}.*"
            )
        stems &= files.keys()
    if not stems and not problems:
        problems.append(f"{root / f'{split}_images'}: the split `{split}` is empty")
    pairs = (
        Pair(
            stem,
            images[stem],
            masks[stem],
            {name: files[stem] for name, files in found.items() if files},
        )
        for stem in sorted(stems)
    )
    return tuple(pairs), problems


def _by_stem(folder: Path, problems: list[str]) -> dict[str, Path]:
    if not folder.is_dir():
        problems.append(f"{folder}: no such folder")
        return {}
    files: dict[str, Path] = {}
    for path in _visible(folder):
        if path.suffix.lower() not in IMAGE_SUFFIXES:
            problems.append(f"{path}: not an image file by its suffix")
        elif path.stem in files:
            problems.append(f"{path}: same stem as {files[path.stem].name}")
        else:
            files[path.stem] = path
    return files


def _visible(folder: Path) -> Iterator[Path]:
    return (
        path
        for path in sorted(folder.iterdir())
        if path.is_file() and not path.name.startswith(".") and path.name != "Thumbs.db"
    )


def _listing(root: Path) -> str:
    names = sorted(path.name for path in root.iterdir())
    return (
        ", ".join(names[:8]) + (" …" if len(names) > 8 else "") if names else "nothing"
    )


def _largest_id(
    splits: Mapping[str, tuple[Pair, ...]], ignore_index: int | None
) -> int:
    largest = 0
    for pair in splits.get("train") or next(iter(splits.values())):
        mask = read_mask(pair.mask)
        ids = mask if ignore_index is None else mask[mask != ignore_index]
        largest = max(largest, int(ids.max(initial=0)))
    return largest
