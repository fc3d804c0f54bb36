"""The shards in memory: those in use, and the next ones, which threads read ahead."""

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from seglib.data.shards.index import Shard
from seglib.data.shards.tars import TarSamples
from seglib.errors import SegError
from seglib.storage.backends import MissingObjectError, Remote
from seglib.storage.transfers import resumed

READERS = 4  # shards that are read at once
_TOUCHED = 2  # shards that nobody expected, and that stay


class ShardMemory:
    """Gives samples of shards, each of which is read as a whole and checked.

    Args:
        remote: where the shards are.
        shards: their facts.
        parts: of a sample: its images and the mask.
    """

    def __init__(self, remote: Remote, shards: Sequence[Shard], *, parts: int):
        self._remote, self._shards, self._parts = remote, shards, parts
        self._pool = ThreadPoolExecutor(READERS, thread_name_prefix="shards")
        self._changing = threading.Lock()
        self._expected: dict[int, Sequence[int]] = {}
        self._read: dict[int, Future[TarSamples]] = {}
        self._touched: OrderedDict[int, None] = OrderedDict()

    def expect(self, lane: int, shards: Sequence[int]) -> None:
        """Read these ahead, in their order, and forget the lane's earlier ones."""
        with self._changing:
            self._expected[lane] = shards
            for shard in shards:
                self._begin(shard)
            self._forget()

    def sample(self, shard: int, index: int) -> list[bytes]:
        """The encoded parts of a sample.

        Raises:
            SegError: the shard cannot be read, or is not the one of the index.
        """
        with self._changing:
            future = self._begin(shard)
            if not any(shard in shards for shards in self._expected.values()):
                self._touched[shard] = None
                self._touched.move_to_end(shard)
                self._forget()
        return future.result()[index]

    def _begin(self, shard: int) -> Future[TarSamples]:
        if shard not in self._read:
            self._read[shard] = self._pool.submit(self._open, self._shards[shard])
        return self._read[shard]

    def _forget(self) -> None:
        while len(self._touched) > _TOUCHED:
            self._touched.popitem(last=False)
        wanted = set(self._touched).union(*self._expected.values())
        for shard in self._read.keys() - wanted:
            del self._read[shard]  # another thread may still wait for it

    def _open(self, shard: Shard) -> TarSamples:
        content = bytearray()
        digest = hashlib.sha256()
        try:
            for chunk in resumed(self._remote, shard.name):
                content += chunk
                digest.update(chunk)
        except MissingObjectError as error:
            raise SegError(
                f"{self._remote.name(shard.name)}: it is missing. Make the shards "
                "again."
            ) from error
        if digest.hexdigest() != shard.sha256:
            raise SegError(
                f"{self._remote.name(shard.name)}: not the shard of the index. "
                f"Expected: {shard.size_bytes:,} bytes of SHA-256 {shard.sha256}. "
                f"Received: {len(content):,} bytes of {digest.hexdigest()}. Make the "
                "shards again."
            )
        return TarSamples(content, self._parts)
