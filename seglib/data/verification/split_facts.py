"""The facts of a split's files: columns for checks of all, or inspections, by pair."""

from collections.abc import Iterator, Mapping, Sequence
from typing import overload

import numpy as np

from seglib.data.pairs import Pair
from seglib.data.verification.packing import NO_FAULTS, NO_OBJECTS, Part, unpack
from seglib.data.verification.pair_checks import Inspection

_BLOCK = 1 << 17  # pairs, or ids, that are looked at together


class SplitFacts(Sequence[Inspection]):
    """The inspections of a split's pairs, each made when it is asked for.

    Attributes:
        pairs: in their order.
        images, masks: `HEAD` (pairs,).
        others: `HEAD` (pairs,) of each further input.
        ids: uint16, of all masks one after the other; pixels: int64, their pixels.
    """

    def __init__(
        self, pairs: Sequence[Pair], others: Sequence[str], part: Part, first: int
    ):
        """Of the files of a part from the file `first` on."""
        self.pairs = pairs
        names = ["image", "mask", *others]
        stop = first + len(pairs) * len(names)
        self._heads = part.heads[first:stop].reshape(len(pairs), len(names))
        self._names, self._texts = names, part.texts
        self.images, self.masks = self._heads[:, 0], self._heads[:, 1]
        self.others: Mapping[str, np.ndarray] = {
            name: self._heads[:, 2 + index] for index, name in enumerate(others)
        }
        start = int(part.heads["ids"][:first].sum())
        self._ends = self.masks["ids"].cumsum(dtype=np.int64)
        stop = start + (int(self._ends[-1]) if len(pairs) else 0)
        self.ids, self.pixels = part.ids[start:stop], part.pixels[start:stop]

    def __len__(self) -> int:
        return len(self.pairs)

    @overload
    def __getitem__(self, index: int) -> Inspection: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Inspection]: ...
    def __getitem__(self, index: int | slice) -> Inspection | Sequence[Inspection]:
        if isinstance(index, slice):
            return [self[i] for i in range(len(self))[index]]
        pair = self.pairs[index]
        paths = [pair.image, pair.mask, *(pair.others[n] for n in self._names[2:])]
        stop = int(self._ends[index])
        start = stop - int(self.masks["ids"][index])
        ids, pixels = self.ids[start:stop].tolist(), self.pixels[start:stop].tolist()
        files = {}
        for path, head in zip(paths, self._heads[index], strict=True):
            is_mask = path is pair.mask
            files[path] = unpack(
                head.tobytes(),
                ids if is_mask else (),
                pixels if is_mask else (),
                self._texts[head["extra"]],
            )
        return Inspection.of(pair, files)

    def chosen(self, which: np.ndarray) -> Iterator[Inspection]:
        """The inspections of the pairs for which a bool (pairs,) is true."""
        return (self[int(index)] for index in np.flatnonzero(which))

    def suspicious(self) -> np.ndarray:
        """The pairs that may have problems by their files or sizes: bool (pairs,)."""
        faulty = np.array([not text.startswith(NO_FAULTS) for text in self._texts])
        faulty[0] = False
        found = faulty[self._heads["extra"]].any(axis=1)
        size = self.images["size"]
        for heads in (self.masks, *self.others.values()):
            found |= (heads["size"] != size).any(axis=1)
        return found | (self.images["orientation"] != 1)

    def decoded(self) -> np.ndarray:
        """Whose image and mask could be decoded: bool (pairs,)."""
        return (self.images["size"][:, 0] > 0) & (self.masks["size"][:, 0] > 0)

    def first_of_each_table(self) -> Iterator[tuple[Inspection, int]]:
        """The first mask with each text that has a colour table, and their number."""
        texts = self.masks["extra"]
        numbers, first, counts = np.unique(texts, return_index=True, return_counts=True)
        order = np.argsort(first)
        for number, index, count in zip(
            numbers[order], first[order], counts[order], strict=True
        ):
            if number and (inspection := self[int(index)]).palette:
                yield inspection, int(count)

    def measured(self) -> Iterator[Inspection]:
        """Those whose objects were measured."""
        measured = np.array([not text.endswith(NO_OBJECTS) for text in self._texts])
        measured[0] = False
        return self.chosen(measured[self.masks["extra"]])

    def total_ids(self) -> dict[int, int]:
        """Pixels of each id over all masks, in id order."""
        return self._sums(weighted=True)

    def masks_of_ids(self) -> dict[int, int]:
        """In how many masks each id occurs, in id order."""
        return self._sums(weighted=False)

    def _sums(self, *, weighted: bool) -> dict[int, int]:
        sums = np.zeros(1 << 16)
        for start in range(0, len(self.ids), _BLOCK):
            some = slice(start, start + _BLOCK)
            weights = self.pixels[some] if weighted else None
            sums += np.bincount(self.ids[some], weights, len(sums))
        found = np.flatnonzero(sums)
        return dict(zip(found.tolist(), sums[found].astype(int).tolist(), strict=True))

    def count_ids(self, which: np.ndarray) -> np.ndarray:
        """How many ids of each mask have their place in a bool (65536,): (pairs,)."""
        counts = np.zeros(len(self), np.int32)
        sizes = self.masks["ids"]
        for start in range(0, len(self), _BLOCK):
            stop = min(start + _BLOCK, len(self))
            low = int(self._ends[start]) - int(sizes[start])
            marked = which[self.ids[low : int(self._ends[stop - 1])]]
            sums = np.concatenate([[0], marked.cumsum()])
            ends = self._ends[start:stop] - low
            counts[start:stop] = sums[ends] - sums[ends - sizes[start:stop]]
        return counts
