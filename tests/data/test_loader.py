import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seglib.config import TrainConfig
from seglib.data.loader import VOID, PairSource, training_batches
from seglib.data.shards import ShardSource
from seglib.data.views import RandomView
from seglib.errors import SegError
from seglib.training.class_balance import ClassBalance

PLAIN = TrainConfig(color_jitter=0.0)


def _take(batches, count):
    iterator = iter(batches)
    return [next(iterator) for _ in range(count)]


@given(
    st.tuples(st.integers(20, 90), st.integers(20, 90)),
    st.floats(0.2, 1.0),
    st.floats(1.0, 4.0),
    st.integers(0, 2**31),
)
@settings(max_examples=150)
def test_a_view_keeps_image_and_mask_together_at_any_size_and_zoom(
    size, min_scale, max_scale, seed
):
    """The image shows the id of each pixel, so both must tell the same after it."""
    left = np.arange(size[1]) < size[1] // 2
    mask = np.where(left, 1, 2).astype(np.uint8)[None].repeat(size[0], 0)
    image = (mask * 100)[..., None].repeat(3, 2)
    config = TrainConfig(color_jitter=0.0, min_scale=min_scale, max_scale=max_scale)
    view, ids = RandomView((48, 64), 255, config).random_map(
        (image, mask), np.random.default_rng(seed)
    )
    assert view.shape == (48, 64, 3)
    assert ids.shape == (48, 64)
    assert set(np.unique(ids)) <= {1, 2, 255}
    void = ids == 255
    assert not view[void].any()  # revealed: black and void, never a class
    # Apart from the blended border between the two halves.
    assert (np.abs(view[..., 0] - ids * 100.0)[~void] > 1).mean() < 0.2


def test_what_a_zoom_reveals_is_void_where_no_id_is_ignored(tiny_dataset):
    config = TrainConfig(min_scale=0.4, max_scale=0.4)
    source = PairSource(tiny_dataset.pairs("train"), inputs={"image": 3})
    batches = training_batches(
        source, image_size=(64, 64), ignore_index=None, config=config
    )
    _, masks = _take(batches, 1)[0]
    assert (masks == VOID).mean() > 0.5


@pytest.mark.parametrize("policy", ["", "strong", "aug_all"])
@pytest.mark.parametrize("threads", [0, 2, 3, 16])
def test_the_seed_alone_decides_the_batches(tiny_dataset, threads, policy):
    def batches(seed, threads, first_step=0):
        source = PairSource(tiny_dataset.pairs("train"), inputs={"image": 3})
        balance = ClassBalance.count(source, num_classes=8, ignore_index=255)
        config = TrainConfig(train_seed=seed, batch_size=3)
        return _take(
            training_batches(
                source,
                image_size=(64, 96),
                ignore_index=255,
                config=config,
                first_step=first_step,
                num_threads=threads,
                policy=policy,
                others=balance.rare_views(source, 1.0),
            ),
            5,
        )

    once, again, other = batches(1, 1), batches(1, threads), batches(2, threads)
    for (images, masks), (images2, masks2) in zip(once, again, strict=True):
        assert (images == images2).all()
        assert (masks == masks2).all()
    assert any((a[0] != b[0]).any() for a, b in zip(once, other, strict=True))
    later = batches(1, threads, first_step=3)
    assert all((a == b).all() for a, b in zip(once[3], later[0], strict=True))
    assert once[0][1].dtype == np.int32


def test_an_epoch_shows_every_pair_once_and_each_epoch_has_its_own_order(tiny_dataset):
    pairs = tiny_dataset.pairs("train")
    source = PairSource(pairs, inputs={"image": 3})
    config = TrainConfig(
        batch_size=1, min_scale=1, max_scale=1, flip=False, color_jitter=0
    )
    size = source[0][1].shape
    batches = training_batches(source, image_size=size, ignore_index=255, config=config)
    stems = []
    for _, masks in _take(batches, 2 * len(pairs)):
        found = [i for i in range(len(pairs)) if (source[i][1] == masks[0]).all()]
        assert len(found) == 1  # at zoom 1 the view is the mask itself
        stems += found
    first, second = stems[: len(pairs)], stems[len(pairs) :]
    assert sorted(first) == sorted(second) == list(range(len(pairs)))
    assert first != second


def test_a_tint_changes_the_image_and_never_the_mask(tiny_dataset):
    pair = PairSource(tiny_dataset.pairs("train"), inputs={"image": 3})[0]
    config = TrainConfig(min_scale=1, max_scale=1, flip=False, color_jitter=0.5)
    view = RandomView(pair[1].shape, 255, config)
    image, mask = view.random_map(pair, np.random.default_rng(0))
    assert (mask == pair[1]).all()
    assert (image != pair[0]).any()


def test_a_folder_without_shards_is_refused(tmp_path):
    with pytest.raises(SegError, match="not a folder of shards"):
        ShardSource(str(tmp_path), inputs={"image": 3})
