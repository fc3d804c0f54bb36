"""Resampling, against NumPy along one axis, and by hand."""

import keras
import numpy as np
import pytest

from seglib.models.layers.resampling import MaxUnpool, PadToMultiple, RegionPool
from seglib.models.layers.upsampling import LearntUpsample, Upsample, _interleave

RAMP = np.array([3.0, 5.0, 4.0, 8.0, 1.0], np.float32)
PLACES = [(2, 0), (2, 0.5), (2, 1), (4, 0), (4, 1.5), (4, 3), (8, 2), (32, 31)]


def _interpolated(values, factor, offset):
    positions = (np.arange(values.size * factor) - offset) / factor
    return np.interp(positions, np.arange(values.size), values)


@pytest.mark.parametrize(("factor", "offset"), PLACES)
@pytest.mark.parametrize("axis", [1, 2])
def test_upsampling_puts_each_value_where_it_belongs(factor, offset, axis):
    shape = [1, 1, 1, 1]
    shape[axis] = RAMP.size
    x = np.tile(RAMP.reshape(shape), (1, 1, 1, 2))
    y = np.asarray(Upsample(factor, offset)(x))
    other = 3 - axis
    assert y.shape[other] == factor
    row = np.moveaxis(y, other, 1)[0, 0, :, 1]
    assert row == pytest.approx(_interpolated(RAMP, factor, offset), abs=1e-5)


@pytest.mark.parametrize(("factor", "offset"), PLACES)
def test_plain_operations_upsample_alike(factor, offset):
    x = np.random.default_rng(0).normal(size=(2, 4, 3, 2)).astype("float32")
    layer = Upsample(factor, offset)
    plain = _interleave(_interleave(x, 1, layer), 2, layer)
    assert np.asarray(plain) == pytest.approx(np.asarray(layer(x)), abs=1e-5)


@pytest.mark.parametrize(("factor", "offset"), PLACES)
def test_training_upsamples_alike_forwards_and_backwards(factor, offset):
    import tensorflow as tf

    rng = np.random.default_rng(0)
    x = tf.constant(rng.normal(size=(2, 4, 3, 2)).astype("float32"))
    weights = rng.normal(size=(2, 4 * factor, 3 * factor, 2)).astype("float32")
    layer = Upsample(factor, offset)

    def both(training):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x, training=training)
            loss = tf.reduce_sum(y * weights)
        return np.asarray(y), np.asarray(tape.gradient(loss, x))

    for ours, expected in zip(both(True), both(False), strict=True):
        assert ours == pytest.approx(expected, abs=1e-4 * factor)


@pytest.mark.parametrize("offset", [0.25, 2, -1])
def test_an_offset_between_pixels_is_refused(offset):
    with pytest.raises(ValueError, match=f"offset={offset}"):
        Upsample(2, offset)


@pytest.mark.parametrize(("factor", "offset"), PLACES)
def test_learnt_upsampling_starts_as_interpolation(factor, offset):
    x = np.random.default_rng(0).normal(size=(1, 6, 5, 3)).astype("float32")
    y = np.asarray(LearntUpsample(3, factor, offset)(x))
    expected = np.asarray(Upsample(factor, offset)(x))
    inside = (slice(None), slice(factor, -factor), slice(factor, -factor))
    assert y.shape == expected.shape
    assert y[inside] == pytest.approx(expected[inside], abs=1e-5)


def test_unpooling_restores_the_maxima_in_place():
    rng = np.random.default_rng(0)
    before = rng.permutation(2 * 4 * 6 * 3).reshape(2, 4, 6, 3).astype("float32")
    pooled = keras.ops.max_pool(before, 2)
    y = np.asarray(MaxUnpool()(pooled, before))
    for n, i, j, c in np.ndindex(2, 2, 3, 3):
        window = (n, slice(2 * i, 2 * i + 2), slice(2 * j, 2 * j + 2), c)
        expected = np.zeros((2, 2))
        place = np.unravel_index(before[window].argmax(), (2, 2))
        expected[place] = before[window].max()
        assert (y[window] == expected).all()


def test_of_equal_maxima_the_first_is_unpooled():
    y = MaxUnpool()(np.full((1, 1, 1, 1), 7.0), np.zeros((1, 2, 2, 1)))
    assert np.asarray(y).ravel().tolist() == [7, 0, 0, 0]


def test_regions_share_the_cells_on_their_borders():
    # Five cells in two regions of 2.5: the middle one counts half in each.
    row = np.array([1.0, 2.0, 10.0, 3.0, 4.0], "float32").reshape(1, 1, 5, 1)
    y = np.asarray(RegionPool(2)(row))
    assert y[0, 0, :, 0] == pytest.approx([8 / 2.5, 12 / 2.5])
    assert y[0, 1, :, 0] == pytest.approx([8 / 2.5, 12 / 2.5])  # one row for two


@pytest.mark.parametrize("size", [(1, 1), (5, 7), (12, 6)])
@pytest.mark.parametrize("bins", [1, 3, 6])
def test_regions_keep_the_average(bins, size):
    x = np.random.default_rng(0).normal(size=(1, *size, 2)).astype("float32")
    y = np.asarray(RegionPool(bins)(x))
    assert y.shape == (1, bins, bins, 2)
    assert y.mean((1, 2)) == pytest.approx(x.mean((1, 2)), abs=1e-5)


def test_padding_goes_below_and_right():
    y = np.asarray(PadToMultiple(4)(np.ones((1, 3, 4, 1))))
    assert y.shape == (1, 4, 4, 1)
    assert y[0, 3].sum() == 0
    assert y[0, :3].all()


def test_padding_is_the_same_in_training_on_a_gpu(monkeypatch):
    """Also in a graph that was traced before the size was known."""
    import tensorflow as tf

    monkeypatch.setattr("seglib.models.layers.resampling.has_gpu", lambda: True)
    layer = PadToMultiple(4)
    pad = tf.function(
        lambda x: layer(x, training=True),
        input_signature=[tf.TensorSpec((None, None, None, 2))],
    )
    for size in ((3, 5), (4, 8), (1, 4)):
        x = np.random.default_rng(0).normal(size=(2, *size, 2)).astype("float32")
        np.testing.assert_array_equal(pad(x), layer(x))
