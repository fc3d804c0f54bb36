"""Shards: many encoded pairs in a file, which is read in one go.

They are tar files as WebDataset has them: every tool opens them, images and masks stay
the bytes that they were, and a store or a disk delivers a whole file at its full rate.
"""

from seglib.data.shards.index import Shard, ShardIndex, read_shard_index
from seglib.data.shards.source import ShardSource

__all__ = ["Shard", "ShardIndex", "ShardSource", "read_shard_index"]
