"""The format of augmentation policies: what a policy may hold, read and checked.

A policy is a list of transforms, in YAML or as Python holds it. Each has its chance
`p` (0.5) and the range of its one number, which is drawn anew for every pair:

    - hflip: {p: 0.5}
    - rotate: {p: 0.7, degrees: [-8, 8]}
    - one_of: {p: 0.3, of: [blur: {p: 0.2}, noise: {p: 0.1}]}  # p: the weights
    - CLAHE: {p: 0.1, clip_limit: [1, 3]}  # of albumentations, by its class

Whatever their order in the list, pairs are mixed first, then moved, then recoloured;
effects and the transforms of albumentations follow in their order. Kept apart from
what the transforms do (`seglib.data.augmentation`), so that a configuration is checked
without it.
"""

import json
import math
import reprlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from seglib.errors import UsageError, unknown
from seglib.storage.documents import read_yaml

Tree = list[dict[str, dict[str, Any]]]  # a policy, as YAML holds it


@dataclass(frozen=True)
class Transform:
    """What a policy may say of a transform.

    stage: mix, move, recolour or effect.
    number: the name of its number; "": it has none.
    limits: smallest and largest number.
    usual: the range where a policy gives none.
    """

    stage: str
    meaning: str
    number: str = ""
    limits: tuple[float, float] = (0, 0)
    usual: tuple[float, float] = (0, 0)


GROUPS = {"one_of": "one of them, by the weights p", "all_of": "each by its own p"}


@cache
def transforms() -> dict[str, Transform]:
    """Our own transforms by name (transforms.yaml)."""
    return {name: Transform(**kind) for name, kind in _table("transforms.yaml").items()}


@cache
def policies() -> dict[str, Tree]:
    """The policies that have a name, as YAML holds them (policies.yaml)."""
    return _table("policies.yaml")


def _table(name: str) -> dict[str, Any]:
    found: dict[str, Any] = read_yaml(Path(__file__).with_name(name), error=UsageError)
    return found


@dataclass(frozen=True)
class Step:
    """A transform of a policy, or a group of them.

    range: of its number, for a name of `transforms`.
    options: of a class of albumentations.
    of: the members of a group.
    place: in the policy, for messages.
    """

    name: str
    p: float
    range: tuple[float, float] = (0, 0)
    options: Mapping[str, Any] = field(default_factory=dict)
    of: "tuple[Step, ...]" = ()
    place: str = ""

    @property
    def stage(self) -> str:
        return transforms()[self.name].stage if self.name in transforms() else "effect"


def policy_text(policy: Any) -> str:
    """A policy as a setting holds it: a name, or the whole policy as JSON.

    So a policy's content, not the place of its file, decides checkpoints, caches and
    what a pod does.

    Args:
        policy: a name of policies.yaml, the path of a YAML file, a list, a result of
            this function, or a transform of albumentations such as `Compose`.

    Raises:
        UsageError: an unknown name, a file that cannot be read, or a wrong policy;
            names file and key, what was expected and what was received.
    """
    if isinstance(policy, list):
        parse_policy(policy)
        return json.dumps(policy)
    if hasattr(policy, "to_dict"):
        try:
            return json.dumps(policy.to_dict())
        except (TypeError, ValueError, NotImplementedError) as error:
            raise UsageError(
                f"The policy cannot be written as JSON: {error}. Pass a function "
                "`policy(image, mask, rng)` as the argument `policy` instead."
            ) from error
    if isinstance(policy, str) and policy.endswith((".yaml", ".yml")):
        tree = read_yaml(Path(policy), error=UsageError)
        try:
            return policy_text(tree if isinstance(tree, list) else [tree])
        except UsageError as error:
            raise UsageError(f"{policy}: {error}") from error
    if isinstance(policy, str) and policy and not policy.startswith("{"):
        parse_policy(policy)
    return policy


def is_function(policy: Any) -> bool:
    """Whether a policy is code, which no setting can hold."""
    return callable(policy) and not hasattr(policy, "to_dict")


def policy_title(policy: Any) -> str:
    """What a page calls a policy: its name, that of a function, or `own`."""
    if is_function(policy):
        return str(getattr(policy, "__name__", "own"))
    return policy if policy in policies() else "own"


def policy_tree(policy: Any) -> Any:
    """A policy in full, for pages: a list, a `Compose`, or the name of a function."""
    if is_function(policy):
        return policy_title(policy)
    return policies()[policy] if policy in policies() else json.loads(policy or "[]")


