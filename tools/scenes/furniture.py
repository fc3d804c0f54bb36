"""Lamps, traffic signs and traffic lights: the thin things on poles."""

import numpy as np

from tools.scenes.brush import Brush, Colour
from tools.scenes.canvas import OVERSAMPLING
from tools.scenes.sprites import Sprite

_STEEL = np.array((112, 118, 124))
_THIN = 6 * OVERSAMPLING  # canvas pixels; a thinner pole cannot be learnt
_LAMPLIGHT = np.array((255, 214, 150))
_RED, _BLUE, _WHITE = (200, 30, 34), (28, 84, 176), (242, 242, 238)


def paint_lamp(brush: Brush, x: float, z: float) -> None:
    """A street lamp whose arm reaches over the road."""
    height = brush.rng.uniform(4.2, 5.6)
    sprite = Sprite(brush.canvas, x=x, z=z, reach=2.2, height=height + 0.6)
    pole = sprite.thick(0.16, _THIN)
    colour = _STEEL * brush.rng.uniform(0.5, 1.0)
    inward = -np.sign(x) or 1.0
    lit = brush.weather.lights > 0.15
    sprite.limb((0, 0), (0, height), pole, colour, taper=0.85)
    sprite.limb((0, 0), (0, 0.9), pole * 1.4, colour * 0.9)
    tip = (inward * 1.5, height + 0.25)
    sprite.limb((0, height), tip, pole * 0.8, colour)
    glass = _LAMPLIGHT if lit else np.array((206, 208, 204))
    head = (tip[0] - inward * 0.4, tip[1])
    sprite.limb(head, tip, max(0.22, pole), glass / (0.5 if lit else 1))
    sprite.paint(brush.weather)
    if lit:
        brush.canvas.glow((x + tip[0], tip[1], z), 1.9, _LAMPLIGHT * 0.8)


def paint_sign(brush: Brush, x: float, z: float) -> None:
    """A traffic sign, sometimes two, one above the other."""
    sprite = Sprite(brush.canvas, x=x, z=z, reach=0.8, height=4.2)
    pole = sprite.thick(0.08, _THIN * 0.9)
    top = brush.rng.uniform(2.3, 2.7)
    sprite.limb((0, 0), (0, top), pole, _STEEL)
    sprite.limb((-pole * 0.25, 0), (-pole * 0.25, top), pole * 0.3, _STEEL * 1.25)
    _PLATES[str(brush.rng.choice(list(_PLATES)))](sprite, top)
    if brush.rng.random() < 0.35:
        kind = str(brush.rng.choice(["crossing", "no entry", "limit"]))
        _PLATES[kind](sprite, top + 0.82)
    sprite.paint(brush.weather, relief=0.08)


def paint_traffic_light(brush: Brush, x: float, z: float) -> None:
    """A traffic light on its pole, one of the three lamps lit."""
    sprite = Sprite(brush.canvas, x=x, z=z, reach=0.7, height=4.0)
    pole = sprite.thick(0.14, _THIN)
    sprite.limb((0, 0), (0, 2.6), pole, _STEEL * 0.7)
    _box(sprite, (-0.24, 0.24), (3.55, 2.4), (30, 32, 34))
    on = int(brush.rng.integers(3))
    lamps = (((255, 60, 50), 3.33), ((255, 190, 60), 2.97), ((70, 240, 130), 2.61))
    for index, (colour, y) in enumerate(lamps):
        sprite.disc(0, y, 0.14, np.array(colour) * (1.2 if index == on else 0.24))
    sprite.paint(brush.weather, relief=0.0)
    colour, y = lamps[on]
    brush.canvas.glow(
        (x, y, z), 0.5, np.array(colour) * (0.5 if brush.weather.lights > 0.1 else 0.25)
    )


def _ring(y: float, radius: float, corners: int, turn: float) -> np.ndarray:
    angle = np.linspace(0, 2 * np.pi, corners, endpoint=False) + turn
    return np.column_stack([radius * np.cos(angle), y + radius * np.sin(angle)])


def _box(
    sprite: Sprite, x: tuple[float, float], y: tuple[float, float], colour: Colour
) -> None:
    sprite.polygon([(x[0], y[0]), (x[1], y[0]), (x[1], y[1]), (x[0], y[1])], colour)


def _limit(sprite: Sprite, y: float) -> None:
    sprite.disc(0, y, 0.4, _RED)
    sprite.disc(0, y, 0.29, _WHITE)
    for digit in ((-0.16, -0.04), (0.03, 0.16)):
        _box(sprite, digit, (y + 0.14, y - 0.14), (30, 30, 30))


def _no_entry(sprite: Sprite, y: float) -> None:
    sprite.disc(0, y, 0.4, _RED)
    _box(sprite, (-0.27, 0.27), (y + 0.08, y - 0.08), _WHITE)


def _stop(sprite: Sprite, y: float) -> None:
    sprite.polygon(_ring(y, 0.44, 8, np.pi / 8), _WHITE)
    sprite.polygon(_ring(y, 0.39, 8, np.pi / 8), _RED)
    for x in (-0.2, -0.07, 0.07, 0.2):
        _box(sprite, (x - 0.045, x + 0.045), (y + 0.1, y - 0.1), _WHITE)


def _warning(sprite: Sprite, y: float) -> None:
    sprite.polygon(_ring(y - 0.05, 0.5, 3, np.pi / 2), _RED)
    sprite.polygon(_ring(y - 0.05, 0.32, 3, np.pi / 2), _WHITE)
    sprite.polygon(
        [(-0.05, y + 0.1), (0.05, y + 0.1), (0.03, y - 0.12), (-0.03, y - 0.12)],
        (24, 24, 24),
    )


def _crossing(sprite: Sprite, y: float) -> None:
    square = np.array([(-1, 1), (1, 1), (1, -1), (-1, -1)])
    sprite.polygon(square * 0.37 + (0, y), _BLUE)
    sprite.polygon(_ring(y - 0.04, 0.33, 3, np.pi / 2), _WHITE)
    sprite.limb((0, y + 0.05), (0, y - 0.1), 0.07, (30, 30, 30))


def _priority(sprite: Sprite, y: float) -> None:
    sprite.polygon(_ring(y, 0.46, 4, 0), _WHITE)
    sprite.polygon(_ring(y, 0.33, 4, 0), (240, 190, 40))


_PLATES = {
    "limit": _limit,
    "no entry": _no_entry,
    "stop": _stop,
    "warning": _warning,
    "crossing": _crossing,
    "priority": _priority,
}
