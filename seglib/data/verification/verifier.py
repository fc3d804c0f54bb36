"""Verification of a dataset: every file is looked at, every problem has a remedy.

A problem makes a dataset unfit for use, a warning should be looked at, a note is for
information. The dataset is never changed.
"""

import random
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from seglib.arguments import checked
from seglib.config import DataConfig
from seglib.data.dataset import SPLITS, Dataset, config_options, scan_dataset
from seglib.data.manifest import InputFacts, PairFacts
from seglib.data.pairs import Inputs, Pair
from seglib.data.problems import (
    IGNORE,
    NOTE,
    PROBLEM,
    SEVERITIES,
    WARNING,
    Problem,
    check_kind,
    group,
    relative_path,
    some_of_each,
)
from seglib.data.tree import LOCAL, Tree
from seglib.data.verification.copy_checks import check_copies
from seglib.data.verification.facts_cache import FactsCache
from seglib.data.verification.mask_checks import (
    check_count,
    check_ids,
    infer_classes,
)
from seglib.data.verification.object_checks import check_objects
from seglib.data.verification.objects import choose_masks
from seglib.data.verification.pair_checks import Inspection, inspect_pair
from seglib.data.verification.reading import Files
from seglib.data.verification.split_checks import (
    check_classes,
    check_depths,
    check_drift,
    check_ignored,
    check_layout,
    check_palettes,
    check_sequences,
)
from seglib.data.verification.stored_tree import open_tree
from seglib.drawing import notebook
from seglib.errors import DatasetError
from seglib.progress import Progress, shown

_MAX_THREADS = 16  # each holds a decoded image
_TOGETHER = 8  # pairs, handed to a thread at once


@dataclass(frozen=True, kw_only=True, repr=False)
class Verification:
    """The findings. `pairs` holds the pairs without problems, `inspections` all."""

    dataset: Dataset
    pairs: Mapping[str, tuple[PairFacts, ...]]
    inspections: Mapping[str, Sequence[Inspection]]
    problems: tuple[Problem, ...]
    warnings: tuple[Problem, ...]
    notes: tuple[Problem, ...]
    severities: Mapping[str, str]  # of kinds whose severity is not the usual one
    files: int  # that were looked at
    files_read: int  # of these; the others have not changed since they were read

    @property
    def ok(self) -> bool:
        """Whether the dataset can be used; it may have warnings."""
        return not self.problems

    def __repr__(self) -> str:
        return f"Verification({str(self.dataset.root)!r}: {self._told()})"

    def _repr_html_(self) -> str:
        """For notebooks: findings, and each class's share of the pixels by split."""
        found = group((*self.problems, *self.warnings, *self.notes))
        findings = [
            [
                one[0].severity,
                one[0].kind,
                relative_path(one[0].path, self.dataset.root),
                f"and {len(one) - 1} more" if len(one) > 1 else "",
                f"{one[0].reason}. {one[0].remedy}",
            ]
            for one in sorted(found, key=lambda one: SEVERITIES.index(one[0].severity))
        ]
        parts = []
        if findings:
            header = ["severity", "kind", "file", "", "reason and remedy"]
            parts.append(notebook.table(header, findings))
        pixels = {
            split: np.sum([pair.class_pixels for pair in pairs], axis=0)
            for split, pairs in self.pairs.items()
            if pairs
        }
        if pixels:
            classes = [
                [notebook.class_name(name, colour)]
                + [notebook.share(n[i] / max(1, n.sum())) for n in pixels.values()]
                for i, (name, colour) in enumerate(
                    zip(self.dataset.class_names, self.dataset.palette, strict=True)
                )
            ]
            parts.append(notebook.table(["class", *pixels], classes))
        return notebook.card(self.dataset.root, self._told(), *parts)

    def _told(self) -> str:
        """The numbers of pairs, classes and findings in a line."""
        splits = ", ".join(f"{len(p):,} {split}" for split, p in self.pairs.items())
        counts = {
            "problems": len(self.problems),
            "warnings": len(self.warnings),
            "notes": len(self.notes),
        }
        found = ", ".join(f"{n:,} {kind}" for kind, n in counts.items())
        return f"pairs without problems: {splits}; {found}"

    def with_findings(self, found: Iterable[Problem]) -> "Verification":
        """The same with further findings, of the severities that their kinds have."""
        every = (*self.problems, *self.warnings, *self.notes, *found)
        return replace(self, **_by_severity(every, self.severities))

    def raise_if_bad(self) -> None:
        """Raise a DatasetError with some problems of each kind, if there are any."""
        if self.problems:
            lines = some_of_each(self.problems)
            raise DatasetError(
                f"{self.dataset.root}: {len(self.problems)} problem(s). "
                "Nothing was changed.",
                lines,
                limit=len(lines),
            )


