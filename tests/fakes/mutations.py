"""Files as damage, other programs and attackers leave them."""

import copy
from collections.abc import Iterator
from typing import Any

import numpy as np

# Values that no annotation should have in place of another.
_STRANGE: tuple[Any, ...] = (
    *(None, True, -1, 0, 0.5, 3, 1 << 70, 1e308, float("nan"), float("inf"), "", "é\0"),
    *("x" * 300, "../secret.png", "/etc/hostname", "..\\..\\secret.png", "C:\\a.png"),
    *([], [[]], [None], [1, 2, 3, 4, 5, 6], [[0.5] * 8], [[float("nan")] * 6], {}),
    *({"size": [12, 16], "counts": [0.5, 191.5]}, {"size": 3, "counts": {}}),
    *({"size": [1 << 40, 1 << 40], "counts": "1"}, ["a", {"b": []}]),
)


def mutated(content: bytes, draw: np.random.Generator) -> bytes:
    """Some bytes changed, most often near the start, where formats say what follows."""
    changed = bytearray(content)
    reach = int(draw.choice([32, 128, len(content)]))
    for _ in range(int(draw.integers(1, 6))):
        place = int(draw.integers(0, min(reach, len(changed))))
        match int(draw.integers(0, 5)):
            case 0:
                changed[place] = int(draw.integers(0, 256))
            case 1:
                changed[place] ^= 1 << int(draw.integers(0, 8))
            case 2:
                changed[place : place + 4] = b"\xff\xff\xff\xff"
            case 3:
                del changed[place : place + int(draw.integers(1, 9))]
            case 4:
                changed[place:place] = draw.bytes(int(draw.integers(1, 9)))
        if len(changed) < 2:
            break
    return bytes(changed)


def mutated_tree(tree: Any, draw: np.random.Generator) -> Any:
    """A tree of JSON with one to three of its parts replaced, removed or repeated."""
    tree = copy.deepcopy(tree)
    for _ in range(int(draw.integers(1, 4))):
        places = list(_places(tree))
        if not places:
            break
        holder, key = places[int(draw.integers(0, len(places)))]
        match int(draw.integers(0, 6)):
            case 0:
                del holder[key]
            case 1 if isinstance(holder, list):
                holder.insert(key, copy.deepcopy(holder[key]))
            case 2:
                other, place = places[int(draw.integers(0, len(places)))]
                holder[key] = copy.deepcopy(other[place])
            case _:
                holder[key] = copy.deepcopy(_STRANGE[int(draw.integers(len(_STRANGE)))])
    return tree


def _places(tree: Any) -> Iterator[tuple[Any, Any]]:
    """All parts of a tree, each by what holds it and its key or index."""
    if isinstance(tree, dict):
        parts = list(tree.items())
    else:
        parts = list(enumerate(tree)) if isinstance(tree, list) else []
    for key, part in parts:
        yield tree, key
        yield from _places(part)