def policy_words(policy: Any) -> list[str]:
    """What a policy does, transform by transform, with chances and ranges."""
    if is_function(policy):
        return [f"the function {policy_title(policy)}"]
    if isinstance(tree := policy_tree(policy), dict):  # a `Compose` of albumentations
        parts = tree["transform"].get("transforms", [tree["transform"]])
        return [
            f"in {one['p']:.0%} of the views {one['__class_fullname__']}"
            for one in parts
        ]
    return [
        f"in {step.p:.0%} of the views {_words(step)}" for step in parse_policy(policy)
    ]


def _words(step: Step) -> str:
    if step.of:
        members = (f"{_words(member)} ({member.p:g})" for member in step.of)
        return f"{step.name}, {GROUPS[step.name]}: {'; '.join(members)}"
    if kind := transforms().get(step.name):
        ends = [f"{end:g}" for end in dict.fromkeys(step.range)]
        number = f", {kind.number} {' … '.join(ends)}" if kind.number else ""
        return f"{step.name} ({kind.meaning}){number}"
    options = ", ".join(f"{key} {value}" for key, value in step.options.items())
    return f"{step.name}{f' ({options})' if options else ''}"


def policy_names(policy: str) -> list[str]:
    """The transforms of a policy, each once."""

    def names(steps: tuple[Step, ...]) -> list[str]:
        return [n for s in steps for n in (names(s.of) if s.of else [s.name])]

    return [*dict.fromkeys(names(parse_policy(policy)))]


def parse_policy(policy: str | Tree) -> tuple[Step, ...]:
    """The steps of a policy: a name of policies.yaml, JSON or a list.

    Raises:
        UsageError: see `policy_text`.

    >>> parse_policy([{"rotate": {"degrees": 5}}])[0].range
    (5, 5)
    """
    if isinstance(policy, str) and policy.startswith("["):
        try:
            policy = json.loads(policy)
        except ValueError as error:
            raise UsageError(f"The policy is no JSON: {error}.") from error
    elif isinstance(policy, str):
        if policy not in policies():
            raise unknown("augmentation policy", policy, policies())
        policy = policies()[policy]
    return _steps(policy, "", depth=0)


def _steps(tree: Any, place: str, *, depth: int) -> tuple[Step, ...]:
    fits = isinstance(tree, list) and len(tree) <= 100 and depth <= 5
    expected = "a list of at most 100 transforms, in groups at most 5 deep"
    _require(fits, place or "the policy", expected, tree)
    return tuple(
        _step(part, f"{place}[{i}]", depth=depth) for i, part in enumerate(tree)
    )


def _step(tree: Any, place: str, *, depth: int) -> Step:
    one = isinstance(tree, dict) and len(tree) == 1
    _require(one, place, "one transform such as `hflip: {p: 0.5}`", tree)
    ((name, given),) = tree.items()
    place = f"{place}.{name}"
    _require(given is None or isinstance(given, dict), place, "a mapping", given)
    options = dict(given or {})
    p = options.pop("p", 0.5)
    _require(_is_number(p, 0, 1), f"{place}.p", "a number from 0 to 1", p)
    if name in GROUPS:
        members = _steps(options.pop("of", None), f"{place}.of", depth=depth + 1)
        weighs = name != "one_of" or any(member.p > 0 for member in members)
        _require(weighs, f"{place}.of", "a transform with p above 0", tree)
        _only(options, (), place)
        return Step(name, p, of=members)
    if name in transforms():
        kind = transforms()[name]
        drawn = options.pop(kind.number, kind.usual) if kind.number else (0, 0)
        _only(options, (kind.number,) if kind.number else (), place)
        return Step(name, p, _range(drawn, kind, f"{place}.{kind.number}"))
    if not (isinstance(name, str) and name[:1].isupper()):
        raise unknown(f"transform at `{place}`", str(name), [*transforms(), *GROUPS])
    # A class of albumentations, which is checked where it is built.
    return Step(name, p, options=options, place=place)


def _range(given: Any, kind: Transform, place: str) -> tuple[float, float]:
    low, high = kind.limits
    ends = given if isinstance(given, list | tuple) else (given, given)
    fits = (
        len(ends) == 2 and all(_is_number(end, low, high) for end in ends)
    ) and ends[0] <= ends[1]
    expected = f"a number from {low} to {high}, or two, the lower first"
    _require(fits, place, expected, given)
    return ends[0], ends[1]


def _only(left: Mapping[Any, Any], known: Iterable[str], place: str) -> None:
    for name in left:
        raise unknown(f"key in `{place}`", str(name), ["p", *known])


def _is_number(value: Any, low: float, high: float) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and math.isfinite(value) and low <= value <= high


def _require(ok: bool, place: str, expected: str, value: Any) -> None:
    if not ok:
        raise UsageError(
            f"`{place}` must be {expected}. Received: {reprlib.repr(value)}."
        )
