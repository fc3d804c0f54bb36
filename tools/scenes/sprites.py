"""Upright cut-outs, drawn in metres: people, trees, signs and lamps."""

from collections.abc import Sequence

import cv2
import numpy as np

from tools.scenes.canvas import Canvas
from tools.scenes.weather import Weather

_SHIFT = 4

Tint = Sequence[float] | np.ndarray
Points = Sequence[tuple[float, float]] | np.ndarray


class Sprite:
    """A drawing that stands on the ground and faces the camera.

    x runs to the right of its foot and y upward, both in metres.
    """

    def __init__(
        self, canvas: Canvas, *, x: float, z: float, reach: float, height: float
    ):
        """`reach` is how far it goes to either side."""
        column, row, self.depth = canvas.camera.locate((x, 0.0, z))
        self.canvas = canvas
        self.scale = canvas.camera.focal / self.depth  # pixels a metre
        self._upward = 1 if canvas.camera.mirrored else -1  # in rows
        tip = row + self._upward * height * self.scale
        rows, columns = canvas.classes.shape
        self.top, bottom = _span(min(row, tip), max(row, tip), rows)
        self.left, right = _span(
            column - reach * self.scale, column + reach * self.scale, columns
        )
        self.shape = np.zeros((bottom - self.top, right - self.left), np.uint8)
        self.colour = np.zeros((*self.shape.shape, 3), np.float32)
        self._origin = np.array([column - self.left, row - self.top])

    def polygon(self, points: Points, colour: Tint) -> None:
        """Fill a polygon of (x, y)."""
        pixels = [self._pixels(points)]
        cv2.fillPoly(self.colour, pixels, tuple(map(float, colour)), shift=_SHIFT)
        cv2.fillPoly(self.shape, pixels, 1, shift=_SHIFT)

    def disc(self, x: float, y: float, radius: float, colour: Tint) -> None:
        """Fill a circle."""
        ((cx, cy),) = self._pixels([(x, y)])
        centre, size = (int(cx), int(cy)), round(radius * self.scale * 2**_SHIFT)
        cv2.circle(
            self.colour, centre, size, tuple(map(float, colour)), -1, shift=_SHIFT
        )
        cv2.circle(self.shape, centre, size, 1, -1, shift=_SHIFT)

    def limb(
        self,
        start: tuple[float, float],
        end: tuple[float, float],
        width: float,
        colour: Tint,
        *,
        taper: float = 1.0,
    ) -> None:
        """A thick line with round ends; `taper` is the end's width by the start's."""
        a, b = np.array(start, float), np.array(end, float)
        along = b - a
        across = np.array([-along[1], along[0]]) / max(float(np.hypot(*along)), 1e-6)
        wide, thin = across * width / 2, across * width / 2 * taper
        self.polygon(np.array([a + wide, b + thin, b - thin, a - wide]), colour)
        self.disc(*start, width / 2, colour)
        self.disc(*end, width / 2 * taper, colour)

    def speckle(self, texture: np.ndarray) -> None:
        """Multiply what is drawn by 1 + a seamless texture (n, n), as leaves do."""
        height, width = self.shape.shape
        size = len(texture)
        tiled = np.tile(texture, (height // size + 1, width // size + 1))
        self.colour *= 1 + tiled[:height, :width, None]

    def thick(self, width: float, pixels: float) -> float:
        """A width in metres that is at least so many canvas pixels."""
        return max(width, pixels / self.scale)

    def paint(self, weather: Weather, *, relief: float = 0.16) -> None:
        """Put it on the canvas, lit, one side a little darker than the other."""
        sunward = float(weather.towards_sun[0]) if any(weather.sun) else 0.35
        sweep = np.linspace(-1, 1, self.shape.shape[1], dtype=np.float32) * sunward
        facing = weather.shade((0.0, 0.25, -0.97)) * 0.75 + np.array(weather.sun) * 0.25
        light = (1 + relief * sweep)[None, :, None] * facing.astype(np.float32)
        self.canvas.sprite(
            self.top, self.left, self.shape > 0, self.colour * light, depth=self.depth
        )

    def _pixels(self, points: Points) -> np.ndarray:
        flipped = np.asarray(points, float) * (self.scale, self._upward * self.scale)
        return ((flipped + self._origin) * 2**_SHIFT).round().astype(np.int32)


def _span(start: float, end: float, limit: int) -> tuple[int, int]:
    """Whole pixels from start to end with a margin, inside of the canvas."""
    first = int(np.clip(np.floor(start) - 3, 0, limit - 1))
    return first, int(np.clip(np.ceil(end) + 3, first + 1, limit))
