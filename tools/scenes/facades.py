"""Façades: the texture of a wall with its windows, shops, doors and balconies."""

import numpy as np

from tools.scenes import noise
from tools.scenes.brush import Brush

WALLS = {
    "plaster": (
        (226, 208, 172), (214, 186, 150), (202, 208, 196), (232, 226, 214),
        (206, 162, 136), (176, 190, 204), (222, 196, 118), (196, 148, 132),
        (168, 186, 158), (238, 214, 206),
    ),
    "brick": (
        (158, 92, 72), (142, 78, 66), (176, 118, 90), (122, 84, 74), (184, 150, 116),
    ),
    "concrete": ((166, 166, 164), (146, 150, 154), (186, 180, 172), (128, 134, 142)),
}  # fmt: skip
_FRAMES = ((238, 236, 230), (92, 66, 50), (58, 62, 66))
_SHUTTERS = ((62, 96, 78), (110, 66, 52), (84, 106, 132))
_DOORS = ((96, 50, 42), (40, 66, 58), (48, 56, 88), (70, 50, 36))
_SHOP_FRONTS = ((60, 50, 46), (40, 58, 66), (92, 40, 40), (58, 72, 52))
_AWNINGS = ((178, 52, 46), (44, 110, 84), (38, 74, 132), (196, 146, 44), (120, 60, 108))
_LAMPLIGHT = np.array((255, 206, 128))
_STOREY = 3.1  # metres


def draw_facade(
    brush: Brush,
    *,
    length: float,
    height: float,
    wall: np.ndarray,
    material: str,
    shop: bool,
    scale: float,
) -> tuple[np.ndarray, np.ndarray]:
    """A façade of `length` × `height` metres at `scale` pixels a metre.

    Returns:
        The texture, float32 (h, w, 3), and where it shines by itself, bool (h, w).
    """
    rng = brush.rng
    rows, columns = max(8, round(height * scale)), max(8, round(length * scale))
    texture = wall_texture(rng, wall, material, rows, columns, scale)
    facade = _Facade(texture, scale, length, height, brush)
    facade.windows(above=3.6 if shop else 0.9)
    if shop:
        facade.shop()
    else:
        facade.door(wall)
    facade.cornice(wall)
    texture *= 1 + 0.05 * noise.patch(rng, rows, columns, grain=scale * 2.5)[..., None]
    foot = np.linspace(height, 0, rows, dtype=np.float32)
    texture *= (1 - 0.22 * np.exp(-foot / 0.7))[:, None, None]
    return texture, facade.lit


