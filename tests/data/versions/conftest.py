"""A repository with two versions of a dataset, added and pushed by DVC itself.

The masks are of 10×10 pixels, so that every share can be worked by hand:

    train  a  50 sky 40 road 10 car              v1, v2
           b  50 sky 30 road         20 ignored  v1
           b  50 sky 20 road 20 car  10 ignored  v2
           c  40 sky 58 road 2 pole              v1
           f  60 road 40 bike                    v2
    val    d  50 sky 50 road                     v1, v2
           e  the same mask                      v1, v2
"""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from seglib.data.image_io import write_image

NAMES = ("sky", "road", "car", "pole", "bike")
IDS = {name: index for index, name in enumerate(NAMES)} | {"ignored": 255}
_A = {"sky": 50, "road": 40, "car": 10}
_VAL = {"sky": 50, "road": 50}
MASKS = {
    "v1": {
        "train/a": _A,
        "train/b": {"sky": 50, "road": 30, "ignored": 20},
        "train/c": {"sky": 40, "road": 58, "pole": 2},
        "val/d": _VAL,
        "val/e": _VAL,
    },
    "v2": {
        "train/a": _A,
        "train/b": {"sky": 50, "road": 20, "car": 20, "ignored": 10},
        "train/f": {"road": 60, "bike": 40},
        "val/d": _VAL,
        "val/e": _VAL,
    },
}

_DVC = """
import shutil, subprocess, sys
from dvc.cli import main

def dvc(command):
    if main(command.split()):
        sys.exit(command)

def git(*command):
    who = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    subprocess.run(["git", *who, *command], check=True)

git("init", "--quiet")
dvc("init --quiet")
dvc("config --quiet core.analytics false")
dvc("remote add --quiet --default here remote")
for version in sys.argv[1:]:
    shutil.rmtree("data", ignore_errors=True)
    shutil.copytree(version, "data")
    dvc("add --quiet data")
    dvc("push --quiet")
    git("add", "data.dvc", ".dvc/config")
    git("commit", "--quiet", "-m", version)
    git("tag", version.rpartition("/")[2])
"""


@dataclass(frozen=True)
class Versions:
    """The repository, and where its versions lie besides."""

    repository: Path
    v1: str  # `<md5>.dir`
    v2: str

    @property
    def remote(self) -> Path:
        return self.repository / "remote"

    def folder(self, version: str) -> Path:
        return self.repository.parent / "folders" / version


def write_dataset(root: Path, masks: dict[str, dict[str, int]]) -> None:
    """The dataset of such masks; every image is another."""
    for number, (sample, pixels) in enumerate(sorted(masks.items())):
        split, stem = sample.split("/")
        mask = np.repeat([IDS[name] for name in pixels], list(pixels.values()))
        mask = mask.astype(np.uint8).reshape(10, 10)
        image = np.full((10, 10, 3), ord(stem) + number, np.uint8)
        write_image(root / f"{split}_images" / f"{stem}.png", image)
        write_image(root / f"{split}_segmentation" / f"{stem}.png", mask)
    seen = {name for pixels in masks.values() for name in pixels}
    names = NAMES if "bike" in seen else NAMES[:-1]
    text = f"class_names: [{', '.join(names)}]\nignore_index: 255\n"
    (root / "dataset.yaml").write_text(text)


@pytest.fixture(scope="session")
def pushed(tmp_path_factory: pytest.TempPathFactory) -> Versions:
    """Shared by all tests: nothing is written to it."""
    from seglib.storage.pins import pin_at

    base = tmp_path_factory.mktemp("versions")
    repository = base / "repository"
    repository.mkdir()
    for version, masks in MASKS.items():
        write_dataset(base / "folders" / version, masks)
    apart = {"DVC_GLOBAL_CONFIG_DIR", "DVC_SYSTEM_CONFIG_DIR", "DVC_SITE_CACHE_DIR"}
    home = str(tmp_path_factory.mktemp("home"))
    subprocess.run(
        [sys.executable, "-c", _DVC, *(str(base / "folders" / v) for v in MASKS)],
        cwd=repository,
        env={**os.environ, **dict.fromkeys(apart, home)},
        check=True,
    )
    return Versions(
        repository, *(pin_at(f"{v}", repository / "data.dvc") for v in MASKS)
    )


@pytest.fixture
def versions(pushed: Versions, tmp_path: Path, monkeypatch) -> Versions:
    """The test's own copy of the repository, and a cache in which nothing is."""
    base = tmp_path / "versions"
    shutil.copytree(pushed.repository.parent, base)
    monkeypatch.setenv("SEGLIB_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(base / "repository")
    return Versions(base / "repository", pushed.v1, pushed.v2)
