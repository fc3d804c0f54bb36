"""The order in which training takes the samples of shards: shuffled, and read in a row.

The shards are shuffled, the next few of them make a window, and the samples of a window
are shuffled. So a few large reads at a time are enough, any position is found without
those before it, and the order depends on the seed alone.
"""

import threading
from bisect import bisect_right
from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import accumulate

import numpy as np

_KEPT = 8  # windows of which the order is in memory
_DEAL, _SHARDS, _SAMPLES = range(3)  # of random numbers, each with its own

Expect = Callable[[int, Sequence[int]], None]


class WindowOrder:
    """The sample at each position of `epochs` passes, one pass after the other.

    Each of several lanes has shards of its own, and every `lanes`-th position: several
    processes, each of which takes the positions of one lane, read disjoint shards.

    Args:
        sizes: samples of each shard.
        window: shards of a window.
        seed: of all orders.
        lanes: at most the number of shards.
        epochs: passes.
        expect: told (lane, the shards that the next positions need), ahead of time.
    """

    def __init__(
        self,
        sizes: Sequence[int],
        *,
        window: int,
        seed: int,
        lanes: int = 1,
        epochs: int = 1,
        expect: Expect | None = None,
    ):
        if lanes > len(sizes):
            raise ValueError(f"{lanes} lanes need as many shards, not {len(sizes)}")
        self._sizes, self._window, self._seed = np.asarray(sizes), window, seed
        self._starts = [0, *accumulate(sizes)]
        self._length, self._expect = self._starts[-1] * epochs, expect
        dealt = np.random.default_rng([seed, _DEAL]).permutation(len(sizes))
        self._lanes = [dealt[lane::lanes] for lane in range(lanes)]
        self._lane_sizes = [int(self._sizes[own].sum()) for own in self._lanes]
        self._told: dict[int, tuple[int, int, bool]] = {}
        self._telling = threading.Lock()
        self._ends = lru_cache(_KEPT * lanes)(self._count_ends)
        self._samples = lru_cache(_KEPT * lanes)(self._shuffle_samples)

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, position: int) -> int:
        place, lane = divmod(int(position), len(self._lanes))
        epoch, place = divmod(place, self._lane_sizes[lane])
        ends = self._ends(lane, epoch)
        window = bisect_right(ends, place)
        samples = self._samples(lane, epoch, window)
        place += len(samples) - ends[window]
        if self._expect:
            self._look_ahead(lane, epoch, window, place >= len(samples) // 4)
        return int(samples[place])

    def shards(self, lane: int, epoch: int, window: int) -> list[int]:
        """The shards of a window, in the order in which they are read."""
        rng = np.random.default_rng([self._seed, _SHARDS, lane, epoch])
        shuffled = rng.permutation(self._lanes[lane])
        return shuffled[window * self._window :][: self._window].tolist()

    def _count_ends(self, lane: int, epoch: int) -> list[int]:
        """The number of samples up to the end of each window."""
        count = -(-len(self._lanes[lane]) // self._window)
        shards = (self.shards(lane, epoch, window) for window in range(count))
        return [*accumulate(int(self._sizes[some].sum()) for some in shards)]

    def _shuffle_samples(self, lane: int, epoch: int, window: int) -> np.ndarray:
        members = [
            np.arange(self._starts[shard], self._starts[shard + 1])
            for shard in self.shards(lane, epoch, window)
        ]
        rng = np.random.default_rng([self._seed, _SAMPLES, lane, epoch, window])
        return rng.permutation(np.concatenate(members))

    def _look_ahead(self, lane: int, epoch: int, window: int, is_well_in: bool) -> None:
        """Tell which two windows are needed: with the one before, or the one after."""
        stage = epoch, window, is_well_in
        if stage <= self._told.get(lane, (-1,)):
            return
        with self._telling:
            if stage <= self._told.get(lane, (-1,)) or self._expect is None:
                return
            self._told[lane] = stage
            ends = self._ends(lane, epoch)
            if is_well_in and window + 1 == len(ends):
                other = epoch + 1, 0
            else:
                other = epoch, max(0, window + (1 if is_well_in else -1))
            needed = [(epoch, window), other]
            shards = [s for e, w in needed for s in self.shards(lane, e, w)]
            self._expect(lane, [*dict.fromkeys(shards)])
