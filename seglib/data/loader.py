"""Training batches from pairs on disk: decode once, then zoom, crop, flip, batch.

grain runs the work in threads; the order and every random choice depend on the seed
alone, not on the number of threads.
"""

import hashlib
import json
import logging
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any, SupportsIndex

import grain

from seglib.code_version import code_digest
from seglib.config import TrainConfig
from seglib.data.augmentation.augmenter import Augmenter, Function
from seglib.data.class_totals import ClassTotals
from seglib.data.decoded import DecodedPairs, DecodedPairsError, open_decoded
from seglib.data.pairs import ImageAndMask, Inputs, Pair, read_pair, spread
from seglib.data.views import RandomView, RareViews
from seglib.errors import SegError
from seglib.hardware import CACHED_BYTES, PREFETCHED_BATCHES, free_bytes, usable_cores
from seglib.storage.files import cache_folder, files_sha256

logger = logging.getLogger(__name__)

VOID = 65535  # pads masks where a dataset has no ignored id; no class has it
_MEASURED = 16  # pairs, to estimate what all of them take
_MOST_THREADS = 8  # 16 of 16 cores loaded 1,075 images/s, 8 of them 1,064
EPOCHS = 2**20  # without end, but countable: grain needs the length to fit an index


class PairSource:
    """Random access to decoded pairs: image uint8 (H, W, C), mask (H, W).

    The image is the sample's `inputs`, joined along the channels. Decoded pairs stay
    in memory, up to 4 GiB, or where `keep_decoded` puts them: decoding costs far more
    than the rest.
    """

    is_streamed = False  # decoded pairs are not kept: any other than the next is slow
    class_totals: ClassTotals | None = None  # where they are known

    def __init__(self, pairs: Sequence[Pair], *, inputs: Inputs):
        self._pairs, self.inputs = pairs, inputs
        self._cache: dict[int, ImageAndMask] = {}
        self._cached_bytes, self._most_bytes = 0, CACHED_BYTES
        self._on_disk: DecodedPairs | None = None

    def __len__(self) -> int:
        return len(self._pairs)

    def __getitem__(self, index: SupportsIndex) -> ImageAndMask:
        index = int(index)
        if self._on_disk is not None:
            return self._on_disk[index]
        if index in self._cache:
            return self._cache[index]
        image, mask = self._decode(index)
        if self._cached_bytes < self._most_bytes:
            self._cached_bytes += image.nbytes + mask.nbytes
            self._cache[index] = image, mask
        return image, mask

    def keep_decoded(self, log: Callable[[str], None] = logger.info) -> None:
        """Keep decoded pairs in memory where they fit there, else in the disk's cache.

        Args:
            log: told what was chosen.

        Raises:
            SegError: a file cannot be read.
        """
        free = free_bytes()
        if free is not None:
            self._most_bytes = min(CACHED_BYTES, free // 2)
        some = [self[i] for i in self._some(_MEASURED)]
        each = sum(image.nbytes + mask.nbytes for image, mask in some) / len(some)
        needed = int(each * len(self))
        what = f"{len(self)} decoded images, {needed / 1e9:.2f} GB"
        if needed <= self._most_bytes:
            log(f"{what}: in memory")
            return
        log(f"{what}: more than the memory has room for")
        try:
            self._on_disk = open_decoded(
                cache_folder() / "decoded",
                self._decoded_key(),
                count=len(self),
                size_bytes=needed,
                decode=self._decode,
            )
        except DecodedPairsError as error:
            self._without_disk(error, log)
        else:
            self._cache.clear()
            log(f"mapped from {self._on_disk.folder}")

    def order(
        self, seed: int, *, lanes: int = 1, reads: bool = False
    ) -> grain.MapDataset:
        """The indices of the pairs in the order of the training, pass after pass.

        Args:
            seed: of the order.
            lanes: processes, each of which takes every `lanes`-th index.
            reads: whether the pairs are then read in this order.
        """
        return grain.MapDataset.range(len(self)).seed(seed).shuffle().repeat(EPOCHS)

    def _holds(self, indices: Iterable[int]) -> bool:
        """Whether these pairs are decoded, in memory or on the disk."""
        return self._on_disk is not None or all(i in self._cache for i in indices)

    def name(self, index: int) -> str:
        """What a message calls a pair."""
        return self._pairs[index].image.name

    def _decode(self, index: int) -> ImageAndMask:
        return read_pair(self._pairs[index], self.inputs)

    def _some(self, count: int) -> Sequence[int]:
        """Indices of pairs that stand for all of them."""
        return spread(range(len(self)), count)

    def _without_disk(self, error: SegError, log: Callable[[str], None]) -> None:
        """Decoded pairs fit neither the memory nor the disk."""
        most = self._most_bytes / 1e9
        log(f"{most:.2f} GB stay in memory, the others are decoded anew. {error}")

    def _content_key(self) -> str:
        """Stands for the content of the files that the pairs are decoded from."""
        return files_sha256(path for pair in self._pairs for path in pair.all_files())

    def _decoded_key(self) -> str:
        parts = [
            list(self.inputs.items()),
            code_digest("seglib.data.pairs"),
            self._content_key(),
        ]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def training_views(
    source: PairSource,
    *,
    image_size: tuple[int, int],
    ignore_index: int | None,
    config: TrainConfig,
    rare: RareViews | None = None,
    policy: str | Function = "",
    others: RareViews | None = None,
    lanes: int = 1,
) -> grain.MapDataset:
    """Endless shuffled views: image uint8 (h, w, C) and mask int32 (h, w).

    Args:
        lanes: see `PairSource.order`.
        rare: views of rare classes among the others.
        policy: of the augmentation; "": mirror images and tints as `config` has them.
        others: pairs that a policy mixes in.
    """
    void = void_id(ignore_index)
    further = dict([*source.inputs.items()][1:])
    transform = RandomView(
        image_size,
        void,
        config,
        colours=next(iter(source.inputs.values())),
        rare=rare,
        augmenter=Augmenter(policy, void, further) if policy else None,
        others=others,
    )
    order = source.order(config.train_seed, lanes=lanes, reads=True)
    return order.map(source.__getitem__).random_map(transform)


def training_batches(
    source: PairSource,
    *,
    config: TrainConfig,
    first_step: int = 0,
    share: tuple[int, int] = (0, 1),
    num_threads: int = 0,
    **views: Any,
) -> grain.IterDataset:
    """Endless shuffled batches: images uint8 (N, H, W, C), masks int32 (N, H, W).

    They start with the batch of `first_step`.

    Args:
        share: (k, n): of each batch the k-th of n equal parts, k from 0 on. The parts
            together are the batch that one reader gets, up to the order inside of it.
        num_threads: that load at the same time; the batches are the same with any
            number. 0: one a core, as far as more were measured to load faster.
        views: of `training_views`.
    """
    num_threads = num_threads or min(_MOST_THREADS, usable_cores())
    part, parts = share
    return (
        training_views(source, config=config, lanes=parts, **views)[part::parts]
        .batch(config.batch_size // parts)[first_step:]
        .to_iter_dataset(
            # A thread beyond the buffer's size would have nowhere to put its batch.
            grain.ReadOptions(num_threads, max(num_threads, PREFETCHED_BATCHES))
        )
    )


def void_id(ignore_index: int | None) -> int:
    """The id of revealed pixels in training views."""
    return VOID if ignore_index is None else ignore_index


def batch_members(
    source: PairSource, config: TrainConfig, step: int, *, lanes: int = 1
) -> list[int]:
    """The indices of the pairs in the batch of a step, which is counted from 0."""
    order = source.order(config.train_seed, lanes=lanes)
    return [int(index) for index in order.batch(config.batch_size)[step]]


def view_places(
    source: PairSource, config: TrainConfig, indices: Collection[int], passes: int
) -> dict[int, list[int]]:
    """Where pairs stand among the `training_views` of the first passes, in order."""
    order = source.order(config.train_seed)
    places: dict[int, list[int]] = {index: [] for index in indices}
    for place in range(passes * len(source)):
        if (index := int(order[place])) in places:
            places[index].append(place)
    return places
