"""People, trees and poles: upright cut-outs."""

from collections.abc import Sequence
from functools import cache
from itertools import pairwise

import cv2
import numpy as np

from tools.scenes.canvas import OVERSAMPLING, SHIFT, Canvas
from tools.scenes.plan import Thing

Colour = Sequence[float] | np.ndarray
Point = tuple[float, float]
Points = Sequence[Point] | Sequence[np.ndarray] | np.ndarray

_SKIN = ((236, 198, 170), (204, 152, 118), (150, 100, 72), (98, 66, 50))
_HAIR = ((40, 30, 26), (92, 62, 40), (196, 160, 96), (150, 150, 150), (120, 50, 30))
_TOPS = (
    (196, 44, 48), (36, 72, 140), (232, 196, 70), (240, 238, 232), (60, 62, 68),
    (74, 130, 92), (206, 112, 52), (132, 76, 134), (84, 150, 176), (168, 130, 96),
)  # fmt: skip
_TROUSERS = ((44, 50, 70), (34, 34, 38), (108, 96, 80), (74, 92, 120), (150, 140, 124))
_LEAVES = {
    "summer": ((72, 122, 46), (92, 134, 54), (56, 104, 54), (110, 142, 62)),
    "spring": ((138, 172, 76), (118, 164, 66), (246, 182, 198), (250, 226, 228)),
    "autumn": ((214, 138, 46), (192, 92, 42), (222, 176, 62), (134, 128, 54)),
}
_CROWNS = ((0.30, 0.27, 0.68), (0.28, 0.30, 0.66), (0.15, 0.36, 0.6))  # half sizes, y
_BARK, _STEEL = np.array((88, 70, 56)), np.array((112, 118, 124))
_TRUNK, _POLE = 13, 6 * OVERSAMPLING  # canvas pixels; thinner ones cannot be learnt
_RED, _BLUE, _WHITE = (200, 30, 34), (28, 84, 176), (242, 242, 238)
_YELLOW, _BLACK = (240, 190, 40), (30, 32, 34)
_PLATES = (  # rings, one on the other: corners, radius, colour
    ((24, 0.4, _RED), (24, 0.29, _WHITE), (4, 0.14, _BLACK)),  # speed limit
    ((24, 0.4, _RED), (4, 0.2, _WHITE)),  # no entry
    ((8, 0.44, _WHITE), (8, 0.39, _RED)),  # stop
    ((3, 0.5, _RED), (3, 0.32, _WHITE)),  # warning
    ((4, 0.5, _BLUE), (3, 0.33, _WHITE)),  # crossing
    ((24, 0.4, _WHITE), (24, 0.36, _BLUE)),  # cycle path
    ((4, 0.44, _WHITE), (4, 0.34, _YELLOW)),  # priority
)
_LAMPS = ((3.33, (255, 60, 50)), (2.97, (255, 190, 60)), (2.61, (70, 240, 130)))


def paint_person(canvas: Canvas, rng: np.random.Generator, person: Thing) -> None:
    """A person who walks to the left or to the right."""
    sprite = Sprite(canvas, person.x, person.z, reach=1.0, height=2.0)
    skin, hair, top, legs = (
        np.array(rng.choice(colours)) for colours in (_SKIN, _HAIR, _TOPS, _TROUSERS)
    )
    size, ahead = person.height / 1.75, rng.choice([-1.0, 1.0])
    step, hem = rng.uniform(0.05, 0.3), rng.choice([0.82, 0.82, 0.58])
    shoes = np.array(_BLACK)

    def at(x: float, y: float) -> tuple[float, float]:
        return x * size * ahead, y * size

    def limb(*points: tuple[float, float], width: float, colour: np.ndarray) -> None:
        for start, end in pairwise(points):
            sprite.limb(at(*start), at(*end), width * size, colour)

    for swing, tone in ((-step, 0.8), (step, 1.0)):
        hip, knee, foot = (0, 0.86), (swing * 0.6 + 0.04, 0.46), (swing, 0.07)
        shoulder, elbow = (0, 1.4), (-swing * 0.6, 1.1)
        hand = (0.08 - swing * 1.1, 0.86)
        limb(hip, knee, foot, width=0.17, colour=legs * tone)
        limb(foot, (swing + 0.14, 0.05), width=0.1, colour=shoes)
        if swing > 0:  # the body is before the far arm and leg, behind the near ones
            torso = ((-0.21, 1.44), (0.21, 1.44), (0.19, 1.05), (0.2, hem), (-0.2, hem))
            sprite.polygon([at(x, y) for x, y in torso], top)
            limb((-0.14, 1.42), (0.14, 1.42), width=0.16, colour=top)
        limb(shoulder, elbow, hand, width=0.12, colour=top * (0.65 + 0.2 * tone))
        sprite.ring(*at(*hand), 0.065 * size, skin)
    limb((0, 1.44), (0.01, 1.55), width=0.11, colour=skin * 0.9)
    sprite.ring(*at(-0.02, 1.665), 0.125 * size, hair)
    sprite.ring(*at(0.035, 1.635), 0.098 * size, skin)
    sprite.paint()