def wall_texture(
    rng: np.random.Generator,
    wall: np.ndarray,
    material: str,
    rows: int,
    columns: int,
    scale: float,
) -> np.ndarray:
    """A bare wall of a material in `WALLS`, float32 (rows, columns, 3)."""
    texture = np.empty((rows, columns, 3), np.float32)
    texture[:] = wall
    grain = rng.standard_normal((rows, columns), dtype=np.float32)
    texture *= (1 + 0.025 * grain)[..., None]
    if material == "brick":
        course = max(3, round(0.16 * scale))
        y, x = np.mgrid[:rows, :columns]
        x = x + (y // course % 2) * course
        tone = rng.uniform(0.86, 1.12, (rows // course + 1, columns // course + 2))
        texture *= tone[y // course, x // (2 * course), None].astype(np.float32)
        joint = (y % course == 0) | (x % (2 * course) == 0)
        texture[joint] = texture[joint] * 0.8 + 30
    elif material == "concrete":
        panel = max(6, round(_STOREY * scale))
        texture[::panel] *= 0.8
        texture[:, ::panel] *= 0.85
    return texture


class _Facade:
    """Paints details in metres; y is measured upward from the ground."""

    def __init__(
        self,
        texture: np.ndarray,
        scale: float,
        length: float,
        height: float,
        brush: Brush,
    ):
        self.texture, self.scale = texture, scale
        self.length, self.height = length, height
        self.lit = np.zeros(texture.shape[:2], bool)
        self._weather, self._rng, self._one_of = brush.weather, brush.rng, brush.one_of
        self._frame = self._one_of(_FRAMES)

    def windows(self, *, above: float) -> None:
        """Rows of windows, from so many metres upward."""
        rng = self._rng
        wide, tall = rng.uniform(0.9, 1.5), rng.uniform(1.4, 1.9)
        gap = rng.uniform(0.8, 1.5)
        count = max(1, int((self.length - gap) / (wide + gap)))
        margin = (self.length - count * wide - (count - 1) * gap) / 2
        shutters = self._one_of(_SHUTTERS) if rng.random() < 0.25 else None
        balconies = rng.random() < 0.25
        for y in np.arange(above + 0.5, self.height - 0.3 - tall, _STOREY):
            for column in range(count):
                x = margin + column * (wide + gap)
                self._window(x, y, wide, tall)
                if shutters is not None:
                    self._box(x - 0.42, y, 0.4, tall, shutters)
                    self._box(x + wide + 0.02, y, 0.4, tall, shutters)
                if balconies and column % 2 == 0:
                    self._balcony(x - 0.25, y - 0.15, wide + 0.5)

    def shop(self) -> None:
        """Shop windows, a sign and an awning."""
        rng, length = self._rng, self.length
        front = self._one_of(_SHOP_FRONTS) * rng.uniform(0.8, 1.4)
        self._box(0, 0, length, 3.5, front)
        x = 0.4
        while x < length - 1.6:
            wide = min(rng.uniform(2.0, 3.4), length - 0.4 - x)
            self._shop_window(x, wide)
            x += wide + rng.uniform(0.3, 0.9)
        colour = self._one_of(_AWNINGS)
        self._box(0.2, 2.75, length - 0.4, 0.62, colour * 0.8)
        for x in np.arange(0.8, length - 1.4, 0.42):  # lettering
            if rng.random() < 0.75:
                self._box(x, 2.93, 0.26, 0.26, np.array((240, 236, 220)))
        if rng.random() < 0.65:
            for index, x in enumerate(np.arange(0.3, length - 0.5, 0.45)):
                stripe = colour if index % 2 else np.array((236, 230, 218))
                self._box(x, 2.15, 0.45, 0.62, stripe)
            self._box(0.3, 2.07, length - 0.6, 0.1, colour * 0.55)

    def door(self, wall: np.ndarray) -> None:
        """A plinth and a house door."""
        self._box(0, 0, self.length, 0.55, wall * 0.68)
        x = self._rng.uniform(0.8, max(0.9, self.length - 2.2))
        self._box(x - 0.15, 0, 1.4, 2.55, wall * 1.12)
        self._box(x, 0, 1.1, 2.35, self._one_of(_DOORS) * 1.2)
        self._pane(x + 0.15, 1.6, 0.8, 0.55)

    def cornice(self, wall: np.ndarray) -> None:
        """Bands at the top and above the ground floor."""
        self._box(0, self.height - 0.3, self.length, 0.3, wall * 1.1)
        self._box(0, self.height - 0.42, self.length, 0.12, wall * 0.7)
        self._box(0, 3.55, self.length, 0.16, wall * 0.84)

    def _window(self, x: float, y: float, wide: float, tall: float) -> None:
        frame = self._frame
        self._box(x - 0.14, y - 0.14, wide + 0.28, tall + 0.28, frame * 0.86)
        self._box(x - 0.07, y - 0.07, wide + 0.14, tall + 0.14, frame)
        half = wide / 2 - 0.04
        self._pane(x, y, half, tall)
        self._pane(x + half + 0.08, y, half, tall)
        self._box(x, y + tall * 0.66, wide, 0.07, frame)
        self._box(x - 0.22, y - 0.26, wide + 0.44, 0.12, frame * 0.8)

    def _balcony(self, x: float, y: float, wide: float) -> None:
        iron = np.array((44, 46, 50))
        self._box(x, y - 0.15, wide, 0.16, iron * 2.2)
        for bar in np.arange(0, wide, 0.16):
            self._box(x + bar, y, 0.05, 0.95, iron)
        self._box(x, y + 0.92, wide, 0.07, iron)

    def _shop_window(self, x: float, wide: float) -> None:
        rng = self._rng
        lit = rng.random() < 0.35 + self._weather.lights
        glass = np.array((214, 184, 134)) if lit else np.array((72, 82, 92))
        window = self._box(x, 0.45, wide, 2.1, glass)
        self.lit[window] = lit and self._weather.lights > 0.1
        for _ in range(rng.integers(3, 7)):  # what is on display
            tall, place = rng.uniform(0.3, 1.1), x + rng.uniform(0, wide - 0.5)
            self._box(place, 0.5, 0.4, tall, rng.uniform(40, 230, 3))

    def _pane(self, x: float, y: float, wide: float, tall: float) -> None:
        """Glass that mirrors the sky, or a lit room; sometimes with curtains."""
        rng = self._rng
        if rng.random() < self._weather.lights:
            glow = _LAMPLIGHT * rng.uniform(0.75, 1.1)
            self.lit[self._box(x, y, wide, tall, glow)] = True
            if rng.random() < 0.5:
                part = wide * rng.uniform(0.2, 0.4)
                self._box(x, y, part, tall, glow * (0.86, 0.72, 0.6))
            return
        sky = (np.array(self._weather.horizon) + np.array(self._weather.zenith)) / 2
        dark = np.array((46, 54, 64)) * rng.uniform(0.8, 1.3)
        glass = self.texture[self._box(x, y, wide, tall, dark)]
        share = np.linspace(0.42, 0.08, len(glass), dtype=np.float32)[:, None, None]
        glass[:] = glass * (1 - share) + sky * share
        if rng.random() < 0.4:
            curtain = np.array((196, 190, 178))
            self._box(x, y, wide * 0.24, tall, curtain)
            self._box(x + wide * 0.76, y, wide * 0.24, tall, curtain)

    def _box(
        self, x: float, y: float, wide: float, tall: float, colour: np.ndarray
    ) -> tuple[slice, slice]:
        """Fill a rectangle, given its lower left corner; returns its window."""
        top = round((self.height - y - tall) * self.scale)
        bottom = max(top + 1, round((self.height - y) * self.scale))
        left = round(x * self.scale)
        right = max(left + 1, round((x + wide) * self.scale))
        rows = slice(max(top, 0), max(bottom, 0))
        window = (rows, slice(max(left, 0), max(right, 0)))
        self.texture[window] = colour
        return window
