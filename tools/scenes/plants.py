"""Trees of several habits, and hedges."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from tools.scenes import noise
from tools.scenes.brush import Brush
from tools.scenes.houses import box_faces
from tools.scenes.sprites import Sprite

HABITS = ("round", "tall", "conifer")
_LEAVES = {
    "summer": ((72, 122, 46), (92, 134, 54), (56, 104, 54), (110, 142, 62)),
    "spring": ((138, 172, 76), (118, 164, 66), (246, 182, 198), (250, 226, 228)),
    "autumn": ((214, 138, 46), (192, 92, 42), (222, 176, 62), (134, 128, 54)),
}
_NEEDLES = np.array((46, 86, 58))
_BARK = np.array((88, 70, 56))
_TRUNK = 13  # canvas pixels; a thinner trunk cannot be seen


@dataclass(frozen=True)
class Tree:
    """A tree of a habit in `HABITS`; `height` in metres."""

    x: float
    z: float
    height: float
    habit: str


@dataclass(frozen=True)
class Hedge:
    """A hedge along the street from one distance to another."""

    x: float
    start: float
    end: float
    height: float


def paint_tree(brush: Brush, tree: Tree) -> None:
    """Trunk, branches and crown."""
    rng, height, habit = brush.rng, tree.height, tree.habit
    sprite = Sprite(
        brush.canvas, x=tree.x, z=tree.z, reach=height * 0.5, height=height * 1.08
    )
    leaf = brush.one_of(_LEAVES[brush.weather.season]) * rng.uniform(0.9, 1.1)
    if habit == "conifer":
        leaf = _NEEDLES * rng.uniform(0.85, 1.15)
    trunk = sprite.thick(0.16 + 0.018 * height, _TRUNK)
    lean = rng.uniform(-0.02, 0.02) * height
    fork = height * (0.2 if habit == "conifer" else 0.42)
    sprite.limb((0, 0), (lean, fork), trunk, _BARK, taper=0.75)
    ridge = (trunk * 0.2, 0), (lean + trunk * 0.2, fork)
    sprite.limb(*ridge, trunk * 0.4, _BARK * 1.25)
    for side in (-1, 1):
        tip = (lean + side * height * 0.13, height * 0.62)
        sprite.limb((lean, fork), tip, trunk * 0.55, _BARK * 0.9, taper=0.5)
    _paint_crown(sprite, brush, tree, leaf, lean)
    sprite.speckle(0.1 * noise.tile(rng, 128, roughness=0.55))
    sprite.paint(brush.weather, relief=0.22)


def _paint_crown(
    sprite: Sprite, brush: Brush, tree: Tree, leaf: np.ndarray, lean: float
) -> None:
    """Clumps of leaves: dark ones behind and below, light ones in front and above."""
    rng, weather, height, habit = brush.rng, brush.weather, tree.height, tree.habit
    count = int(np.clip(height * sprite.scale * 1.3, 160, 900))
    u, v = _crown(rng, habit, count)
    sunward = float(np.sign(weather.towards_sun[0])) if any(weather.sun) else 0.3
    front = rng.uniform(0, 1, count)
    clump = np.sin(u * 31 + 1.3 * np.sin(v * 23)) * np.sin(v * 37 + u * 11)
    light = 0.55 + 0.36 * front + 0.34 * (v - 0.62) + 0.5 * u * sunward + 0.13 * clump
    size = rng.uniform(0.5, 1.0, count) * (1.25 - 0.55 * front)
    size *= height * (0.6 if habit == "conifer" else 1.0) * 0.95 / np.sqrt(count)
    size = np.maximum(size, 2.5 / sprite.scale)
    tint = rng.uniform(0.93, 1.07, (count, 3))
    for index in np.argsort(front):
        x, y = lean + u[index] * height, v[index] * height
        sprite.disc(x, y, size[index], leaf * light[index] * tint[index])


def _crown(
    rng: np.random.Generator, habit: str, count: int
) -> tuple[np.ndarray, np.ndarray]:
    """Where the clumps are, in tree heights from the foot: (x, y)."""
    if habit == "conifer":
        v = 0.14 + 0.82 * rng.uniform(0, 1, count) ** 1.35
        tier = 1.2 - 0.45 * np.mod(v * 7, 1.0)
        return rng.uniform(-1, 1, count) * (0.98 - v) * 0.34 * tier, v
    wide, tall, centre = (0.15, 0.36, 0.6) if habit == "tall" else (0.3, 0.27, 0.68)
    angle = rng.uniform(0, 2 * np.pi, count)
    radius = np.sqrt(rng.uniform(0, 1, count))
    lobes = 1 + 0.15 * np.sin(angle * rng.integers(3, 6) + rng.uniform(0, 6))
    lobes += 0.05 * np.sin(angle * rng.integers(8, 14) + rng.uniform(0, 6))
    u = wide * radius * lobes * np.cos(angle)
    v = centre + tall * radius * lobes * np.sin(angle)
    return u, v.clip(0.28, 1.02)


def paint_hedge(brush: Brush, hedge: Hedge) -> None:
    """A clipped hedge along the street."""
    rng = brush.rng
    leaf = np.array((66, 104, 50)) * rng.uniform(0.85, 1.15)
    middle, half = (hedge.start + hedge.end) / 2, (hedge.end - hedge.start) / 2
    for points, normal in box_faces(hedge.x, middle, 0.45, half, 0.0, hedge.height):
        clumps = noise.patch(rng, 60, 240, grain=7)
        leaves = noise.patch(rng, 60, 240, grain=2.5)
        texture = leaf * (1 + 0.2 * clumps + 0.16 * leaves)[..., None]
        texture *= np.linspace(1.1, 0.62, 60)[:, None, None]
        brush.face(points, texture.astype(np.float32), normal, two_sided=False)


def paint_hills(brush: Brush, *, z: float, rise: float) -> None:
    """A wooded ridge across the end of the street, about `rise` metres high."""
    rng = brush.rng
    reach = 1.2 * z
    x = np.linspace(-reach, reach, 90)
    ridge = np.full(len(x), rise)
    for length, size in ((40, 3.5), (11, 1.4), (3.5, 0.8)):
        ridge += size * np.sin(x / length + rng.uniform(0, 6))
    for left, (y0, y1) in enumerate(pairwise(ridge)):
        x0, x1 = x[left], x[left + 1]
        quad = np.array([(x0, y0, z), (x1, y1, z), (x1, -1, z), (x0, -1, z)])
        colour = np.array((84, 108, 66)) * rng.uniform(0.9, 1.1)
        brush.face(quad, colour, (0.0, 0.5, -0.86))
