import hashlib
import json

import albumentations
import pytest

from seglib.config import AugmentConfig
from seglib.data.image_io import read_image
from seglib.data.pairs import read_pair
from seglib.data.shards import ShardSource
from seglib.errors import SegError, UsageError
from seglib.steps.augment import augment


def _digests(folder):
    files = sorted(folder.glob("*.tar"))
    return [hashlib.sha256(path.read_bytes()).hexdigest() for path in files]


def test_shards_hold_the_originals_and_their_copies(tiny_dataset, tmp_path):
    out = tmp_path / "shards"
    config = AugmentConfig(copies=2, num_shards=3)
    index = augment(tiny_dataset, str(out), config=config)
    assert sum(shard["samples"] for shard in index["shards"]) == 3 * 8
    assert len(index["shards"]) == 3
    source = ShardSource(str(out), inputs={"image": 3})
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


def test_a_policy_of_ones_own_is_a_list_a_compose_or_a_function(tiny_dataset, tmp_path):
    def upside_down(image, mask, _):
        return image[::-1], mask[::-1]

    policies = (
        [{"vflip": {"p": 1}}],
        albumentations.Compose([albumentations.VerticalFlip(p=1)]),
        albumentations.VerticalFlip(p=1),
        upside_down,
    )
    for i, policy in enumerate(policies):
        augment(tiny_dataset, tmp_path / str(i), policy=policy)
    assert len({*map(str, map(_digests, sorted(tmp_path.iterdir())))}) == 1
    page = (tmp_path / "3" / "preview.html").read_text()
    assert "Augmentation policy “upside_down”" in page
    assert "<h2>Settings</h2>" in page


def test_a_policy_that_mixes_draws_from_the_dataset(tiny_dataset, tmp_path):
    for name in "ab":
        augment(tiny_dataset, tmp_path / name, policy=[{"copy_paste": {"p": 1}}])
    assert _digests(tmp_path / "a") == _digests(tmp_path / "b")
    source = ShardSource(str(tmp_path / "a"), inputs={"image": 3})
    pairs = [source[i] for i in range(len(source))]
    before = {mask.tobytes() for _, mask in map(_read, tiny_dataset.pairs("train"))}
    changed = sum(mask.tobytes() not in before for _, mask in pairs)
    assert changed > len(pairs) / 4


def _read(pair):
    return read_pair(pair, {"image": 3})


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
    assert json.loads((out / "shards.json").read_text())["made_of"]["copies"] == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["broken.png", "shards"]
