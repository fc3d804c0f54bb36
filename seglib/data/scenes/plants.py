"""Trees of several habits, and hedges."""

import numpy as np

from seglib.data.scenes import noise
from seglib.data.scenes.buildings import box_faces
from seglib.data.scenes.canvas import Canvas
from seglib.data.scenes.sprites import Sprite
from seglib.data.scenes.weather import Weather

_LEAVES = {
    "summer": ((66, 112, 44), (84, 124, 50), (52, 96, 52), (100, 132, 58)),
    "spring": ((130, 164, 72), (112, 156, 64), (226, 168, 182), (232, 206, 210)),
    "autumn": ((198, 128, 44), (176, 84, 40), (206, 164, 60), (124, 118, 52)),
}
_BARK = np.array((88, 70, 56))


def paint_tree(
    canvas: Canvas,
    weather: Weather,
    rng: np.random.Generator,
    *,
    x: float,
    z: float,
    height: float,
    habit: str,
) -> None:
    """A tree; `habit` is round, tall or conifer."""
    sprite = Sprite(canvas, x=x, z=z, reach=height * 0.5, height=height * 1.05)
    colours = _LEAVES[weather.season]
    leaf = np.array(colours[rng.integers(len(colours))]) * rng.uniform(0.88, 1.1)
    if habit == "conifer":
        leaf = np.array((44, 82, 56)) * rng.uniform(0.85, 1.15)
    trunk = sprite.thick(0.16 + 0.018 * height, 13)
    lean = rng.uniform(-0.02, 0.02) * height
    fork = height * (0.2 if habit == "conifer" else 0.42)
    sprite.limb((0, 0), (lean, fork), trunk, _BARK, taper=0.75)
    sprite.limb((trunk * 0.2, 0), (lean + trunk * 0.2, fork), trunk * 0.4, _BARK * 1.25)
    for side in (-1, 1):
        tip = (lean + side * height * 0.13, height * 0.62)
        sprite.limb((lean, fork), tip, trunk * 0.55, _BARK * 0.9, taper=0.5)
    _paint_crown(sprite, weather, rng, leaf, height=height, habit=habit, lean=lean)
    sprite.paint(weather, relief=0.3)


def _paint_crown(
    sprite: Sprite,
    weather: Weather,
    rng: np.random.Generator,
    leaf: np.ndarray,
    *,
    height: float,
    habit: str,
    lean: float,
) -> None:
    """Clumps of leaves: dark ones behind and below, light ones in front and above."""
    count = 190
    u, v = _habit_cloud(rng, habit, count)
    sunward = float(np.sign(weather.towards_sun[0])) if any(weather.sun) else 0.3
    front = rng.uniform(0, 1, count)
    bright = 0.58 + 0.34 * front + 0.3 * (v - 0.6) + 0.16 * u * sunward
    size = rng.uniform(0.035, 0.075, count) * height * (1.15 - 0.4 * front)
    if habit == "conifer":
        size *= 0.6
    tint = rng.uniform(0.92, 1.08, (count, 3))
    for index in np.argsort(front):
        colour = leaf * bright[index] * tint[index]
        x, y = lean + u[index] * height, v[index] * height
        sprite.disc(x, y, max(size[index], 3 / sprite.scale), colour)
        offset = size[index] * 0.3
        sprite.disc(x + offset * sunward, y + offset, size[index] * 0.5, colour * 1.14)


def _habit_cloud(
    rng: np.random.Generator, habit: str, count: int
) -> tuple[np.ndarray, np.ndarray]:
    """Where the clumps are, in tree heights from the foot: (x, y)."""
    angle = rng.uniform(0, 2 * np.pi, count)
    radius = np.sqrt(rng.uniform(0, 1, count))
    if habit == "conifer":
        v = 0.14 + 0.82 * rng.uniform(0, 1, count) ** 1.35
        tier = 0.75 + 0.25 * np.mod(v * 7, 1.0)[::1]
        return rng.uniform(-1, 1, count) * (0.98 - v) * 0.36 * (1.3 - 0.4 * tier), v
    wide, tall, centre = (0.15, 0.36, 0.58) if habit == "tall" else (0.3, 0.27, 0.68)
    lobes = 1 + 0.16 * np.sin(angle * rng.integers(3, 6) + rng.uniform(0, 6))
    u, v = (
        wide * radius * lobes * np.cos(angle),
        centre + tall * radius * lobes * np.sin(angle),
    )
    return u, v.clip(0.26, 0.99)


def paint_hedge(
    canvas: Canvas,
    weather: Weather,
    rng: np.random.Generator,
    *,
    x: float,
    start: float,
    end: float,
    height: float,
) -> None:
    """A clipped hedge along the street."""
    leaf = np.array((62, 98, 48)) * rng.uniform(0.85, 1.15)
    middle, half = (start + end) / 2, (end - start) / 2
    for points, normal in box_faces(x, middle, 0.45, half, 0.0, height):
        clumps = noise.patch(rng, 60, 240, grain=7) + 0.7 * noise.patch(
            rng, 60, 240, grain=2.5
        )
        texture = leaf * (1 + 0.2 * clumps)[..., None]
        texture *= np.linspace(1.1, 0.62, 60)[:, None, None]
        shade = weather.shade(normal)
        canvas.face(points, texture.astype(np.float32), shade=shade, two_sided=False)
