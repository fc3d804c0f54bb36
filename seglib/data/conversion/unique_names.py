"""File names of samples: unique, visible, and without folders."""

from collections import Counter
from collections.abc import Sequence

from seglib.plain_text import visible_line
from seglib.storage.files import is_left_behind, normal

_LONGEST = 200  # bytes of UTF-8, of 255 that file systems take


def unique_names(names: Sequence[str]) -> list[str]:
    """The last parts of the names; where two are equal, with their folders.

    Names that differ in small and capital letters alone are equal: some file systems
    cannot tell them apart.

    >>> unique_names(["a/1", "b/1", "b/2", "b/2"])
    ['a_1', 'b_1', 'b_2', 'b_2_2']
    """
    short = [_clean(name.rpartition("/")[2]) for name in names]
    counts = Counter(name.casefold() for name in short)
    whole = [
        one
        if counts[one.casefold()] == 1
        else _clean(name.strip("/").replace("/", "_"))
        for one, name in zip(short, names, strict=True)
    ]
    free = Counter(name.casefold() for name in whole)
    taken: set[str] = set()
    unique = []
    for name in whole:
        number, new = 1, name
        while new.casefold() in taken or (number > 1 and new.casefold() in free):
            number += 1
            new = f"{name}_{number}"
        taken.add(new.casefold())
        unique.append(new)
    return unique


def _clean(name: str) -> str:
    """The name without control characters, backslashes, and dots at its beginning."""
    name = normal(name).replace("\\", "_").replace("/", "_")
    name = "".join(c if c == visible_line(c) else "_" for c in name)
    name = name.encode("utf-8", "replace")[-_LONGEST:].decode("utf-8", "ignore")
    return f"_{name.lstrip('.')}" if not name or is_left_behind(name) else name
