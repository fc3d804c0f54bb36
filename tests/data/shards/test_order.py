import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seglib.data.shards.order import WindowOrder


@given(
    st.lists(st.integers(1, 7), min_size=1, max_size=12),
    st.integers(1, 5),
    st.integers(0, 3),
)
def test_every_pass_shows_each_sample_once(sizes, window, seed):
    order = WindowOrder(sizes, window=window, seed=seed, epochs=3)
    total = sum(sizes)
    assert len(order) == 3 * total
    for epoch in range(3):
        shown = [order[epoch * total + place] for place in range(total)]
        assert sorted(shown) == list(range(total))


def test_the_order_depends_on_the_seed_and_the_pass_alone():
    def first(seed, epoch):
        order = WindowOrder([10] * 9, window=2, seed=seed, epochs=2)
        return [order[90 * epoch + place] for place in range(90)]

    assert first(1, 0) == first(1, 0)
    assert first(1, 0) != first(2, 0)
    assert first(1, 0) != first(1, 1)
    backwards = WindowOrder([10] * 9, window=2, seed=1)
    assert [backwards[place] for place in range(89, -1, -1)] == first(1, 0)[::-1]


def test_a_window_of_positions_needs_the_shards_of_that_window_alone():
    order = WindowOrder([10] * 9, window=3, seed=0)
    shards = [[order[p] // 10 for p in range(w * 30, w * 30 + 30)] for w in range(3)]
    assert all(len(set(some)) == 3 for some in shards)
    assert not set(shards[0]) & set(shards[1])
    assert len(set(np.diff(shards[0]))) > 2  # they are mixed


def test_lanes_have_shards_of_their_own():
    order = WindowOrder([5] * 8, window=2, seed=4, lanes=2)
    lanes = [{order[p] // 5 for p in range(lane, 40, 2)} for lane in (0, 1)]
    assert lanes[0] | lanes[1] == set(range(8))
    assert not lanes[0] & lanes[1]


def test_more_lanes_than_shards_are_refused():
    with pytest.raises(ValueError, match="3 lanes need as many shards, not 2"):
        WindowOrder([5, 5], window=2, seed=0, lanes=3)


def test_what_the_next_positions_need_is_told_ahead():
    told = []
    order = WindowOrder(
        [8] * 6,
        window=2,
        seed=0,
        epochs=2,
        expect=lambda _, shards: told.append(shards),
    )
    for place in range(2 * 48):
        told_before = len(told)
        shard = order[place] // 8
        assert shard in told[-1]
        assert len(told[-1]) <= 4
        if len(told) > told_before:
            assert place % 16 in (0, 4)  # at a window's begin, and once well in
