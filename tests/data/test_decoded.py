"""Decoded pairs that do not fit the memory: one file in the cache."""

import os
import re
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from seglib.config import TrainConfig
from seglib.data import loader
from seglib.data.dataset import Dataset
from seglib.data.decoded import DecodedPairs, DecodedPairsError, open_decoded
from seglib.data.loader import PairSource, training_batches
from seglib.environment import CACHE
from tests.fakes.disks import fill

INPUTS = {"image": 3}


@dataclass(frozen=True)
class Disk:
    free: int


FREE = Disk(2**40)


@pytest.fixture
def small_memory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """No image fits it; gives the folder of the cache."""
    monkeypatch.setattr(loader, "CACHED_BYTES", 1000)
    monkeypatch.setenv(CACHE, str(tmp_path / "cache"))
    return tmp_path / "cache" / "decoded"


def _pairs(count: int = 5) -> list[tuple[np.ndarray, np.ndarray]]:
    """Of several sizes, numbers of channels and types of ids."""
    rng = np.random.default_rng(0)
    return [
        (
            rng.integers(0, 256, (7 + i, 5, 1 + i % 4)).astype(np.uint8),
            rng.integers(0, 60000, (7 + i, 5)).astype((np.uint8, np.uint16)[i % 2]),
        )
        for i in range(count)
    ]


def _open(place: Path, key: str, pairs: list[Any], size: int = 0) -> DecodedPairs:
    return open_decoded(
        place, key, count=len(pairs), size_bytes=size, decode=pairs.__getitem__
    )


def test_the_pairs_are_read_as_they_were_decoded(tmp_path):
    pairs = _pairs(70)  # more than are decoded at once
    found = _open(tmp_path, "a", pairs)
    assert len(found) == 70
    for index in (3, 69, 0, 69):
        for one, other in zip(found[index], pairs[index], strict=True):
            assert one.dtype == other.dtype
            assert (one == other).all()


def test_the_next_training_decodes_nothing(tmp_path):
    _open(tmp_path, "a", _pairs())
    again = open_decoded(tmp_path, "a", count=5, size_bytes=0, decode=pytest.fail)
    assert (again[4][0] == _pairs()[4][0]).all()


@pytest.mark.parametrize("name", ["index.npy", "pairs.bin"])
def test_a_file_without_its_content_is_written_again(tmp_path, name):
    (_open(tmp_path, "a", _pairs()).folder / name).write_bytes(b"")
    again = _open(tmp_path, "a", _pairs())
    assert (again[4][0] == _pairs()[4][0]).all()


def test_the_longest_unused_give_way_and_who_reads_them_goes_on(tmp_path, monkeypatch):
    pairs = _pairs()
    for number, key in enumerate("abc"):
        first = _open(tmp_path, key, pairs)
        os.utime(first.folder, (number, number))
    oldest = _open(tmp_path, "a", pairs)  # which is used again
    each = (oldest.folder / "pairs.bin").stat().st_size
    # Half of what is free, and what is taken, is room for two and a half.
    free = replace(FREE, free=2 * each)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: free)
    second = DecodedPairs(tmp_path / "b")
    _open(tmp_path, "d", pairs, each)
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == [
        "a",
        "d",
    ]
    assert (second[2][0] == pairs[2][0]).all()
    with pytest.raises(DecodedPairsError, match=r"half of what is free.*SEGLIB_CACHE"):
        _open(tmp_path, "e", pairs, 3 * each)


def test_decoding_that_fails_leaves_nothing(tmp_path):
    def decode(index: int) -> Any:
        if index == 3:
            raise ValueError("a damaged image")
        return _pairs()[index]

    with pytest.raises(ValueError, match="damaged"):
        open_decoded(tmp_path, "a", count=5, size_bytes=0, decode=decode)
    assert not [path for path in tmp_path.iterdir() if path.is_dir()]
    _open(tmp_path, "a", _pairs())


def _batches(source: PairSource) -> list[Any]:
    batches = iter(
        training_batches(
            source, image_size=(64, 96), ignore_index=255, config=TrainConfig()
        )
    )
    return [next(batches) for _ in range(6)]


def test_batches_from_the_disk_are_those_from_memory(tiny_dataset, small_memory):
    plain, kept = (PairSource(tiny_dataset.pairs("train"), inputs=INPUTS) for _ in "ab")
    said: list[str] = []
    kept.keep_decoded(said.append)
    assert re.fullmatch(rf"mapped from {small_memory}/\w{{64}}", said[-1])
    for one, other in zip(_batches(plain), _batches(kept), strict=True):
        assert (one[0] == other[0]).all()
        assert (one[1] == other[1]).all()


def test_other_pixels_are_decoded_anew(tiny_dataset, small_memory, tmp_path):
    root = tmp_path / "data"
    shutil.copytree(tiny_dataset.root, root)
    with_files = [
        type(pair)(
            pair.stem,
            root / pair.image.relative_to(tiny_dataset.root),
            root / pair.mask.relative_to(tiny_dataset.root),
        )
        for pair in tiny_dataset.pairs("train")
    ]
    PairSource(tiny_dataset.pairs("train"), inputs=INPUTS).keep_decoded()
    PairSource(with_files, inputs=INPUTS).keep_decoded()  # the same content
    assert len(list(small_memory.glob("*/index.npy"))) == 1
    Image.new("RGB", (40, 30), (9, 8, 7)).save(with_files[0].image)
    Image.new("L", (40, 30), 1).save(with_files[0].mask)
    other = PairSource(with_files, inputs=INPUTS)
    other.keep_decoded()
    assert len(list(small_memory.glob("*/index.npy"))) == 2
    assert (other[0][0] == (9, 8, 7)).all()


def test_a_full_disk_is_a_sentence_and_training_goes_on(
    tiny_dataset: Dataset, small_memory: Path, small_disk: Path, monkeypatch: Any
):
    monkeypatch.setenv(CACHE, str(small_disk / "cache"))
    monkeypatch.setattr(
        shutil, "disk_usage", lambda _: FREE
    )  # another writer is faster
    fill(small_disk)
    source = PairSource(tiny_dataset.pairs("train"), inputs=INPUTS)
    said: list[str] = []
    source.keep_decoded(said.append)
    assert "the others are decoded anew" in said[-1]
    assert "cannot be written (No space left on device). Free some" in said[-1]
    assert _batches(source)
    assert not list((small_disk / "cache").glob("**/index.npy"))
