"""Division into splits: shares, every class in every split, groups in one."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from seglib.data.conversion.converter import convert
from seglib.data.conversion.splitting import divide, group_samples, parse_shares
from seglib.data.verification.verifier import verify
from seglib.errors import UsageError
from tests.data.conversion.samples import save
from tests.fakes.dataset_folder import DatasetFolder

SHARES = {"train": 0.8, "val": 0.1, "test": 0.1}


def shown() -> dict[str, set[int]]:
    """500 samples of 12 classes, of which class k is in about 500 / 1.7**k of them."""
    generator = np.random.default_rng(0)
    frequencies = 1 / 1.7 ** np.arange(12)
    draws = generator.random((500, 12)) < frequencies
    return {f"s{i:03}": set(np.flatnonzero(row)) for i, row in enumerate(draws)}


@pytest.mark.parametrize("seed", range(5))
def test_every_class_is_in_every_split_and_has_its_share(seed: int) -> None:
    classes = shown()
    groups = {name: name for name in classes}
    splits = divide(classes, groups, SHARES, seed=seed)
    sizes = Counter(splits.values())
    for split, share in SHARES.items():
        assert sizes[split] == pytest.approx(share * 500, abs=10)
    for index in range(12):
        having = [name for name, ids in classes.items() if index in ids]
        counts = Counter(splits[name] for name in having)
        for split, share in SHARES.items():
            if len(having) >= 3:
                assert counts[split] >= 1, (index, counts)
            assert counts[split] == pytest.approx(share * len(having), abs=3)


def test_the_same_seed_divides_alike_and_another_one_otherwise() -> None:
    classes = shown()
    groups = {name: name for name in classes}
    first, again, other = (
        divide(classes, groups, SHARES, seed=seed) for seed in (0, 0, 1)
    )
    assert first == again
    assert first != other


def test_groups_stay_together_and_their_sizes_meet_the_shares() -> None:
    generator = np.random.default_rng(1)
    sizes = generator.integers(5, 40, 30).tolist()
    names = [f"clip{i}_{frame:04}" for i, n in enumerate(sizes) for frame in range(n)]
    classes = {name: {0, 1, 2 + int(name[4:].partition("_")[0]) % 5} for name in names}
    groups = group_samples(names, "sequence")
    splits = divide(classes, groups, SHARES, seed=0)
    by_group: dict[str, set[str]] = {}
    for name in names:
        by_group.setdefault(groups[name], set()).add(splits[name])
    assert len(by_group) == 30
    assert all(len(found) == 1 for found in by_group.values())
    counts = Counter(splits.values())
    for split, share in SHARES.items():
        assert counts[split] / len(names) == pytest.approx(share, abs=0.08)
        assert {
            i for name in names if splits[name] == split for i in classes[name]
        } == {*range(7)}


@pytest.mark.parametrize(
    ("samples", "expected"),
    [
        ([{0}] * 10, (8, 1, 1)),
        ([{0}] * 3, (1, 1, 1)),
        ([{i} for i in range(10)], (8, 1, 1)),  # each class in one sample
        ([{i} for i in range(100)], (80, 10, 10)),
        ([{0}] * 30 + [{0, 1}], (25, 3, 3)),
        ([{0}] * 10 + [set()] * 5, (13, 1, 1)),  # without a labelled pixel: train
    ],
)
def test_no_split_is_empty_and_shares_are_kept(
    samples: list[set[int]], expected: tuple[int, int, int]
) -> None:
    classes = {f"s{i:03}": ids for i, ids in enumerate(samples)}
    splits = divide(classes, {name: name for name in classes}, SHARES, seed=0)
    sizes = Counter(splits.values())
    assert tuple(sizes[split] for split in SHARES) == expected
    assert all(
        any(classes[name] for name in classes if splits[name] == split)
        for split in SHARES
    )


@pytest.mark.parametrize("sizes", [(2, 2, 96), (1, 1, 1), (50, 3, 3)])
def test_as_many_groups_as_splits_come_into_one_each(sizes: tuple[int, ...]) -> None:
    groups = {f"{g}_{i}": str(g) for g, n in enumerate(sizes) for i in range(n)}
    splits = divide({name: {0} for name in groups}, groups, SHARES, seed=0)
    assert sorted(Counter(splits.values()).values()) == sorted(sizes)
    assert Counter(splits.values())["train"] == max(sizes)


def test_more_splits_than_groups_or_samples_are_wrong_use() -> None:
    names = [f"s{i}" for i in range(9)]
    groups = {name: str(i % 2) for i, name in enumerate(names)}
    with pytest.raises(UsageError, match="3 splits .* groups of images .*Received: 2"):
        divide({name: {0} for name in names}, groups, SHARES, seed=0)
    classes = {"a": {0}, "b": set[int](), "c": set[int]()}
    with pytest.raises(UsageError, match="3 splits .* images with .*Received: 1"):
        divide(classes, {name: name for name in classes}, SHARES, seed=0)


def test_a_regular_expression_names_the_groups_by_what_it_finds() -> None:
    names = ("rome_1", "rome_2", "bonn_1")
    assert group_samples(names, "^([a-z]+)_") == {
        "rome_1": "rome",
        "rome_2": "rome",
        "bonn_1": "bonn",
    }
    assert set(group_samples(names, r"\d$").values()) == {"1", "2"}


def test_shares_need_not_add_up_to_one() -> None:
    assert parse_shares("8/1/1") == pytest.approx(SHARES)
    assert parse_shares("keep") == {}


def test_a_dataset_divided_by_sequence_has_no_sequence_in_two_splits(
    tmp_path: Path,
) -> None:
    """Frames of one video lie in train and val, until they are divided by sequence."""
    source = tmp_path / "source"
    for clip in range(6):
        for frame in range(6):
            split = "val" if frame > 2 else "train"
            stem = f"clip{clip}_{frame:03}"
            pixels = DatasetFolder.pixels(stem)
            save(source / f"{split}_images" / f"{stem}.png", pixels)
            save(source / f"{split}_segmentation" / f"{stem}.png", DatasetFolder.ids())
    (source / "dataset.yaml").write_text(
        "class_names: [sky, road, car]\nignore_index: 255\n"
    )
    assert "sequence-leakage" in {w.kind for w in verify(source).warnings}

    done = convert(source, tmp_path / "out", split="4/1/1", group_by="sequence")

    assert done.pairs == {"train": 24, "val": 6, "test": 6}
    assert done.verification
    assert done.verification.ok
    assert "sequence-leakage" not in {w.kind for w in done.verification.warnings}
