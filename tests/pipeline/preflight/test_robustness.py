"""A damaged file is a finding or an error, never a crash."""

import copy
import math
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline.preflight.checkup import examine
from seglib.errors import SegError
from tests.pipeline.preflight.compiled import Compiled

ODD = [
    None, {}, [], "", 0, -1, 1.5, math.inf, True, "x", [1], {"a": 1},
    {"name": "x", "value": {}}, "{{$.inputs.parameters['x']}}",
    {"runtimeValue": {"constant": [1]}}, {"componentInputParameter": "x"},
]  # fmt: skip


@settings(max_examples=25)
@given(
    steps=st.lists(st.integers(0, 10**6), min_size=1, max_size=12),
    odd=st.sampled_from(ODD),
    removed=st.booleans(),
)
@example(steps=[1, 0, 0, 0, 0, 0, 0], odd=math.inf, removed=False)
def test_whatever_is_replaced_or_missing_is_a_finding_at_most(
    compiled: Compiled,
    tmp_path_factory: pytest.TempPathFactory,
    steps: list[int],
    odd: Any,
    removed: bool,
) -> None:
    trees: list[Any] = copy.deepcopy([compiled.pipeline, compiled.platform])
    place, key = _walk(trees, steps)
    if removed and place is not trees:
        del place[key]
    else:
        place[key] = odd
    path = tmp_path_factory.getbasetemp() / "odd.yaml"
    try:
        diagnosis = examine(Compiled(*trees).write(path))
    except SegError:
        return
    assert all(finding.what for finding in diagnosis.findings)


def _walk(tree: Any, steps: list[int]) -> tuple[Any, Any]:
    """A place in a tree: a dict and a key, or a list and an index."""
    place, key = tree, steps[0] % len(tree)
    for step in steps[1:]:
        inner = place[key]
        if not isinstance(inner, dict | list) or not inner:
            break
        keys = [*inner] if isinstance(inner, dict) else [*range(len(inner))]
        place, key = inner, keys[step % len(keys)]
    return place, key
