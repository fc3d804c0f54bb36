"""The files of a dataset, each read once, and not at all while it is known."""

import hashlib
from pathlib import Path

from seglib.data.pairs import Pair
from seglib.data.tree import Tree
from seglib.data.verification.facts_cache import FactsCache
from seglib.data.verification.file_checks import (
    MASK,
    FileFacts,
    file_facts,
    pixel_digest,
)


class Files:
    """Facts of the files of a tree; `read` lists those that were read for them."""

    def __init__(self, tree: Tree, cache: FactsCache, *, fresh: bool = False):
        self._tree, self._cache, self._fresh = tree, cache, fresh
        self.read: list[Path] = []

    def facts_of(self, path: Path, role: str) -> FileFacts:
        """The facts of a file in a role, or an OSError."""
        identity = self._tree.identity(path)
        if not self._fresh:
            md5 = self._tree.md5(path) or self._cache.md5(identity)
            if facts := self._cache.facts(md5, role):
                return facts
        encoded = self._tree.read(path)
        self.read.append(path)
        md5 = hashlib.md5(encoded, usedforsecurity=False).hexdigest()
        known = None if self._fresh else self._cache.facts(md5, role)
        facts = known or file_facts(encoded, role, md5)
        unchanged = self._tree.identity(path) == identity
        self._cache.store_facts(facts, role, identity if unchanged else "")
        return facts

    def digest_of(self, pair: Pair, role: str, facts: FileFacts) -> str:
        """A digest of a file's pixels, whatever format stores them."""
        name = f"pixels of {role}"
        digest = self._cache.text(facts.md5, name)
        if not digest:
            encoded = self._tree.read(pair.mask if role == MASK else pair.image)
            digest = pixel_digest(encoded, role)
            self._cache.store(facts.md5, name, digest)
        return digest
