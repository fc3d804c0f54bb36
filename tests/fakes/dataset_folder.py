"""Fixture: a small clean dataset, for tests to break.

A plugin of pytest (tests/conftest.py).
"""

import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from seglib.data.image_io import write_image


class DatasetFolder:
    """Three train and two val pairs of 24×32: sky (0), road (1), a car (2), void (255).

    Each mask has 8 rows of sky, 14 of road with a car of 6×10, and 2 of void: 256, 388
    and 60 pixels of the classes, and 64 ignored ones.
    """

    def __init__(self, root: Path):
        self.root = root
        self.describe("class_names: [sky, road, car]\nignore_index: 255\n")
        for split, stems in {"train": "abc", "val": "de"}.items():
            for stem in stems:
                write_image(self.image(split, stem), self.pixels(stem))
                write_image(self.mask(split, stem), self.ids())

    def image(self, split: str, stem: str) -> Path:
        return self.root / f"{split}_images" / f"{stem}.png"

    def mask(self, split: str, stem: str) -> Path:
        return self.root / f"{split}_segmentation" / f"{stem}.png"

    def describe(self, text: str) -> None:
        self.root.mkdir(exist_ok=True)
        (self.root / "dataset.yaml").write_text(text)

    @staticmethod
    def pixels(stem: str, *, size: tuple[int, int] = (24, 32)) -> np.ndarray:
        generator = np.random.default_rng(zlib.crc32(stem.encode()))
        noise = generator.integers(0, 256, (6, 8, 3)).astype(np.uint8)
        return cv2.resize(noise, size[::-1], interpolation=cv2.INTER_LINEAR)

    @staticmethod
    def ids() -> np.ndarray:
        mask = np.ones((24, 32), np.uint8)
        mask[:8] = 0
        mask[12:18, 4:14] = 2
        mask[22:] = 255
        return mask


@pytest.fixture
def folder(tmp_path: Path) -> DatasetFolder:
    return DatasetFolder(tmp_path / "streets")
