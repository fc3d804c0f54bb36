"""The result of a verification."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import overload

import numpy as np

from seglib.data.dataset import Dataset
from seglib.data.manifest import InputFacts, PairFacts
from seglib.data.problems import (
    NOTE,
    PROBLEM,
    WARNING,
    Problem,
    group,
    relative_path,
    some_of_each,
)
from seglib.data.tree import Tree
from seglib.data.verification.findings import FindingStore
from seglib.data.verification.pair_checks import Inspection
from seglib.data.verification.split_facts import SplitFacts
from seglib.drawing import notebook
from seglib.errors import DatasetError


@dataclass(frozen=True, kw_only=True, repr=False)
class Verification:
    """The findings, sorted, of each severity, and the facts that they come from.

    `pairs` holds the pairs without problems, `inspections` all. These and the findings
    are sequences whose items are made when they are asked for: their number is not
    bounded by memory.
    """

    dataset: Dataset
    pairs: Mapping[str, Sequence[PairFacts]]
    inspections: Mapping[str, SplitFacts]
    findings: FindingStore
    tree: Tree  # that holds the files
    files: int  # that were looked at
    files_read: int  # of these; the others have not changed since they were read

    @property
    def problems(self) -> Sequence[Problem]:
        """Findings that make the dataset unfit for use."""
        return self.findings.of(PROBLEM)

    @property
    def warnings(self) -> Sequence[Problem]:
        """Findings that should be looked at."""
        return self.findings.of(WARNING)

    @property
    def notes(self) -> Sequence[Problem]:
        """Findings for information."""
        return self.findings.of(NOTE)

    @property
    def ok(self) -> bool:
        """Whether the dataset can be used; it may have warnings."""
        return not self.problems

    def __repr__(self) -> str:
        return f"Verification({str(self.dataset.root)!r}: {self._told()})"

    def _repr_html_(self) -> str:
        """For notebooks: findings, and each class's share of the pixels by split."""
        levels = (self.problems, self.warnings, self.notes)
        found = [one for level in levels for one in group(level, at_most=1)]
        findings = [
            [
                first.severity,
                first.kind,
                relative_path(first.path, self.dataset.root),
                f"and {one.count - 1:,} more" if one.count > 1 else "",
                f"{first.reason}. {first.remedy}",
            ]
            for one in found
            for first in one.first
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
                [
                    notebook.class_name(name, colour),
                    *(notebook.share(n[i] / max(1, n.sum())) for n in pixels.values()),
                ]
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
        store = self.findings.copy()
        store.add(found)
        return replace(self, findings=store)

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


class UsablePairs(Sequence[PairFacts]):
    """The pairs of a split without problems; each is made when it is asked for."""

    def __init__(self, dataset: Dataset, facts: SplitFacts, usable: np.ndarray):
        """Those for which a bool (pairs,) is true."""
        self._dataset, self._facts = dataset, facts
        self._chosen = np.flatnonzero(usable)

    def __len__(self) -> int:
        return len(self._chosen)

    @overload
    def __getitem__(self, index: int) -> PairFacts: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[PairFacts, ...]: ...
    def __getitem__(self, index: int | slice) -> PairFacts | tuple[PairFacts, ...]:
        if isinstance(index, slice):
            return tuple(self[i] for i in range(len(self))[index])
        return _facts(self._dataset, self._facts[int(self._chosen[index])])


def _facts(dataset: Dataset, inspection: Inspection) -> PairFacts:
    pair, image, mask = inspection.pair, inspection.image, inspection.mask
    assert image
    assert mask
    ids, ignored = inspection.ids, dataset.ignore_index

    def name(path: object) -> str:  # as `Path.relative_to`, in a tenth of its time
        return str(path).removeprefix(f"{dataset.root}/")

    return PairFacts(
        stem=pair.stem,
        image=name(pair.image),
        mask=name(pair.mask),
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
            key: InputFacts(
                path=name(pair.others[key]),
                size_bytes=facts.size_bytes,
                md5=facts.md5,
            )
            for key, facts in inspection.others.items()
        },
    )
