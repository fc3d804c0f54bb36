import keras
import numpy as np
import pytest

from seglib.training.step import clipped


def test_gradients_are_scaled_together_to_the_largest_norm():
    given = [
        keras.ops.convert_to_tensor([3.0, 0.0]),
        None,
        keras.ops.convert_to_tensor([[4.0]], "float64"),
    ]
    first, none, last = clipped(given, 1.0)  # the norm is 5
    assert none is None
    assert np.asarray(first) == pytest.approx([0.6, 0.0])
    assert np.asarray(last) == pytest.approx(0.8)
    assert keras.backend.standardize_dtype(last.dtype) == "float64"
    unchanged = clipped(given, 10.0)
    assert np.asarray(unchanged[0]) == pytest.approx([3.0, 0.0])
