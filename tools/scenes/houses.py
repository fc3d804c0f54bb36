"""Houses with windows, doors, shops and roofs."""

import numpy as np

from tools.scenes.canvas import Canvas
from tools.scenes.plan import Thing
from tools.scenes.weather import Weather

_WALLS = (
    (226, 208, 172), (214, 186, 150), (202, 208, 196), (232, 226, 214),
    (206, 162, 136), (176, 190, 204), (222, 196, 118), (196, 148, 132),
    (168, 186, 158), (158, 92, 72), (142, 78, 66), (176, 118, 90), (184, 150, 116),
    (166, 166, 164), (146, 150, 154), (186, 180, 172),
)  # fmt: skip
_ROOFS = ((150, 78, 60), (128, 70, 58), (92, 88, 92), (74, 78, 86), (164, 98, 70))
_FRAMES = ((238, 236, 230), (92, 66, 50), (58, 62, 66))
_DOORS = ((110, 58, 50), (46, 78, 68), (56, 66, 104), (82, 58, 42))
_FRONTS = ((60, 50, 46), (40, 58, 66), (92, 40, 40), (58, 72, 52))
_AWNINGS = ((178, 52, 46), (44, 110, 84), (38, 74, 132), (196, 146, 44), (120, 60, 108))
_LAMPLIGHT, _PALE = np.array((255, 206, 128)), np.array((236, 230, 218))
_STOREY = 3.1  # metres
_NEAREST = 2.5  # metres; no façade needs finer texture than at this distance


def paint_house(canvas: Canvas, rng: np.random.Generator, house: Thing) -> None:
    """The façade, the end wall towards the camera, and the roof."""
    wall = rng.choice(_WALLS) * rng.uniform(0.9, 1.08)
    west, east = house.x - house.width / 2, house.x + house.width / 2
    near, far = house.z - house.length / 2, house.z + house.length / 2
    scale = float(np.clip(canvas.camera.focal / max(_NEAREST, near), 10, 52))
    facade = _Facade(rng, canvas.weather, house.length, house.height, scale, wall)
    edge, start, end = (east, near, far) if house.x < 0 else (west, far, near)
    front = _upright((edge, start), (edge, end), house.height)
    canvas.face(front, facade.texture, shines=facade.lit)
    side = _Facade(rng, canvas.weather, house.width, house.height, 12, wall * 0.94)
    gable = _upright((west, near), (east, near), house.height)
    canvas.face(gable, side.texture)
    if rng.random() < 0.6:
        rise = rng.uniform(2.2, 4.0)
        ridge = front[:2] + np.array((house.x - edge, rise, 0))
        tiles = np.array(rng.choice(_ROOFS)) * rng.uniform(0.92, 1.08, (24, 60, 1))
        tiles[::4] *= 0.8
        canvas.face(np.concatenate([ridge, front[1::-1]]), tiles)
        peak = np.array((house.x, house.height + rise, near))
        canvas.face(np.array([gable[0], peak, gable[1]]), wall * 0.94)


