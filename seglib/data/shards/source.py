"""The pairs of shards, as training takes them."""

from collections.abc import Callable, Sequence

import grain
import numpy as np

from seglib.data.image_io import decode_image, decode_mask
from seglib.data.loader import EPOCHS, PairSource
from seglib.data.pairs import ImageAndMask, Inputs, join
from seglib.data.shards.index import read_shard_index
from seglib.data.shards.memory import ShardMemory
from seglib.data.shards.order import WindowOrder
from seglib.errors import SegError
from seglib.storage.remotes import open_remote

# Of fewer, one process would have notably more samples than another: each reads all.
SHARDS_A_PROCESS = 16
WINDOW_BYTES = 256 << 20  # of encoded samples that are shuffled; two are in memory


class ShardSource(PairSource):
    """Pairs in shards that `seglib pack` or `seglib augment` wrote.

    Where decoded pairs fit neither the memory nor the disk, they are decoded as they
    are needed, from shards that are read ahead.

    Args:
        place: a folder, or s3://bucket/prefix.
        inputs: of the model.

    Raises:
        SegError: there are no shards, or they do not fit the model.
    """

    def __init__(self, place: str, *, inputs: Inputs):
        self.index = read_shard_index(place)
        self.index.check_inputs(inputs, place)
        super().__init__([], inputs=inputs)
        self.class_totals = self.index.totals
        self._place, self._starts = place, self.index.starts
        shards = self.index.shards
        self._memory = ShardMemory(open_remote(place), shards, parts=len(inputs) + 1)

    def __len__(self) -> int:
        return self.index.samples

    def name(self, index: int) -> str:
        shard = self._shard(index)
        number = index - int(self._starts[shard])
        return f"{self.index.shards[shard].name}, sample {number}"

    def order(
        self, seed: int, *, lanes: int = 1, reads: bool = False
    ) -> grain.MapDataset:
        shards = self.index.shards
        mean_bytes = sum(shard.size_bytes for shard in shards) / len(shards)
        order = WindowOrder(
            [shard.samples for shard in shards],
            window=max(1, int(WINDOW_BYTES / mean_bytes)),
            seed=seed,
            lanes=lanes if len(shards) >= SHARDS_A_PROCESS * lanes else 1,
            epochs=EPOCHS,
            expect=self._expect if reads else None,
        )
        return grain.MapDataset.source(order).seed(seed)

    def _expect(self, lane: int, shards: Sequence[int]) -> None:
        missing = [
            shard
            for shard in shards
            if not self._holds(range(self._starts[shard], self._starts[shard + 1]))
        ]
        self._memory.expect(lane, missing)

    def _shard(self, index: int) -> int:
        return int(np.searchsorted(self._starts, index, side="right")) - 1

    def _decode(self, index: int) -> ImageAndMask:
        shard = self._shard(index)
        sample = self._memory.sample(shard, index - int(self._starts[shard]))
        *images, mask = sample
        name = f"{self._place}, {self.name(index)}"
        decoded = [
            decode_image(image, channels=channels, name=name)
            for image, channels in zip(images, self.inputs.values(), strict=True)
        ]
        return join(decoded), decode_mask(mask, name=name)

    def _some(self, count: int) -> Sequence[int]:
        return range(min(count, self.index.shards[0].samples))

    def _without_disk(self, error: SegError, log: Callable[[str], None]) -> None:
        log(str(error))
        self.stream(log)

    def stream(self, log: Callable[[str], None]) -> None:
        """Decode pairs as they are needed, and keep none."""
        self._cache.clear()
        self._most_bytes = 0
        self.is_streamed = True
        log(f"streamed from {self._place}")

    def _content_key(self) -> str:
        return self.index.digest
