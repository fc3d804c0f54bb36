"""Look at a dataset: images and masks, as they are or as training sees them."""

import mimetypes
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from seglib.arguments import checked
from seglib.config import Config
from seglib.data.dataset import SPLITS, Dataset
from seglib.data.image_io import read_mask, write_image
from seglib.data.pairs import IMAGE, Pair, read_pair, spread
from seglib.data.verification.loading import opened
from seglib.drawing import Album
from seglib.errors import DatasetError, SegError, UsageError, unknown
from seglib.progress import Progress, Tell, shown
from seglib.report.pages import picture_page
from seglib.storage.atomic_write import write_text

SHEET, PAGE = "contact_sheet.png", "index.html"
LAYOUTS = ("side-by-side", "overlay")
_COUNT, _COUNT_WITH_VIEWS = 12, 6
_PANEL_WIDTH, _VIEW_WIDTH = 320, 240  # pixels


@checked
def visualize(
    dataset: Dataset | str | Path,
    out: str | Path | None = None,
    *,
    split: str = "train",
    count: int | None = None,
    layout: str = "side-by-side",
    class_name: str = "",
    augment: bool = False,
    draws: int = 4,
    config: Config | None = None,
    policy: Any = None,
    progress: Progress = None,
) -> Path | Image.Image:
    """Draw evenly spread pairs of a split, with a legend of the classes in them.

    With `augment`, each row shows a pair and its views in the first passes of a
    training with this configuration: the very pixels that the network would see.

    Args:
        dataset: or its folder, of which the files that are shown alone are opened.
        out: a file (.png, .jpg, .html), or a folder for contact_sheet.png and
            index.html. None: a picture that notebooks show.
        split: train, val or test; "auto" is test where there is one, else val.
        count: pairs to show. Default: 12, with `augment` 6.
        layout: "side-by-side": the image, and the mask laid over it; "overlay": the
            latter alone.
        class_name: shows pairs that hold a pixel of this class. Masks are read until
            there are `count`.
        augment: shows the training's views, too.
        draws: views of each pair.
        config: of the views: sections model and train.
        policy: as that of `seglib.train`; implies `augment`.
        progress: see `seglib.train`; a function is called with (files looked at, files
            to look at).

    Returns:
        The path of the picture, or of the page if `out` is one; a PIL image without
        `out`.

    Raises:
        UsageError: an unknown split, class, layout or policy; a count below 1; an
            `out` that is a folder of other things.
        SegError: a file cannot be read, a mask does not fit, `out` cannot be written.
    """
    augment = augment or policy is not None
    count = (_COUNT_WITH_VIEWS if augment else _COUNT) if count is None else count
    for name, number in {"count": count, "draws": draws}.items():
        if number < 1:
            raise UsageError(f"`{name}` must be ≥ 1. Received: {name}={number}.")
    if layout not in LAYOUTS:
        raise unknown("layout", layout, LAYOUTS)
    if augment and split != "train":
        raise UsageError(
            "A training sees the train split alone. Expected split='train' with "
            f"`augment`. Received: split={split!r}."
        )
    place = _checked(Path(out)) if out is not None else None
    dataset = opened(dataset, splits=())
    with shown(progress, "drawing") as tell:
        chosen = _choose(dataset, split, count, class_name, tell)
        album = Album(dataset.class_names, dataset.palette, dataset.ignore_index)
        preview = None
        if augment:
            # It imports grain, which takes a second.
            from seglib.training.preview import TrainingPreview

            preview = TrainingPreview.of(
                dataset, config or Config(), [*chosen], passes=draws, policy=policy
            )
            album.ignore_index, album.columns = preview.void, 1 + draws
            album.layout = "overlay" if layout == "overlay" else "stacked"
            album.max_width = _VIEW_WIDTH
        else:
            album.layout, album.max_width = layout, _PANEL_WIDTH
        for done, (index, pair) in enumerate(chosen.items(), 1):
            image, mask = read_pair(pair, {IMAGE: 3})
            told = _share(dataset, class_name, mask) if class_name else ""
            row = pair.stem if preview else ""
            album.add(
                image, mask, ("as it is" if preview else pair.stem) + told, row=row
            )
            for turn, view in enumerate(preview.views(index) if preview else (), 1):
                album.add(*view, f"pass {turn}", row=row)
            tell(done, len(chosen))
    text = preview.settings() if preview else ""
    words = preview.words() if preview else []
    if place is None:
        return Image.fromarray(album.sheet("\n".join([*words, text])))
    subtitle = f"{len(chosen)} of {len(dataset.pairs(split)):,} pairs"
    if class_name:
        subtitle += f" with {class_name}"
    if preview:
        subtitle += f" · {preview.title}"
    title = "What training sees" if preview else f"{split} split"
    return _write(album, place, title, subtitle, words, text)


