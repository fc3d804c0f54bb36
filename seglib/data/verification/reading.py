"""The files of a dataset, each read once, and not at all while it is known."""

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from seglib.data.tree import Tree
from seglib.data.verification.facts_cache import FactsCache
from seglib.data.verification.file_checks import (
    IMAGE,
    MASK,
    Fault,
    FileFacts,
    file_facts,
    pixel_digest,
)
from seglib.data.verification.packing import pack

Job = tuple[Path, str]  # a file, and the role in which it is looked at


class Look(NamedTuple):
    """The facts of a file, and what the cache does not know of it yet."""

    facts: bytes  # packed
    was_read: bool
    md5: bytes = b""  # of new facts
    role: str = ""
    identity: str = ""


class Files:
    """Looks at the files of a tree; threads share it."""

    def __init__(self, tree: Tree, cache: FactsCache, *, fresh: bool = False):
        self.tree, self._cache, self.fresh = tree, cache, fresh

    def look(self, jobs: Sequence[Job]) -> list[Look]:
        """Look at files; the cache is asked for all of them at once."""
        identities = [self.tree.identity(path) for path, _ in jobs]
        known: dict[tuple[bytes, str], bytes] = {}
        keys = [(b"", "")] * len(jobs)
        if not self.fresh:
            of_identity = self._cache.md5s(identities)
            keys = [
                (
                    bytes.fromhex(self.tree.md5(path))
                    or of_identity.get(identity, b""),
                    role,
                )
                for (path, role), identity in zip(jobs, identities, strict=True)
            ]
            known = self._cache.facts(keys)
        return [
            Look(known[key], was_read=False)
            if key in known
            else self._read(path, role, identity)
            for (path, role), identity, key in zip(jobs, identities, keys, strict=True)
        ]

    def store(self, looks: Iterable[Look]) -> None:
        """Store what is new in the cache."""
        new = [look for look in looks if look.md5]
        self._cache.store(
            [(look.md5, look.role, look.facts) for look in new],
            [(look.identity, look.md5) for look in new if look.identity],
        )

    def digest_of(self, path: Path, role: str, md5: bytes) -> bytes:
        """A digest of the pixels of an image or a mask, whatever format stores them."""
        key = (md5, f"pixels of {MASK if role == MASK else IMAGE}")
        digest = self._cache.facts([key]).get(key)
        if not digest:
            digest = pixel_digest(self.tree.read(path), role).encode()
            self._cache.store([(*key, digest)], [])
        return digest

    def _read(self, path: Path, role: str, identity: str) -> Look:
        try:
            encoded = self.tree.read(path)
        except OSError as error:
            fault = Fault(
                f"cannot be read ({error.strerror})",
                "Check its rights.",
                "unreadable-file",
            )
            facts = FileFacts(size_bytes=0, md5="", faults=(fault,))
            return Look(pack(facts), was_read=False)
        md5 = hashlib.md5(encoded, usedforsecurity=False).digest()
        key = (md5, role)
        known = {} if self.fresh else self._cache.facts([key])
        packed = known.get(key) or pack(file_facts(encoded, role, md5.hex()))
        if self.tree.identity(path) != identity:
            identity = ""  # it has changed in the meantime
        return Look(packed, was_read=True, md5=md5, role=role, identity=identity)