class _Facade:
    """A wall with its windows; y is measured upward from the ground, in metres."""

    def __init__(
        self,
        rng: np.random.Generator,
        weather: Weather,
        length: float,
        height: float,
        scale: float,  # pixels a metre
        wall: np.ndarray,
    ):
        self._rng, self._weather = rng, weather
        self._length, self._height, self._scale = length, height, scale
        rows, columns = max(8, round(height * scale)), max(8, round(length * scale))
        grain = rng.normal(1, 0.025, (rows, columns, 1))
        self.texture = (wall * grain).astype(np.float32)  # (rows, columns, 3)
        self.lit = np.zeros((rows, columns), bool)  # what shines by itself
        shop = rng.random() < 0.45
        self._windows(above=4.1 if shop else 1.4)
        if shop:
            self._shop()
        else:
            x = rng.uniform(0.8, length - 2.2)
            self._box(0, 0, length, 0.55, wall * 0.68)
            self._box(x - 0.15, 0, 1.4, 2.55, wall * 1.12)
            self._box(x, 0, 1.1, 2.35, rng.choice(_DOORS))
        self._box(0, 3.55, length, 0.16, wall * 0.84)
        self._box(0, height - 0.3, length, 0.3, wall * 1.1)
        self._box(0, height - 0.42, length, 0.12, wall * 0.7)
        foot = np.linspace(height, 0, rows, dtype=np.float32)
        self.texture *= (1 - 0.22 * np.exp(-foot / 0.7))[:, None, None]

    def _windows(self, *, above: float) -> None:
        """Rows of windows, from so many metres upward."""
        rng = self._rng
        frame = rng.choice(_FRAMES)
        wide, tall = rng.uniform(0.9, 1.5), rng.uniform(1.4, 1.9)
        gap = rng.uniform(0.8, 1.5)
        count = max(1, int((self._length - gap) / (wide + gap)))
        margin = (self._length - count * wide - (count - 1) * gap) / 2
        shutters = rng.choice(_DOORS) if rng.random() < 0.25 else None
        for y in np.arange(above, self._height - 0.3 - tall, _STOREY):
            for x in margin + np.arange(count) * (wide + gap):
                if shutters is not None:
                    self._box(x - 0.42, y, wide + 0.84, tall, shutters)
                self._box(x - 0.1, y - 0.1, wide + 0.2, tall + 0.2, frame)
                self._box(x - 0.22, y - 0.26, wide + 0.44, 0.12, frame * 0.8)
                half = wide / 2 - 0.04
                self._pane(x, y, half, tall)
                self._pane(x + half + 0.08, y, half, tall)
                self._box(x, y + tall * 0.66, wide, 0.07, frame)

    def _shop(self) -> None:
        """Shop windows with goods, a sign and an awning."""
        rng, length = self._rng, self._length
        self._box(0, 0, length, 3.5, rng.choice(_FRONTS) * rng.uniform(0.8, 1.4))
        for x in np.arange(0.4, length - 2.4, 2.8):
            self._pane(x, 0.45, 2.3, 2.1)
            for _ in range(rng.integers(3, 7)):
                goods = x + rng.uniform(0, 1.9), 0.5, 0.4, rng.uniform(0.3, 1.1)
                self._box(*goods, rng.uniform(40, 230, 3))
        colour = rng.choice(_AWNINGS)
        self._box(0.2, 2.75, length - 0.4, 0.62, colour * 0.8)
        for x in np.arange(0.8, length - 1.4, 0.42)[rng.random() < 0.3 :]:
            self._box(x, 2.93, 0.26, 0.26, _PALE)  # lettering
        if rng.random() < 0.65:
            for index, x in enumerate(np.arange(0.3, length - 0.5, 0.45)):
                self._box(x, 2.15, 0.45, 0.62, colour if index % 2 else _PALE)

    def _pane(self, x: float, y: float, wide: float, tall: float) -> None:
        """Glass that mirrors the sky, or a lit room; sometimes with curtains."""
        rng = self._rng
        if rng.random() < self._weather.lights:
            glow = _LAMPLIGHT * rng.uniform(0.75, 1.1)
            self.lit[self._box(x, y, wide, tall, glow)] = True
            return
        window = self._box(
            x, y, wide, tall, np.array((46, 54, 64)) * rng.uniform(0.8, 1.3)
        )
        sky = (np.array(self._weather.horizon) + np.array(self._weather.zenith)) / 2
        share = np.linspace(0.42, 0.08, len(self.texture[window]))[:, None, None]
        self.texture[window] = self.texture[window] * (1 - share) + sky * share
        if rng.random() < 0.4:
            self._box(x, y, wide * 0.24, tall, _PALE * 0.8)

    def _box(
        self, x: float, y: float, wide: float, tall: float, colour: np.ndarray
    ) -> tuple[slice, slice]:
        """Fill a rectangle, given its lower left corner; returns its pixels."""
        top = max(0, round((self._height - y - tall) * self._scale))
        bottom = max(top + 1, round((self._height - y) * self._scale))
        left = max(0, round(x * self._scale))
        right = max(left + 1, round((x + wide) * self._scale))
        window = (slice(top, bottom), slice(left, right))
        self.texture[window] = colour
        return window


def _upright(
    start: tuple[float, float], end: tuple[float, float], height: float
) -> np.ndarray:
    """(4, 3) corners of a wall on the ground, the upper edge first."""
    (x0, z0), (x1, z1) = start, end
    return np.array([(x0, height, z0), (x1, height, z1), (x1, 0, z1), (x0, 0, z0)])