def paint_tree(canvas: Canvas, rng: np.random.Generator, tree: Thing) -> None:
    """Trunk, branches and crown: dark clumps of leaves behind and below light ones."""
    height, weather = tree.height, canvas.weather
    sprite = Sprite(canvas, tree.x, tree.z, reach=height * 0.5, height=height * 1.08)
    trunk, fork = sprite.at_least(0.16 + 0.018 * height, _TRUNK), (0, 0.42 * height)
    sprite.limb((0, 0), fork, trunk, _BARK)
    sprite.limb((trunk * 0.2, 0), (trunk * 0.2, fork[1]), trunk * 0.4, _BARK * 1.25)
    for side in (-0.13, 0.13):
        sprite.limb(fork, (side * height, 0.62 * height), trunk * 0.5, _BARK * 0.9)

    wide, tall, middle = rng.choice(_CROWNS)
    leaf = rng.choice(_LEAVES[weather.season]) * rng.uniform(0.9, 1.1)
    count = int(np.clip(height * sprite.scale * 1.3, 60, 700))
    angle, out = rng.uniform(0, 2 * np.pi, count), np.sqrt(rng.uniform(0, 1, count))
    out *= 1 + 0.15 * np.sin(angle * rng.integers(3, 6) + rng.uniform(0, 6))
    x, y = wide * out * np.cos(angle), middle + tall * out * np.sin(angle)
    front = np.sort(rng.uniform(0, 1, count))
    sunward = float(np.sign(weather.towards_sun[0])) if any(weather.sun) else 0.3
    clump = np.sin(x * 31 + 1.3 * np.sin(y * 23)) * np.sin(y * 37 + x * 11)
    light = 0.55 + 0.36 * front + 0.34 * (y - 0.62) + 0.5 * x * sunward + 0.13 * clump
    size = rng.uniform(0.5, 1.0, count) * (1.25 - 0.55 * front) * 0.95 / np.sqrt(count)
    tint = rng.uniform(0.93, 1.07, (count, 3))
    for index in range(count):
        radius = sprite.at_least(size[index] * height, 2.5)
        colour = leaf * light[index] * tint[index]
        sprite.ring(x[index] * height, y[index] * height, radius, colour, corners=12)
    sprite.paint()


def paint_lamp(canvas: Canvas, rng: np.random.Generator, lamp: Thing) -> None:
    """A street lamp whose arm reaches over the road."""
    sprite = Sprite(canvas, lamp.x, lamp.z, reach=2.2, height=lamp.height + 0.6)
    pole, colour = sprite.at_least(0.16, _POLE), _STEEL * rng.uniform(0.5, 1.0)
    inward, top = -np.sign(lamp.x), (0, lamp.height)
    tip = (inward * 1.5, lamp.height + 0.25)
    sprite.limb((0, 0), top, pole, colour)
    sprite.limb((0, 0), (0, 0.9), pole * 1.4, colour * 0.9)
    sprite.limb(top, tip, pole * 0.8, colour)
    glass = np.array((255, 224, 160)) * (2 if canvas.weather.lights > 0.15 else 0.9)
    sprite.limb((inward * 1.1, tip[1]), tip, max(0.22, pole), glass)
    sprite.paint()


def paint_sign(canvas: Canvas, rng: np.random.Generator, sign: Thing) -> None:
    """A traffic sign, sometimes two, one below the other."""
    sprite = Sprite(canvas, sign.x, sign.z, reach=0.8, height=sign.height + 1)
    pole = sprite.at_least(0.08, _POLE * 0.9)
    sprite.limb((0, 0), (0, sign.height), pole, _STEEL)
    sprite.limb((-pole / 4, 0), (-pole / 4, sign.height), pole * 0.3, _STEEL * 1.25)
    for y in (sign.height, sign.height - 0.85)[: rng.integers(1, 3)]:
        for corners, radius, colour in _PLATES[rng.integers(len(_PLATES))]:
            sprite.ring(0, y, radius, colour, corners)
    sprite.paint()


