import hashlib
from pathlib import Path

import numpy as np
import pytest

from seglib.data.image_io import read_mask
from seglib.data.verification.loading import load_dataset
from seglib.errors import UsageError
from seglib.storage.fetching import fetch
from seglib.storage.pins import default_remote, read_pin
from tools.sample_scenes import (
    CLASS_NAMES,
    IGNORE_INDEX,
    PALETTE,
    render_scene,
    write_sample_dataset,
)

PIN_LIMIT = 4 << 20  # bytes that the remote inside of the repository may take


@pytest.fixture(scope="module")
def pinned(repository: Path) -> Path:
    """The sample dataset, fetched from the repository's own remote."""
    return fetch(read_pin(repository / "data.dvc"), default_remote(repository))


@pytest.fixture(scope="module")
def pixel_counts(pinned: Path) -> dict[str, np.ndarray]:
    """Pixels by id, int64 (images, 256), of each split."""
    return {
        split: np.array(
            [np.bincount(read_mask(p.mask).ravel(), minlength=256) for p in pairs]
        )
        for split, pairs in load_dataset(pinned).splits.items()
    }


def test_the_seed_alone_decides_the_pixels():
    (image, mask), again, other = (
        render_scene(seed, height=75, width=101) for seed in (7, 7, 8)
    )
    np.testing.assert_array_equal(image, again[0])
    np.testing.assert_array_equal(mask, again[1])
    assert (mask != other[1]).mean() > 0.1
    assert (image.shape, image.dtype) == ((75, 101, 3), np.uint8)
    assert (mask.shape, mask.dtype) == ((75, 101), np.uint8)
    assert set(np.unique(mask)) <= {*range(len(CLASS_NAMES)), IGNORE_INDEX}


def test_a_size_without_room_is_refused():
    with pytest.raises(UsageError, match=r"≥ 32 pixels. Received: height=8"):
        render_scene(0, height=8)


def test_scenes_do_not_depend_on_how_many_are_written(tmp_path):
    write_sample_dataset(tmp_path / "few", counts={"train": 1})
    write_sample_dataset(tmp_path / "more", counts={"val": 1, "train": 1})
    few = [path for path in (tmp_path / "few").rglob("*") if path.is_file()]
    assert len(few) == 3
    for path in few:
        same = tmp_path / "more" / path.relative_to(tmp_path / "few")
        assert same.read_bytes() == path.read_bytes()


def test_an_unknown_split_is_refused(tmp_path):
    with pytest.raises(UsageError, match=r"split: `tset`. Did you mean `test`\?"):
        write_sample_dataset(tmp_path, counts={"tset": 1})


def test_the_pin_holds_120_pairs_and_their_description(pinned):
    dataset = load_dataset(pinned)
    sizes = {split: len(pairs) for split, pairs in dataset.splits.items()}
    assert sizes == {"train": 80, "val": 20, "test": 20}
    assert dataset.class_names == CLASS_NAMES
    assert dataset.palette == PALETTE
    assert dataset.ignore_index == IGNORE_INDEX


def test_no_image_of_the_pin_is_there_twice(pinned):
    files = [path for path in pinned.rglob("*.*g") if path.is_file()]
    hashes = {hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
    assert len(hashes) == len(files) == 240


def test_the_remote_in_the_repository_stays_small(repository):
    remote = Path(default_remote(repository))
    assert remote.parent == repository
    size = sum(path.stat().st_size for path in remote.rglob("*") if path.is_file())
    assert size <= PIN_LIMIT


def test_new_scenes_show_every_class_too(tiny_dataset):
    pairs = [pair for found in tiny_dataset.splits.values() for pair in found]
    masks = np.array([read_mask(pair.mask) for pair in pairs])
    shares = np.bincount(masks.ravel()) / masks.size
    assert len(shares) == IGNORE_INDEX + 1
    assert shares[: len(CLASS_NAMES)].min() > 0.003


def test_every_class_is_in_every_split_and_sizes_differ_much(pixel_counts):
    for counts in pixel_counts.values():
        share = counts.sum(axis=0)[: len(CLASS_NAMES)] / counts[:, :255].sum()
        assert share.min() > 0.004
        assert share.max() < 0.4
        assert share.max() > 15 * share.min()
        assert ((counts[:, :8] > 0).mean(axis=0) > 0.7).all()


def test_a_constant_answer_scores_badly(pixel_counts):
    # The mIoU of "everything is the commonest class" is its share over 8 classes.
    counts = pixel_counts["test"].sum(axis=0)[:8]
    assert counts.max() / counts.sum() / 8 < 0.05


def test_void_is_there_in_every_image_and_never_much(pixel_counts):
    share = np.concatenate(list(pixel_counts.values()))[:, IGNORE_INDEX] / (240 * 320)
    assert share.min() > 0.01
    assert share.max() < 0.35
