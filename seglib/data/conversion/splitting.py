"""Division of samples into splits: classes in all of them, groups in one.

Reference: Sechidis, Tsoumakas and Vlahavas 2011, "On the Stratification of Multi-Label
Data": the rarest class is dealt first, each sample to the split that wants it most.
Here, a split without the class comes first.
"""

import random
import re
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Collection, Mapping, Sequence
from itertools import islice

from seglib.data.dataset import SPLITS
from seglib.data.verification.similarity import sequences
from seglib.errors import UsageError

_CANDIDATES = 200  # the largest groups left, among which the best fitting is taken
KEEP, SEQUENCE = "keep", "sequence"


def parse_shares(text: str) -> dict[str, float]:
    """The shares of train, val and test, such as `0.8/0.1/0.1`; empty for `keep`.

    Two shares are those of train and val.

    >>> parse_shares("3/1")
    {'train': 0.75, 'val': 0.25}

    Raises:
        UsageError: the text is neither.
    """
    if text == KEEP:
        return {}
    try:
        shares = [float(part) for part in text.split("/")]
    except ValueError:
        shares = []
    if len(shares) not in (2, 3) or min(shares) <= 0 or not sum(shares) < 1e6:
        raise UsageError(
            f"--split must be `{KEEP}`, or the shares of train, val and perhaps test, "
            f"such as 0.8/0.1/0.1. Received: {text!r}."
        )
    return {s: share / sum(shares) for s, share in zip(SPLITS, shares, strict=False)}


def group_samples(names: Collection[str], group_by: str) -> dict[str, str]:
    """The group of each sample; all samples of a group come into one split.

    Args:
        names: of the samples.
        group_by: "": each is its own group. `sequence`: by the part of the name
            before its last number. Else a regular expression, whose first group, or
            all that it finds, is the group's name.

    Raises:
        UsageError: it is no regular expression, or finds nothing.
    """
    if not group_by:
        return {name: name for name in names}
    if group_by == SEQUENCE:
        found = sequences(names)
        of = {name: f"{key}…" for key, frames in found.items() for name in frames}
        return {name: of.get(name, name) for name in names}
    try:
        pattern = re.compile(group_by)
    except re.error as error:
        raise UsageError(f"--group-by {group_by!r}: {error}.") from error
    groups = {}
    for name in names:
        if not (match := pattern.search(name)):
            raise UsageError(
                f"--group-by {group_by!r} finds nothing in the name {name!r}. Expected "
                f"`{SEQUENCE}`, or a regular expression for all names."
            )
        groups[name] = match[1] if pattern.groups and match[1] else match[0]
    return groups


def divide(
    classes: Mapping[str, Collection[int]],
    groups: Mapping[str, str],
    shares: Mapping[str, float],
    *,
    seed: int,
) -> dict[str, str]:
    """The split of each sample; a group that shows no class comes into the first.

    Args:
        classes: ids of the classes that each sample shows.
        groups: name of each sample's group.
        shares: of the samples that each split is to have.
        seed: of the order among equals.

    Raises:
        UsageError: there are fewer groups than splits.
    """
    members: dict[str, list[str]] = defaultdict(list)
    for name in sorted(name for name, ids in classes.items() if ids):
        members[groups[name]].append(name)
    if len(members) < len(shares):
        are_single = len(set(groups.values())) == len(groups)
        raise UsageError(
            f"--split: {len(shares)} splits need at least as many "
            f"{'images' if are_single else 'groups of images'} with labelled pixels. "
            f"Received: {len(members)}. Give fewer shares, or group otherwise."
        )
    # How many samples of a group show each class; -1 is shown by all.
    shown = {
        group: Counter(i for name in names for i in (-1, *classes[name]))
        for group, names in members.items()
    }
    totals: Counter[int] = Counter()
    for counts in shown.values():
        totals.update(counts)
    wanted = {
        s: {i: share * n for i, n in totals.items()} for s, share in shares.items()
    }
    order = list(shown)
    random.Random(seed).shuffle(order)
    order.sort(key=lambda group: -len(members[group]))
    left: dict[int, OrderedDict[str, None]] = {i: OrderedDict() for i in totals}
    for group in order:
        for index in shown[group]:
            left[index][group] = None
    most = 1 if len(members) == len(classes) else _CANDIDATES  # single ones are equal
    has: dict[str, set[int]] = {split: set() for split in shares}
    chosen: dict[str, str] = {}
    while any(left.values()):
        rarest = min((i for i in left if left[i]), key=lambda i: (len(left[i]), -i))
        fitting = [split for split in shares if rarest not in has[split]]
        if len(left[rarest]) < len(fitting):  # the class cannot be in all of them
            fitting = [split for split in fitting if wanted[split][-1] > 0] or fitting
        empty = [split for split in shares if not has[split]]
        if len(members) - len(chosen) == len(empty):
            fitting = empty
        split = _most_wanting(fitting or list(shares), wanted, rarest)
        wish = wanted[split][rarest]
        candidates = islice(left[rarest], most)
        group = min(candidates, key=lambda g: abs(wish - shown[g][rarest]))
        chosen[group] = split
        has[split] |= shown[group].keys()
        for index, count in shown[group].items():
            wanted[split][index] -= count
            del left[index][group]
    first = next(iter(shares))
    return {name: chosen.get(groups[name], first) for name in classes}


def _most_wanting(
    candidates: Sequence[str], wanted: Mapping[str, Mapping[int, float]], index: int
) -> str:
    """The split that lacks most samples of a class, then most samples at all."""
    return max(candidates, key=lambda s: (wanted[s][index], wanted[s][-1]))
