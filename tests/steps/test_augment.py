import hashlib
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seglib.config import AugmentConfig
from seglib.data.augmentation.policies import POLICIES, Augmenter
from seglib.data.image_io import read_image
from seglib.data.shards import ShardSource
from seglib.errors import SegError, UsageError
from seglib.steps.augment import augment


def _digests(folder):
    files = sorted(folder.glob("*.arrayrecord"))
    return [hashlib.sha256(path.read_bytes()).hexdigest() for path in files]


def test_shards_hold_the_originals_and_their_copies(tiny_dataset, tmp_path):
    out = tmp_path / "shards"
    config = AugmentConfig(copies=2, num_shards=3)
    index = augment(tiny_dataset, str(out), config=config)
    assert index["num_records"] == 3 * 8
    assert len(index["shards"]) == 3
    source = ShardSource(out, inputs={"image": 3})
    assert len(source) == 24
    originals = [read_image(pair.image) for pair in tiny_dataset.pairs("train")]
    found = [source[i][0] for i in range(24)]
    for original in originals:
        assert sum((image == original).all() for image in found) >= 1
    assert "<img" in (out / "preview.html").read_text()


def test_the_same_seed_gives_the_same_bytes_and_another_gives_others(
    tiny_dataset, tmp_path
):
    for name, seed in {"a": 1, "b": 1, "c": 2}.items():
        augment(tiny_dataset, tmp_path / name, config=AugmentConfig(augment_seed=seed))
    assert _digests(tmp_path / "a") == _digests(tmp_path / "b")
    assert _digests(tmp_path / "a") != _digests(tmp_path / "c")


@pytest.mark.parametrize("policy", POLICIES)
@given(seed=st.integers(0, 2**31))
@settings(max_examples=25)
def test_no_policy_ever_invents_a_class(policy, seed):
    """The image shows each pixel's id: what is revealed must be void or mirrored."""
    mask = np.full((48, 64), 1, np.uint8)
    mask[:, 32:] = 2
    image = (mask * 100)[..., None].repeat(3, 2)
    for ignore_index in (255, None):
        _, ids = Augmenter(policy, ignore_index)(image, mask, seed=(seed,))
        allowed = {1, 2} | ({ignore_index} if ignore_index else set())
        assert set(np.unique(ids)) <= allowed
        assert ids.shape == mask.shape


def test_geometry_moves_image_and_mask_together():
    rng = np.random.default_rng(0)
    mask = np.kron(rng.integers(1, 4, (6, 8)), np.ones((8, 8))).astype(np.uint8)
    image = (mask * 60)[..., None].repeat(3, 2)
    for seed in range(20):
        view, ids = Augmenter("geometric", 255)(image, mask, seed=(seed,))
        counted = ids != 255
        # Apart from blended borders between the blocks.
        wrong = np.abs(view[..., 0].astype(int) - ids * 60)[counted] > 25
        assert wrong.mean() < 0.12


def test_two_policies_at_once_do_not_share_their_transforms():
    image = np.full((32, 32, 3), 120, np.uint8)
    mask = np.zeros((32, 32), np.uint8)
    none, photometric = Augmenter("none", 255), Augmenter("photometric", 255)
    changed = [photometric(image, mask, seed=(i,))[0] for i in range(5)]
    assert any((view != image).any() for view in changed)
    assert all((none(image, mask, seed=(i,))[0] == image).all() for i in range(5))


def test_an_unknown_policy_is_refused_and_the_nearest_named(tiny_dataset, tmp_path):
    with pytest.raises(UsageError, match="Did you mean `street`"):
        augment(tiny_dataset, tmp_path / "x", config=AugmentConfig(policy="stret"))


def test_a_failure_leaves_the_older_shards_whole(tiny_dataset, tiny_root, tmp_path):
    from dataclasses import replace

    out = tmp_path / "shards"
    augment(tiny_dataset, out, config=AugmentConfig(copies=0))
    before = _digests(out)
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"\x89PNG")
    first, *rest = tiny_dataset.pairs("train")
    pairs = (*rest, replace(first, image=broken))
    dataset = replace(tiny_dataset, splits={"train": pairs})
    with pytest.raises(SegError, match=r"broken\.png"):
        augment(dataset, out)
    assert _digests(out) == before
    assert json.loads((out / "shards.json").read_text())["copies"] == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["broken.png", "shards"]
