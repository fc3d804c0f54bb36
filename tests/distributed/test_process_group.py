import keras
import numpy as np
import pytest

from seglib.distributed import ProcessGroup
from seglib.errors import UsageError


def test_a_group_of_one_gives_back_what_it_gets():
    group = ProcessGroup()
    assert group.is_first
    assert group.sum([1.5, 2]) == [1.5, 2]
    assert group.broadcast(b"content") == b"content"
    group.require_same("a digest")


def test_a_batch_that_cannot_be_shared_evenly_is_refused():
    with pytest.raises(UsageError, match=r"batch_size=4\. Use 3 or 6"):
        ProcessGroup(count=3).require_divisible(4)
    with pytest.raises(UsageError, match=r"2 processes share a batch, each in 4 parts"):
        ProcessGroup(count=2).require_divisible(12, 4)
    ProcessGroup(count=2).require_divisible(16, 4)


def test_dropout_drops_other_values_in_each_process():
    image = keras.Input((8, 8, 3))

    def states(index: int) -> list[list[int]]:
        keras.utils.set_random_seed(5)
        dropped = keras.layers.Dropout(0.5)(keras.layers.Dropout(0.5)(image))
        network = keras.Model(image, dropped)
        ProcessGroup(index=index, count=3).vary_dropout(network)
        return [np.asarray(variable).tolist() for variable in network.variables]

    first, second, third = map(states, range(3))
    assert len(first) == 2
    for one, two, three in zip(first, second, third, strict=True):
        assert len({tuple(one), tuple(two), tuple(three)}) == 3