@checked
def verify(
    root: str | Path,
    *,
    config: DataConfig | None = None,
    ignore: Collection[str] = (),
    fresh: bool = False,
    remote: str = "",
    progress: Progress = None,
) -> Verification:
    """Look at every file of a dataset and gather its problems.

    What was found of a file is cached, and a file is read again once it has changed.

    Args:
        root: folder in the dataset format; `data.dvc`, the pin of one, whose files are
            read from its remote; or s3://bucket/prefix that holds its folders. Files of
            a store are read into memory, and not kept.
        config: the classes of a folder without a dataset.yaml.
        ignore: kinds of warnings and notes that are left out; see docs/findings.md.
        fresh: read every file, also those that are cached.
        remote: of a pin. Default: that of its DVC repository.
        progress: see `seglib.train`; a function is called with (pairs opened, all
            pairs).

    Raises:
        SegError: the store cannot be reached or refuses.
        DatasetError: there is nothing to verify (no folder, no split), or the
            dataset.yaml cannot be understood.
        UsageError: an unknown kind to ignore, or one of problems.
    """
    options = config_options(config or DataConfig())
    root, tree = open_tree(root, remote)
    with shown(progress, "verifying") as tell:
        return examine(
            root, options, ignore=ignore, fresh=fresh, tree=tree, progress=tell
        )


def examine(
    root: str | Path,
    options: Mapping[str, Any],
    *,
    splits: Collection[str] = SPLITS,
    ignore: Collection[str] = (),
    at_most: int = 0,
    fresh: bool = False,
    tree: Tree = LOCAL,
    progress: Callable[[int, int], None] | None = None,
) -> Verification:
    """Verify a dataset, or some splits of it; see `verify`.

    Args:
        options: of `scan_dataset`.
        splits: to open; "auto" is test if it exists, else val. If the number of
            classes is unknown, train is opened too, to infer it.
        at_most: pairs of a split to open; of more, a random sample, which is the same
            each time. 0: all.
    """
    for kind in ignore:
        check_kind(kind, IGNORE)
    scan = scan_dataset(root, **options, tree=tree)
    dataset, problems = scan.dataset, [*scan.problems]
    wanted = {dataset.evaluation_split if s == "auto" else s for s in splits}
    wanted |= set() if scan.knows_classes else {"train"}
    chosen = {s: pairs for s, pairs in dataset.splits.items() if s in wanted}
    if not (chosen or scan.knows_classes):
        chosen = dict(dataset.splits)
    if at_most:
        chosen = {split: _sample(pairs, at_most) for split, pairs in chosen.items()}
    with closing(FactsCache()) as cache:
        files = Files(tree, cache, fresh=fresh)
        inspections = _inspect(chosen, dataset.others, files, tree.threads, progress)
        copies = check_copies(inspections, files.digest_of)
    if not scan.knows_classes:
        dataset, found = infer_classes(scan, inspections)
        problems += found
    problems += check_layout(dataset, wanted, tree)
    problems += check_ignored(dataset)
    every = [inspection for found in inspections.values() for inspection in found]
    problems += (problem for inspection in every for problem in inspection.problems)
    problems += check_ids(
        every, num_classes=dataset.num_classes, ignore_index=dataset.ignore_index
    )
    problems += check_count(dataset.root, dataset.num_classes, problems)
    problems += check_depths(dataset, inspections)
    pairs = _usable_pairs(dataset, inspections, problems)
    problems += check_palettes(dataset, inspections)
    problems += copies
    problems += check_sequences(dataset)
    if not _of(problems, PROBLEM):  # which the counts would be wrong of
        problems += check_classes(dataset, inspections)
        problems += check_drift(dataset, inspections)
        problems += check_objects(dataset, inspections)
    severities = {**scan.severities, **dict.fromkeys(ignore, IGNORE)}
    return Verification(
        dataset=dataset,
        pairs=pairs,
        inspections=inspections,
        severities=severities,
        files=sum(len(each.pair.all_files()) for each in every),
        files_read=len(files.read),
        **_by_severity(problems, severities),
    )