def _choose(
    dataset: Dataset, split: str, count: int, class_name: str, tell: Tell
) -> dict[int, Pair]:
    """Pairs by their index in the split."""
    if split not in (*SPLITS, "auto"):
        raise unknown("split", split, [*dataset.splits, "auto"])
    pairs = dict(enumerate(dataset.pairs(split)))
    if not pairs:
        raise DatasetError(f"{dataset.root}: the split `{split}` holds no pair.")
    if not class_name:
        return dict(spread([*pairs.items()], count))
    if class_name not in dataset.class_names:
        raise unknown("class", class_name, dataset.class_names)
    class_id = dataset.class_names.index(class_name)
    found: dict[int, Pair] = {}
    # In any order but that of the names, whose neighbours are often alike.
    order = np.random.default_rng(0).permutation(len(pairs))
    for looked, index in enumerate(map(int, order), 1):
        if (read_mask(pairs[index].mask) == class_id).any():
            found[index] = pairs[index]
        tell(looked, len(pairs))
        if len(found) == count:
            break
    if not found:
        raise DatasetError(
            f"{dataset.root}: none of the {len(pairs):,} masks of the split `{split}` "
            f"holds the class `{class_name}` (id {class_id}). `seglib verify` tells "
            "in which splits a class is."
        )
    return dict(sorted(found.items()))


def _share(dataset: Dataset, class_name: str, mask: np.ndarray) -> str:
    pixels = mask == dataset.class_names.index(class_name)
    return f" · {pixels.sum():,} px of {class_name}"


def _checked(out: Path) -> Path:
    """Refuse places that cannot be written before the work."""
    kind = mimetypes.guess_type(out.name)[0] or ""
    is_file = _is_picture(out) or _is_page(out)
    if not is_file and kind.startswith(("image/", "application/pdf")):
        raise UsageError(
            f"`out` must be a .png, .jpg or .html file, or a folder. Received: {out}."
        )
    if is_file and out.is_dir():
        raise UsageError(
            f"{out}: a folder. Expected the name of a file, or of no file."
        )
    if not is_file and out.is_dir():
        others = {path.name for path in out.iterdir()} - {SHEET, PAGE}
        if others:
            raise UsageError(
                f"{out}: the folder holds other things, such as {min(others)}. "
                "Expected a new folder, an empty one or earlier pictures. Choose "
                "another, or a file such as sheet.png."
            )
    folder = out.parent if is_file else out
    while not folder.exists():
        folder = folder.parent
    if not folder.is_dir():
        raise SegError(f"{folder}: a file. Expected a folder to write {out} to.")
    return out


def _is_picture(out: Path) -> bool:
    return out.suffix.lower() in (".png", ".jpg", ".jpeg")


def _is_page(out: Path) -> bool:
    return out.suffix.lower() in (".html", ".htm")


def _write(
    album: Album, out: Path, title: str, subtitle: str, words: list[str], text: str
) -> Path:
    """Write the picture, the page, or a folder of both."""
    picture = None if _is_page(out) else out if _is_picture(out) else out / SHEET
    if picture:
        write_image(picture, album.sheet("\n".join([*words, text])))
    if picture != out:
        html = picture_page(
            album,
            title=title,
            subtitle=subtitle,
            alt="the image, and its mask",
            words=words,
            text=text,
        )
        write_text(out if _is_page(out) else out / PAGE, html)
    return picture or out