def paint_traffic_light(canvas: Canvas, rng: np.random.Generator, light: Thing) -> None:
    """A traffic light on its pole, one of the three lamps lit."""
    sprite = Sprite(canvas, light.x, light.z, reach=0.7, height=light.height)
    sprite.limb((0, 0), (0, 2.6), sprite.at_least(0.14, _POLE), _STEEL * 0.7)
    sprite.polygon([(-0.24, 3.6), (0.24, 3.6), (0.24, 2.4), (-0.24, 2.4)], _BLACK)
    on = rng.integers(len(_LAMPS))
    for index, (y, colour) in enumerate(_LAMPS):
        sprite.ring(0, y, 0.14, np.array(colour) * (1.4 if index == on else 0.24))
    sprite.paint()


class Sprite:
    """An upright cut-out that stands on the ground and faces the camera.

    x runs to the right of its foot and y upward, both in metres.
    """

    def __init__(
        self, canvas: Canvas, x: float, z: float, *, reach: float, height: float
    ):
        """`reach` is how far it goes to either side."""
        self._canvas = canvas
        column, row, self._depth = canvas.camera.locate((x, 0.0, z))
        self.scale = canvas.camera.focal / self._depth  # pixels a metre
        rows, columns = canvas.nearness.shape
        top, left = row - height * self.scale, column - reach * self.scale
        down, across = (
            _span(top, row + 4, rows),
            _span(left, 2 * column - left, columns),
        )
        self._window = (down, across)
        self._shape = np.zeros(canvas.nearness[self._window].shape, np.uint8)
        self._colour = np.zeros((*self._shape.shape, 3), np.float32)
        self._origin = np.array([column - across.start, row - down.start])

    def polygon(self, points: Points, colour: Colour) -> None:
        """Fill a polygon of (x, y)."""
        flipped = np.asarray(points, float) * (self.scale, -self.scale)
        pixels = [((flipped + self._origin) * 2**SHIFT).round().astype(np.int32)]
        cv2.fillPoly(self._colour, pixels, tuple(map(float, colour)), shift=SHIFT)
        cv2.fillPoly(self._shape, pixels, 1, shift=SHIFT)

    def ring(
        self, x: float, y: float, radius: float, colour: Colour, corners: int = 24
    ) -> None:
        """Fill a regular polygon that stands on a side; of 24 corners a circle."""
        self.polygon((x, y) + radius * _ring(corners), colour)

    def limb(self, start: Point, end: Point, width: float, colour: Colour) -> None:
        """A thick line with round ends."""
        a, b = np.array(start, float), np.array(end, float)
        along = b - a
        across = np.array([-along[1], along[0]]) * width / 2 / np.hypot(*along)
        self.polygon([a + across, b + across, b - across, a - across], colour)
        for x, y in (a, b):
            self.ring(x, y, width / 2, colour)

    def at_least(self, width: float, pixels: float) -> float:
        """A width in metres that is at least so many canvas pixels."""
        return max(width, pixels / self.scale)

    def paint(self) -> None:
        """Put it on the canvas, lit, one side a little darker than the other."""
        weather = self._canvas.weather
        sunward = float(weather.towards_sun[0]) if any(weather.sun) else 0.35
        columns = self._window[1].stop - self._window[1].start
        sweep = np.linspace(-1, 1, columns, dtype=np.float32) * sunward
        facing = weather.shade(np.array((0.0, 0.25, -0.97))) * 0.75
        light = (facing + np.array(weather.sun) * 0.25).astype(np.float32)
        colour = self._colour * (1 + 0.18 * sweep[:, None]) * light
        self._canvas.put(self._window, self._shape > 0, colour, 1 / self._depth)


@cache
def _ring(corners: int) -> np.ndarray:
    turn = 2 * np.pi * (np.arange(corners) + 0.5) / corners - np.pi / 2
    return np.column_stack([np.cos(turn), np.sin(turn)])


def _span(start: float, end: float, limit: int) -> slice:
    """Whole pixels from start to end, at least one, inside of the canvas."""
    first = int(np.clip(start, 0, limit - 1))
    return slice(first, int(np.clip(end + 1, first + 1, limit)))
