"""A verification in parts: which files each looks at, and what it finds in them.

A part depends on its files alone: it can be saved, and made by another machine. `join`
in `seglib.data.verification.joining` makes one verification of all parts, which is the
same however many they are.
"""

import hashlib
import random
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from seglib.data.dataset import SPLITS, Scan, scan_dataset
from seglib.data.pairs import Pair, PairList
from seglib.data.tree import LOCAL, Tree
from seglib.data.verification.facts_cache import FactsCache
from seglib.data.verification.file_checks import IMAGE, MASK, MEASURED
from seglib.data.verification.objects import choose_masks
from seglib.data.verification.packing import Part
from seglib.data.verification.reading import Files, Job
from seglib.data.verification.workers import look_at_all
from seglib.errors import UsageError

_TOGETHER = 16  # pairs, handed to a thread at once
Progress = Callable[[int, int], None]


@dataclass(frozen=True, kw_only=True)
class VerificationPlan:
    """What a verification looks at: the listing, in which no file was opened.

    Attributes:
        splits: the pairs that are looked at.
        wanted: the splits that were asked for, also where they do not exist.
    """

    scan: Scan
    splits: Mapping[str, Sequence[Pair]]
    wanted: Collection[str]
    tree: Tree
    measured: Mapping[str, Collection[int]] = field(init=False)  # masks, by index

    def __post_init__(self) -> None:
        measured = {split: choose_masks(len(p)) for split, p in self.splits.items()}
        object.__setattr__(self, "measured", measured)

    @property
    def pairs(self) -> int:
        """The number of pairs that are looked at."""
        return sum(map(len, self.splits.values()))

    def bounds(self, part: int, parts: int) -> range:
        """The pairs of a part, counted over all splits."""
        return range(self.pairs * part // parts, self.pairs * (part + 1) // parts)

    def inputs(self, split: str) -> list[str]:
        """The further inputs of the pairs of a split."""
        others = self.splits[split][0].others if self.splits[split] else ()
        return [name for name in self.scan.dataset.others if name in others]

    def key(self, part: int, parts: int) -> str:
        """Names the files of a part, and what is looked for in them."""
        digest = hashlib.sha256(repr(self.scan.dataset.others).encode())
        for split, pairs in self.splits.items():
            digest.update(f"{split} {len(pairs)} {_digest(pairs)}\n".encode())
        bounds = self.bounds(part, parts)
        return f"{digest.hexdigest()} {bounds.start}-{bounds.stop}"

    def jobs(self, bounds: range) -> Iterator[list[Job]]:
        """The files of some pairs, a few pairs at once."""
        some: list[Job] = []
        first = 0
        for split, pairs in self.splits.items():
            inputs = {
                name: str(self.scan.dataset.others[name]) for name in self.inputs(split)
            }
            measured = self.measured[split]
            for index in range(
                max(0, bounds.start - first), min(len(pairs), bounds.stop - first)
            ):
                pair = pairs[index]
                some.append((pair.image, IMAGE))
                some.append((pair.mask, MEASURED if index in measured else MASK))
                some += ((pair.others[name], role) for name, role in inputs.items())
                if len(some) >= 2 * _TOGETHER:
                    yield some
                    some = []
            first += len(pairs)
        if some:
            yield some


def make_plan(
    root: str | Path,
    options: Mapping[str, Any],
    *,
    splits: Collection[str] = SPLITS,
    at_most: int = 0,
    tree: Tree = LOCAL,
) -> VerificationPlan:
    """List a dataset and choose what is looked at; see `examine`."""
    scan = scan_dataset(root, **options, tree=tree)
    dataset = scan.dataset
    wanted = {dataset.evaluation_split if s == "auto" else s for s in splits}
    wanted |= set() if scan.knows_classes else {"train"}
    chosen = {s: pairs for s, pairs in dataset.splits.items() if s in wanted}
    if not (chosen or scan.knows_classes):
        chosen = dict(dataset.splits)
    if at_most:
        chosen = {split: _sample(pairs, at_most) for split, pairs in chosen.items()}
    return VerificationPlan(scan=scan, splits=chosen, wanted=wanted, tree=tree)


def look_at_part(
    plan: VerificationPlan,
    part: int = 0,
    parts: int = 1,
    *,
    fresh: bool = False,
    progress: Progress | None = None,
) -> Part:
    """Look at the files of a part, in as many threads as pay.

    What was found is cached at least every second: a killed part continues.

    Args:
        plan: of the dataset.
        part: 0 … `parts` - 1.
        parts: of the whole verification.
        fresh: read every file, also those that are cached.
        progress: called with (pairs opened, all pairs of the part).

    Raises:
        UsageError: no such part.
    """
    if not 0 <= part < parts:
        raise UsageError(f"Expected a part of 0 … {parts - 1}. Received: {part}.")
    bounds = plan.bounds(part, parts)
    result = Part(plan.key(part, parts))
    with closing(FactsCache()) as cache:
        files = Files(plan.tree, cache, fresh=fresh)
        every = plan.jobs(bounds)
        for looks in look_at_all(files, every, count=2 * len(bounds)):
            for look in looks:
                result.append(look.facts)
                result.files_read += look.was_read
            files.store(looks)
            if progress:
                progress(min(len(bounds), len(result) // 2), len(bounds))
    return result


def _sample(pairs: Sequence[Pair], count: int) -> tuple[Pair, ...]:
    """A random choice in the order of the pairs."""
    drawn = random.Random(0).sample(range(len(pairs)), min(count, len(pairs)))
    return tuple(pairs[index] for index in sorted(drawn))


def _digest(pairs: Sequence[Pair]) -> str:
    if isinstance(pairs, PairList):
        return pairs.digest()
    names = "\n".join(str(path) for pair in pairs for path in pair.all_files())
    return hashlib.sha256(names.encode(errors="surrogatepass")).hexdigest()
