"""Sample datasets: small street scenes, drawn by this code.

A scene is a function of its seed alone, so a dataset can be made again, longer or
shorter, without changing the scenes it has. The one that `data.dvc` pins was drawn by
an earlier version, with the same classes and numbers of scenes.
"""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import numpy as np
import yaml

from seglib.data.dataset import SPLITS
from seglib.data.dataset_yaml import DESCRIPTION
from seglib.data.image_io import encode_jpeg, encode_png
from seglib.errors import UsageError, unknown
from seglib.storage.atomic_write import write_bytes
from tools.scenes.canvas import VOID
from tools.scenes.street import render

CLASS_NAMES = (
    "sky",
    "building",
    "road",
    "pavement",
    "vegetation",
    "vehicle",
    "pedestrian",
    "pole",
)
PALETTE = (
    (116, 174, 224),
    (196, 122, 96),
    (104, 92, 122),
    (222, 184, 202),
    (96, 148, 64),
    (38, 76, 178),
    (222, 44, 60),
    (244, 198, 54),
)
IGNORE_INDEX = VOID
COUNTS: Mapping[str, int] = MappingProxyType({"train": 80, "val": 20, "test": 20})
_JPEG_QUALITY = 88


def render_scene(
    seed: int, *, height: int = 240, width: int = 320
) -> tuple[np.ndarray, np.ndarray]:
    """Draw one street.

    Args:
        seed: any integer ≥ 0; the same seed gives the same pixels.
        height: of the picture, in pixels.
        width: of the picture, in pixels.

    Returns:
        The image, uint8 (height, width, 3) RGB, and the mask, uint8 (height, width)
        of ids that index `CLASS_NAMES`; 255 is void: contours, and the far end in haze.
    """
    if min(height, width) < 32:
        raise UsageError(
            "A scene's sides must be ≥ 32 pixels. Received: "
            f"height={height}, width={width}."
        )
    ids = {name: index for index, name in enumerate(CLASS_NAMES)}
    return render(np.random.default_rng(seed), height=height, width=width, classes=ids)


def write_sample_dataset(
    root: Path, *, seed: int = 0, counts: Mapping[str, int] = COUNTS
) -> None:
    """Write the scenes and their dataset.yaml in the dataset format.

    Args:
        root: folder to write into.
        seed: of the whole dataset; each scene has its own, made of this one, its
            split and its number.
        counts: scenes in each split.
    """
    for split, count in counts.items():
        if split not in SPLITS:
            raise unknown("split", split, SPLITS)
        for index in range(count):
            image, mask = render_scene(_scene_seed(seed, split, index))
            name = f"{split}_{index:03d}"
            jpeg = encode_jpeg(image, quality=_JPEG_QUALITY)
            write_bytes(Path(root) / f"{split}_images" / f"{name}.jpg", jpeg)
            png = encode_png(mask, compression=9)
            write_bytes(Path(root) / f"{split}_segmentation" / f"{name}.png", png)
    write_bytes(Path(root) / DESCRIPTION, _description().encode())


def _scene_seed(seed: int, split: str, index: int) -> int:
    words = np.random.SeedSequence([seed, SPLITS.index(split), index]).generate_state(1)
    return int(words[0])


def _description() -> str:
    return yaml.safe_dump(
        {
            "class_names": list(CLASS_NAMES),
            "palette": [list(colour) for colour in PALETTE],
            "ignore_index": IGNORE_INDEX,
        },
        sort_keys=False,
        default_flow_style=None,
    )
