"""Shares of classes, worked by hand."""

import pytest

from seglib.data.versions.class_changes import Vocabulary, compare_classes

COUNTS = {
    "a": {0: 50, 1: 40, 2: 10},
    "b": {0: 50, 1: 30, 255: 20},
    "c": {0: 40, 1: 58, 3: 2},
}
PLAIN = Vocabulary(ignore_index=255)


def _compare(old, new, vocabularies=(PLAIN, PLAIN), counts=COUNTS):
    return compare_classes({"train": old}, {"train": new}, counts, vocabularies)


def _by_name(found, split=0):
    return {change.name: change for change in found.splits[split].classes}


def test_shares_are_of_the_pixels_that_are_not_ignored():
    (train,) = _compare(["a"], ["a", "b"]).splits
    assert (train.new.pixels, train.new.ignored_pixels) == (200, 20)
    changes = _by_name(_compare(["a"], ["a", "b"]))
    # 50 of 100 pixels, then 100 of 180.
    assert changes["class_0"].old.share == 0.5
    assert changes["class_0"].new.share == pytest.approx(100 / 180)
    assert changes["class_0"].points == pytest.approx(100 * (100 / 180 - 0.5))
    assert (changes["class_2"].old.masks, changes["class_2"].new.masks) == (1, 1)


def test_a_mask_that_is_there_twice_counts_twice():
    (train,) = _compare(["a"], ["a", "a"]).splits
    assert train.new.pixels == 200
    assert all(change.points == 0 for change in train.classes)


def test_classes_that_vanish_or_appear_come_first_then_the_largest_change():
    found = _compare(["c"], ["a"])
    assert [(c.name, c.change) for c in found.splits[0].classes] == [
        ("class_3", "vanishes"),
        ("class_2", "appears"),
        ("class_1", ""),  # 58 % to 40 %
        ("class_0", ""),  # 40 % to 50 %
    ]


def test_uncounted_masks_leave_the_shares_unknown():
    found = _compare(["c"], ["a", "uncounted"])
    assert (found.masks, found.uncounted) == ((1, 2), (0, 1))
    assert not found.splits


def test_a_split_that_is_new_does_not_make_its_classes_appear():
    found = compare_classes({}, {"test": ["a"]}, COUNTS, (PLAIN, PLAIN))
    assert {(c.change, c.points, c.old.share) for c in found.splits[0].classes} == {
        ("", None, None)
    }


def test_classes_go_by_their_names_and_a_name_with_another_id_is_noted():
    old = Vocabulary(class_names=("sky", "road", "car", "pole"), ignore_index=255)
    new = Vocabulary(class_names=("road", "sky", "car"), ignore_index=255)
    counts = {"a": COUNTS["a"], "turned": {1: 50, 0: 40, 2: 10}}
    found = _compare(["a"], ["turned"], (old, new), counts)
    assert {c.points for c in found.splits[0].classes} == {0}
    road = _by_name(found)["road"]
    assert (road.old.id, road.new.id) == (1, 0)
    assert _by_name(found)["pole"].new.id is None
    assert found.notes == (
        "Classes with another id than before: sky: 0 → 1, road: 1 → 0.",
    )


def test_classes_that_only_one_version_names_go_by_their_ids():
    named = Vocabulary(class_names=("sky", "road", "car"), ignore_index=255)
    for vocabularies in ((PLAIN, named), (named, PLAIN)):
        found = _compare(["a"], ["a"], vocabularies)
        assert {*_by_name(found)} == {"sky", "road", "car"}
        assert not found.notes


def test_ids_that_are_no_class_are_shown_as_what_they_are():
    names = Vocabulary(class_names=("sky", "road"))
    found = _compare(["a"], ["b"], (names, names))
    assert _by_name(found)["id 2, no class"].change == "vanishes"
    assert _by_name(found)["id 255, no class"].new.share == 0.2


def test_an_id_that_is_ignored_from_now_on_vanishes_from_the_classes():
    found = _compare(["b"], ["b"], (Vocabulary(), PLAIN))
    assert _by_name(found)["class_255"].change == "vanishes"
    assert found.splits[0].new.ignored_pixels == 20