def _sample(pairs: Sequence[Pair], count: int) -> tuple[Pair, ...]:
    """A random choice in the order of the pairs."""
    drawn = random.Random(0).sample(range(len(pairs)), min(count, len(pairs)))
    return tuple(pairs[index] for index in sorted(drawn))


def _inspect(
    splits: Mapping[str, tuple[Pair, ...]],
    others: Inputs,
    files: Files,
    threads: int,
    progress: Callable[[int, int], None] | None,
) -> dict[str, list[Inspection]]:
    pairs = [(split, pair) for split in splits for pair in splits[split]]
    inspections: dict[str, list[Inspection]] = {split: [] for split in splits}
    threads = min(_MAX_THREADS, threads)
    pool = ThreadPoolExecutor(threads)
    measured = choose_masks(splits)
    under_way: deque[Future[list[Inspection]]] = deque()
    done = 0

    def inspect(start: int) -> list[Inspection]:
        some = pairs[start : start + _TOGETHER]
        return [
            inspect_pair(pair, others, measured, facts_of=files.facts_of)
            for _, pair in some
        ]

    def take() -> None:
        nonlocal done
        for inspection in under_way.popleft().result():
            inspections[pairs[done][0]].append(inspection)
            done += 1
            if progress:
                progress(done, len(pairs))

    try:
        for start in range(0, len(pairs), _TOGETHER):
            under_way.append(pool.submit(inspect, start))
            if len(under_way) > 2 * threads:
                take()
        while under_way:
            take()
    finally:
        pool.shutdown(cancel_futures=True)  # Ctrl-C does not wait for what is queued
    return inspections


def _usable_pairs(
    dataset: Dataset,
    inspections: Mapping[str, list[Inspection]],
    problems: Iterable[Problem],
) -> dict[str, tuple[PairFacts, ...]]:
    bad = {problem.path for problem in problems if problem.severity == PROBLEM}
    return {
        split: tuple(
            facts
            for inspection in found
            if bad.isdisjoint(_paths(inspection.pair))
            and (facts := _facts(dataset, inspection))
        )
        for split, found in inspections.items()
    }


def _paths(pair: Pair) -> tuple[Path, ...]:
    return (pair.image, pair.mask, *pair.others.values())


def _facts(dataset: Dataset, inspection: Inspection) -> PairFacts | None:
    pair, image, mask = inspection.pair, inspection.image, inspection.mask
    if image is None or mask is None:
        return None
    ids = inspection.ids
    ignored = dataset.ignore_index
    return PairFacts(
        stem=pair.stem,
        image=_name(pair.image, dataset.root),
        mask=_name(pair.mask, dataset.root),
        height=inspection.size[0],
        width=inspection.size[1],
        class_pixels=tuple(
            0 if index == ignored else ids.get(index, 0)
            for index in range(dataset.num_classes)
        ),
        ignored_pixels=0 if ignored is None else ids.get(ignored, 0),
        image_size_bytes=image.size_bytes,
        mask_size_bytes=mask.size_bytes,
        image_md5=image.md5,
        mask_md5=mask.md5,
        others={
            name: InputFacts(
                path=_name(pair.others[name], dataset.root),
                size_bytes=facts.size_bytes,
                md5=facts.md5,
            )
            for name, facts in inspection.others.items()
        },
    )


def _by_severity(
    problems: Iterable[Problem], severities: Mapping[str, str]
) -> dict[str, Any]:
    """The findings of a verification, as its fields."""
    found = sorted(
        replace(problem, severity=severities.get(problem.kind, problem.severity))
        for problem in problems
    )
    return {
        "problems": _of(found, PROBLEM),
        "warnings": _of(found, WARNING),
        "notes": _of(found, NOTE),
    }


def _name(path: Path, root: Path) -> str:
    """As `Path.relative_to`, in a tenth of its time."""
    return str(path).removeprefix(f"{root}/")


def _of(problems: Iterable[Problem], severity: str) -> tuple[Problem, ...]:
    return tuple(problem for problem in problems if problem.severity == severity)
