"""One verification of all parts: what only all files together tell."""

from collections.abc import Collection, Iterable, Mapping
from contextlib import closing

import numpy as np

from seglib.data.problems import IGNORE, PROBLEM
from seglib.data.verification.copy_checks import check_copies
from seglib.data.verification.facts_cache import FactsCache
from seglib.data.verification.findings import FindingStore
from seglib.data.verification.mask_checks import (
    check_count,
    check_ids,
    infer_classes,
    stray_ids,
)
from seglib.data.verification.object_checks import check_objects
from seglib.data.verification.packing import Part
from seglib.data.verification.parts import VerificationPlan
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
from seglib.data.verification.split_facts import SplitFacts
from seglib.data.verification.verified import UsablePairs, Verification
from seglib.errors import SegError


def join(
    plan: VerificationPlan, parts: Iterable[Part], *, ignore: Collection[str] = ()
) -> Verification:
    """Make one verification of all parts, in their order.

    Files are read again only where two images may have equal pixels.

    Args:
        plan: by which the parts were made.
        parts: all, in their order; one is joined before the next is taken.
        ignore: kinds of warnings and notes that are left out.

    Raises:
        SegError: a part is missing, or of another dataset.
    """
    scan, dataset = plan.scan, plan.scan.dataset
    whole = _joined(plan, parts)
    splits = _split(plan, whole)
    severities = {**scan.severities, **dict.fromkeys(ignore, IGNORE)}
    store = FindingStore(severities)
    store.add(scan.problems)
    if not scan.knows_classes:
        dataset, found = infer_classes(scan, splits)
        store.add(found)
    store.add(check_layout(dataset, plan.wanted, plan.tree))
    store.add(check_ignored(dataset))
    classes, ignored = dataset.num_classes, dataset.ignore_index
    bad = {}
    for split, facts in splits.items():
        bad[split] = stray_ids(facts, num_classes=classes, ignore_index=ignored)
        for index in np.flatnonzero(facts.suspicious()):
            problems = facts[int(index)].problems
            store.add(problems)
            bad[split][index] |= any(each.severity == PROBLEM for each in problems)
    store.add(check_ids(splits, num_classes=classes, ignore_index=ignored))
    fatal = {kind for kind, severity in store.found if severity == PROBLEM}
    store.add(check_count(dataset.root, classes, fatal))
    store.add(check_depths(dataset, splits))
    store.add(check_palettes(dataset, splits))
    store.add(check_sequences(dataset))
    if not any(severity == PROBLEM for _, severity in store.found):
        # Else their counts would be wrong.
        store.add(check_classes(dataset, splits))
        store.add(check_drift(dataset, splits))
        store.add(check_objects(dataset, splits))
    with closing(FactsCache()) as cache:
        store.add(check_copies(splits, Files(plan.tree, cache).digest_of))
    return Verification(
        dataset=dataset,
        pairs={
            split: UsablePairs(dataset, facts, ~bad[split] & facts.decoded())
            for split, facts in splits.items()
        },
        inspections=splits,
        findings=store,
        tree=plan.tree,
        files=len(whole),
        files_read=whole.files_read,
    )


def _joined(plan: VerificationPlan, parts: Iterable[Part]) -> Part:
    whole, pairs = Part(), 0
    name = plan.key(0, 1).partition(" ")[0]
    for number, part in enumerate(parts):
        digest, _, bounds = part.key.partition(" ")
        start, _, stop = bounds.partition("-")
        if digest != name or int(start) != pairs:
            raise SegError(
                f"{plan.scan.dataset.root}: part {number} is not of these files, or "
                f"does not begin with pair {pairs}. Received: {part.key}. Verify it "
                "again."
            )
        pairs = int(stop)
        if number:
            whole.extend(part)
        else:
            whole = part
    if pairs != plan.pairs:
        raise SegError(
            f"{plan.scan.dataset.root}: the parts hold {pairs:,} of {plan.pairs:,} "
            "pairs. Verify the missing ones."
        )
    return whole


def _split(plan: VerificationPlan, whole: Part) -> Mapping[str, SplitFacts]:
    splits, first = {}, 0
    for split, pairs in plan.splits.items():
        inputs = plan.inputs(split)
        splits[split] = SplitFacts(pairs, inputs, whole, first)
        first += len(pairs) * (2 + len(inputs))
    return splits
