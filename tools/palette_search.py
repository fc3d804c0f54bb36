"""Search for the colours of classes: far apart for every kind of colour vision.

python -m tools.palette_search 256

It prints the table of `seglib.drawing.palette`. The colours are chosen one after the
other, each as far as possible from all before it; so the first ones do not change when
more are asked for. The first 20 are then moved as long as that brings the nearest two
of them further apart.
"""

import sys
from collections.abc import Iterator

import numpy as np

FIRST = 20  # that are optimised together
# Reference: Machado, Oliveira and Fernandes 2009, "A Physiologically-based Model for
# Simulation of Color Vision Deficiency", severity 1.0; of linear RGB.
VISIONS: dict[str, list[list[float]]] = {
    "normal": [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
    "protan": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deutan": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritan": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}
_XYZ = np.array(  # of linear sRGB, IEC 61966-2-1
    [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339, 0.1191920, 0.9503041],
    ]
)
# Taken already: the sheet's background, the two greys of ignored pixels, white.
_TAKEN = ((24, 26, 31), (104, 106, 110), (128, 130, 134), (255, 255, 255))
# Normal vision has more colours to offer: its distances count so much less.
_NORMAL = 0.6
_LIGHTNESS = (30, 88)  # darker is lost on a dark sheet, lighter on a light page
_LEAST_CHROMA = 28  # pale colours are lost on a picture; greys are for ignored pixels


def lab(colours: np.ndarray, vision: str = "normal") -> np.ndarray:
    """Colours as they look to a kind of vision, in CIELAB under D65.

    Args:
        colours: 0 … 255, (n, 3), sRGB.
        vision: a key of `VISIONS`.

    Returns:
        float64 (n, 3).
    """
    share = np.asarray(colours, float) / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    seen = np.clip(linear @ np.array(VISIONS[vision]).T, 0, 1)
    xyz = seen @ _XYZ.T / _XYZ.sum(1)
    cube = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz * (29 / 6) ** 2 / 3 + 4 / 29)
    x, y, z = cube.T
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=1)


def least_distances(colours: np.ndarray) -> dict[str, float]:
    """The distance in CIELAB of the two nearest colours, by kind of vision."""
    found = {}
    for vision in VISIONS:
        seen = lab(colours, vision)
        apart = np.linalg.norm(seen[:, None] - seen, axis=2)
        found[vision] = float(apart[np.triu_indices(len(seen), 1)].min())
    return found


def search(count: int) -> np.ndarray:
    """Choose colours, uint8 (count, 3)."""
    colours = np.array([*_candidates()])
    seen = _seen(colours)  # (visions, candidates, 3)
    taken = _seen(np.array(_TAKEN))
    # Ignored pixels are hatched and the background has no pixels: half the distance.
    start = 2 * _nearest(seen, taken)
    chosen = _extended([int(start.argmax())], FIRST, seen, start)
    chosen = _ordered(_improved(chosen, seen, start), seen)
    return colours[_extended(chosen, count, seen, start)].astype(np.uint8)


def _seen(colours: np.ndarray) -> np.ndarray:
    weights = {"normal": _NORMAL}
    return np.stack([lab(colours, v) * weights.get(v, 1) for v in VISIONS])


def _candidates() -> Iterator[tuple[int, int, int]]:
    levels = np.unique(np.linspace(0, 255, 27).round().astype(int))
    grid = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(-1, 3)
    light, a, b = lab(grid).T
    low, high = _LIGHTNESS
    fits = (light >= low) & (light <= high) & (np.hypot(a, b) >= _LEAST_CHROMA)
    yield from map(tuple, grid[fits])


def _nearest(seen: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Of each candidate the least distance to others, over all kinds of vision."""
    apart = np.linalg.norm(seen[:, :, None] - others[:, None], axis=3)
    least: np.ndarray = apart.min(axis=(0, 2))
    return least


def _extended(
    chosen: list[int], count: int, seen: np.ndarray, start: np.ndarray
) -> list[int]:
    """Add the farthest candidate until there are `count`."""
    chosen = list(chosen)
    least = np.minimum(start, _nearest(seen, seen[:, chosen]))
    while len(chosen) < count:
        chosen.append(int(least.argmax()))
        least = np.minimum(least, _nearest(seen, seen[:, chosen[-1:]]))
    return chosen


def _improved(chosen: list[int], seen: np.ndarray, start: np.ndarray) -> list[int]:
    """Replace each colour by the one farthest from the others, until none moves."""
    rng = np.random.default_rng(0)
    best, best_least = chosen, 0.0
    for attempt in range(10):
        now = list(best)
        if attempt:
            for place in rng.choice(FIRST, 5, replace=False):
                now[place] = int(rng.integers(seen.shape[1]))
        for _ in range(20):
            before = list(now)
            for place in range(FIRST):
                rest = now[:place] + now[place + 1 :]
                least = np.minimum(start, _nearest(seen, seen[:, rest]))
                now[place] = int(least.argmax())
            if now == before:
                break
        apart = np.linalg.norm(seen[:, now][:, :, None] - seen[:, now][:, None], axis=3)
        least_now = float(apart[:, *np.triu_indices(FIRST, 1)].min())
        if least_now > best_least:
            best, best_least = now, least_now
            print(f"attempt {attempt}: {best_least:.2f}", file=sys.stderr)
    return best


def _ordered(chosen: list[int], seen: np.ndarray) -> list[int]:
    """The first is the palest, as it is often background; then the farthest of all."""
    rest = list(chosen)
    chroma = np.hypot(seen[0, rest, 1], seen[0, rest, 2])
    order = [rest.pop(int(chroma.argmin()))]
    while rest:
        least = _nearest(seen[:, rest], seen[:, order])
        order.append(rest.pop(int(least.argmax())))
    return order


def main() -> None:
    colours = search(int(sys.argv[1]))
    words = ["".join(f"{part:02x}" for part in colour) for colour in colours]
    for start in range(0, len(words), 12):
        print(f'    "{"".join(words[start : start + 12])}"')
    for count in (8, FIRST, 40, 150, len(colours)):
        told = ", ".join(
            f"{v} {d:.1f}" for v, d in least_distances(colours[:count]).items()
        )
        print(f"least distance of the first {count}: {told}", file=sys.stderr)


if __name__ == "__main__":
    main()
