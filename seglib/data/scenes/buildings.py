"""Houses: textured façades with windows and shops, end walls and roofs."""

from dataclasses import dataclass

import cv2
import numpy as np

from seglib.data.scenes import noise
from seglib.data.scenes.canvas import Canvas
from seglib.data.scenes.weather import Weather

_WALLS = {
    "plaster": (
        (226, 208, 172), (214, 186, 150), (202, 208, 196), (232, 226, 214),
        (206, 162, 136), (176, 190, 204), (222, 196, 118), (196, 148, 132),
        (168, 186, 158), (238, 214, 206),
    ),
    "brick": ((158, 92, 72), (142, 78, 66), (176, 118, 90), (122, 84, 74), (184, 150, 116)),
    "concrete": ((166, 166, 164), (146, 150, 154), (186, 180, 172), (128, 134, 142)),
}  # fmt: skip
_ROOFS = ((150, 78, 60), (128, 70, 58), (92, 88, 92), (74, 78, 86), (164, 98, 70))
_AWNINGS = ((178, 52, 46), (44, 110, 84), (38, 74, 132), (196, 146, 44), (120, 60, 108))
_STOREY = 3.1  # metres
_LIT = np.array((255, 206, 128))


@dataclass(frozen=True, kw_only=True)
class House:
    """One house beside the street. Lengths in metres."""

    corners: np.ndarray  # (2, 2) x and z of the façade's near and far end
    side: int  # -1 left of the street, 1 right
    depth: float
    height: float  # of the façade
    roof: float  # height of the pitched roof above it; 0: flat
    material: str
    shop: bool

    def footprint(self) -> np.ndarray:
        """(4, 2) x and z."""
        back = np.array([self.side * self.depth, 0.0])
        near, far = self.corners
        return np.array([near, far, far + back, near + back])


def draw_house(
    rng: np.random.Generator, *, corners: np.ndarray, side: int, height: float
) -> House:
    """A house of random looks between two corners."""
    return House(
        corners=corners,
        side=side,
        depth=rng.uniform(8, 12),
        height=height,
        roof=rng.uniform(2.2, 4.0) if rng.random() < 0.6 else 0.0,
        material=str(rng.choice(list(_WALLS), p=[0.55, 0.28, 0.17])),
        shop=bool(rng.random() < 0.45),
    )


def paint_house(
    canvas: Canvas, weather: Weather, house: House, rng: np.random.Generator
) -> None:
    """Façade, the end wall towards the camera, and the roof."""
    colours = _WALLS[house.material]
    wall = np.array(colours[rng.integers(len(colours))]) * rng.uniform(0.9, 1.08)
    near, far = house.corners
    length = float(np.hypot(*(far - near)))
    nearest = max(2.5, float(near[1] - canvas.camera.position[2]))
    scale = float(np.clip(canvas.camera.focal / nearest, 10, 52))  # pixels a metre
    texture, lit = _facade(rng, weather, house, wall, length=length, scale=scale)
    front = _wall_points(near, far, house.height)
    along = (far - near) / length
    normal = (-house.side * float(along[1]), 0.0, house.side * float(along[0]))
    shaded = texture * weather.shade(normal).astype(np.float32)
    shaded = np.where(lit[..., None], texture, shaded).astype(np.float32)
    back = np.array([house.side * house.depth, 0.0])
    _paint_roof(canvas, weather, house, rng, back)
    canvas.face(front, shaded)
    _paint_end(canvas, weather, house, wall, rng, back)


def _wall_points(start: np.ndarray, end: np.ndarray, height: float) -> np.ndarray:
    (x0, z0), (x1, z1) = start, end
    return np.array([[x0, height, z0], [x1, height, z1], [x1, 0, z1], [x0, 0, z0]])


def _facade(
    rng: np.random.Generator,
    weather: Weather,
    house: House,
    wall: np.ndarray,
    *,
    length: float,
    scale: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Texture float32 (h, w, 3) and where it shines by itself, bool (h, w)."""
    height, width = max(8, round(house.height * scale)), max(8, round(length * scale))
    texture = _wall_texture(rng, wall, house.material, height, width, scale)
    lit = np.zeros((height, width), np.uint8)
    painter = _Facade(texture, lit, scale, house.height, weather, rng)
    ground = 3.6 if house.shop else 0.9
    painter.windows(length, house.height, ground=ground)
    if house.shop:
        painter.shop(length, wall)
    else:
        painter.door(length, wall)
    painter.cornice(wall)
    soot = noise.patch(rng, height, width, grain=scale * 2.5)
    texture *= 1 + 0.05 * soot[..., None]
    foot = np.linspace(house.height, 0, height, dtype=np.float32)
    texture *= (1 - 0.22 * np.exp(-foot / 0.7))[:, None, None]
    return texture, lit.astype(bool)


def _wall_texture(
    rng: np.random.Generator,
    wall: np.ndarray,
    material: str,
    height: int,
    width: int,
    scale: float,
) -> np.ndarray:
    texture = np.empty((height, width, 3), np.float32)
    texture[:] = wall
    grain = rng.standard_normal((height, width)).astype(np.float32)
    texture *= (1 + 0.025 * grain)[..., None]
    if material == "brick":
        course = max(3, round(0.16 * scale))
        rows, columns = np.mgrid[:height, :width]
        shift = (rows // course % 2) * course
        joint = (rows % course == 0) | ((columns + shift) % (2 * course) == 0)
        tone = rng.uniform(0.86, 1.12, (height // course + 1, width // course + 2))
        texture *= tone[rows // course, (columns + shift) // (2 * course), None]
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
        lit: np.ndarray,
        scale: float,
        height: float,
        weather: Weather,
        rng: np.random.Generator,
    ):
        self.texture, self.lit, self.scale, self.height = texture, lit, scale, height
        self.weather, self.rng = weather, rng
        self.frame = np.array(((238, 236, 230), (92, 66, 50), (58, 62, 66)))[
            rng.integers(3)
        ]

    def box(
        self, x: float, y: float, width: float, height: float, colour: np.ndarray
    ) -> tuple[slice, slice]:
        """Fill a rectangle by its lower left corner; returns its window."""
        top = round((self.height - y - height) * self.scale)
        bottom = max(top + 1, round((self.height - y) * self.scale))
        left = round(x * self.scale)
        right = max(left + 1, round((x + width) * self.scale))
        window = (
            slice(max(top, 0), max(bottom, 0)),
            slice(max(left, 0), max(right, 0)),
        )
        self.texture[window] = colour
        return window

    def pane(self, x: float, y: float, width: float, height: float) -> None:
        """Glass that mirrors the sky, or a lit room with curtains."""
        if self.rng.random() < self.weather.lights:
            tone = self.rng.uniform(0.75, 1.1)
            window = self.box(x, y, width, height, _LIT * tone)
            self.lit[window] = 1
            if self.rng.random() < 0.5:
                part = width * self.rng.uniform(0.2, 0.4)
                self.box(x, y, part, height, _LIT * tone * (0.86, 0.72, 0.6))
            return
        mirror = 0.5 * np.array(self.weather.horizon) + 0.5 * np.array(
            self.weather.zenith
        )
        dark = np.array((46, 54, 64)) * self.rng.uniform(0.8, 1.3)
        window = self.box(x, y, width, height, dark)
        glass = self.texture[window]
        share = np.linspace(0.42, 0.08, len(glass), dtype=np.float32)[:, None, None]
        glass[:] = glass * (1 - share) + mirror * share
        if self.rng.random() < 0.4:
            self.box(x, y, width * 0.24, height, np.array((196, 190, 178)))
            self.box(
                x + width * 0.76, y, width * 0.24, height, np.array((196, 190, 178))
            )

    def windows(self, length: float, height: float, *, ground: float) -> None:
        """Rows of windows above the ground floor."""
        rng = self.rng
        wide = rng.uniform(0.9, 1.5)
        tall = rng.uniform(1.4, 1.9)
        gap = rng.uniform(0.8, 1.5)
        count = max(1, int((length - gap) / (wide + gap)))
        margin = (length - count * wide - (count - 1) * gap) / 2
        shutters = rng.random() < 0.25
        shutter = np.array(((62, 96, 78), (110, 66, 52), (84, 106, 132)))[
            rng.integers(3)
        ]
        balconies = rng.random() < 0.25
        floors = int((height - 0.7 - ground) / _STOREY + 0.2)
        for floor in range(max(1, floors)):
            y = ground + 0.5 + floor * _STOREY
            if y + tall > height - 0.3:
                break
            for column in range(count):
                x = margin + column * (wide + gap)
                self._window(x, y, wide, tall)
                if shutters:
                    self.box(x - 0.42, y, 0.4, tall, shutter)
                    self.box(x + wide + 0.02, y, 0.4, tall, shutter)
                if balconies and column % 2 == 0:
                    self._balcony(x - 0.25, y - 0.15, wide + 0.5)

    def _window(self, x: float, y: float, wide: float, tall: float) -> None:
        self.box(x - 0.14, y - 0.14, wide + 0.28, tall + 0.28, self.frame * 0.86)
        self.box(x - 0.07, y - 0.07, wide + 0.14, tall + 0.14, self.frame)
        half = wide / 2 - 0.04
        self.pane(x, y, half, tall)
        self.pane(x + half + 0.08, y, half, tall)
        self.box(x, y + tall * 0.66, wide, 0.07, self.frame)
        self.box(x - 0.22, y - 0.26, wide + 0.44, 0.12, self.frame * 0.8)

    def _balcony(self, x: float, y: float, wide: float) -> None:
        iron = np.array((44, 46, 50))
        self.box(x, y - 0.15, wide, 0.16, iron * 2.2)
        for step in np.arange(0, wide, 0.16):
            self.box(x + step, y, 0.05, 0.95, iron)
        self.box(x, y + 0.92, wide, 0.07, iron)

    def shop(self, length: float, wall: np.ndarray) -> None:
        """Shop windows, a sign and an awning."""
        rng = self.rng
        front = np.array(((60, 50, 46), (40, 58, 66), (92, 40, 40), (58, 72, 52)))
        self.box(0, 0, length, 3.5, front[rng.integers(4)] * rng.uniform(0.8, 1.4))
        x = 0.4
        while x < length - 1.6:
            wide = min(rng.uniform(2.0, 3.4), length - 0.4 - x)
            lit = rng.random() < 0.35 + self.weather.lights
            glass = np.array((214, 184, 134)) if lit else np.array((72, 82, 92))
            window = self.box(x, 0.45, wide, 2.1, glass)
            if lit and self.weather.lights > 0.1:
                self.lit[window] = 1
            for _ in range(rng.integers(3, 7)):  # what is on display
                tint = rng.uniform(40, 230, 3)
                self.box(
                    x + rng.uniform(0, wide - 0.5),
                    0.5,
                    0.4,
                    rng.uniform(0.3, 1.1),
                    tint,
                )
            x += wide + rng.uniform(0.3, 0.9)
        colour = np.array(_AWNINGS[rng.integers(len(_AWNINGS))], float)
        self.box(0.2, 2.75, length - 0.4, 0.62, colour * 0.8)
        for step in np.arange(0.8, length - 1.4, 0.42):  # lettering
            if rng.random() < 0.75:
                self.box(step, 2.93, 0.26, 0.26, np.array((240, 236, 220)))
        if rng.random() < 0.65:
            for index, step in enumerate(np.arange(0.3, length - 0.5, 0.45)):
                stripe = colour if index % 2 else np.array((236, 230, 218))
                self.box(step, 2.15, 0.45, 0.62, stripe)
            self.box(0.3, 2.07, length - 0.6, 0.1, colour * 0.55)

    def door(self, length: float, wall: np.ndarray) -> None:
        """A plinth and a house door."""
        self.box(0, 0, length, 0.55, wall * 0.68)
        x = self.rng.uniform(0.8, max(0.9, length - 2.2))
        tint = np.array(((96, 50, 42), (40, 66, 58), (48, 56, 88), (70, 50, 36)))
        self.box(x - 0.15, 0, 1.4, 2.55, wall * 1.12)
        self.box(x, 0, 1.1, 2.35, tint[self.rng.integers(4)] * 1.2)
        self.pane(x + 0.15, 1.6, 0.8, 0.55)

    def cornice(self, wall: np.ndarray) -> None:
        """Bands at the top and above the ground floor."""
        length = self.texture.shape[1] / self.scale
        self.box(0, self.height - 0.3, length, 0.3, wall * 1.1)
        self.box(0, self.height - 0.42, length, 0.12, wall * 0.7)
        self.box(0, 3.55, length, 0.16, wall * 0.84)


def _paint_roof(
    canvas: Canvas,
    weather: Weather,
    house: House,
    rng: np.random.Generator,
    back: np.ndarray,
) -> None:
    near, far = house.corners
    if not house.roof:
        if rng.random() < 0.5:
            _paint_box(canvas, weather, house, rng, back)
        return
    ridge = back / 2
    top = house.height + house.roof
    (x0, z0), (x1, z1) = near, far
    (rx0, rz0), (rx1, rz1) = near + ridge, far + ridge
    slope = np.array(
        [
            [rx0, top, rz0],
            [rx1, top, rz1],
            [x1, house.height, z1],
            [x0, house.height, z0],
        ]
    )
    colour = np.array(_ROOFS[rng.integers(len(_ROOFS))], float)
    rows, columns = 64, 160
    tiles = np.empty((rows, columns, 3), np.float32)
    tiles[:] = colour
    tiles *= 1 + 0.07 * rng.standard_normal((rows, columns, 1)).astype(np.float32)
    tiles[::4] *= 0.8
    for _ in range(rng.integers(0, 4)):  # skylights
        column, row = rng.integers(6, columns - 18), rng.integers(18, 36)
        tiles[row : row + 14, column : column + 11] = (70, 74, 80)
        tiles[row + 1 : row + 13, column + 1 : column + 10] = (150, 170, 190)
    flat = np.hypot(house.depth / 2, house.roof)
    normal = (-house.side * house.roof / flat, house.depth / 2 / flat, 0.0)
    canvas.face(slope, tiles, shade=weather.shade(normal))
    _paint_box(canvas, weather, house, rng, back, chimney=True)


def _paint_box(
    canvas: Canvas,
    weather: Weather,
    house: House,
    rng: np.random.Generator,
    back: np.ndarray,
    *,
    chimney: bool = False,
) -> None:
    """A chimney on the ridge, or a lift house on a flat roof."""
    near, far = house.corners
    middle = near + (far - near) * rng.uniform(0.2, 0.8) + back / 2
    size = 0.45 if chimney else rng.uniform(1.2, 2.0)
    base = house.height + (house.roof - 1.0 if chimney else 0.0)
    rise = 2.1 if chimney else 2.4
    colour = np.array((140, 92, 78) if chimney else (150, 150, 148))
    x, z = middle
    for points, normal in box_faces(x, z, size, size, base, base + rise):
        canvas.face(points, colour, shade=weather.shade(normal), two_sided=False)


def _paint_end(
    canvas: Canvas,
    weather: Weather,
    house: House,
    wall: np.ndarray,
    rng: np.random.Generator,
    back: np.ndarray,
) -> None:
    """The wall that looks along the street towards the camera, with its gable."""
    near = house.corners[0]
    points = _wall_points(near, near + back, house.height)
    width, height = round(house.depth * 12), max(8, round(house.height * 12))
    texture = _wall_texture(rng, wall * 0.94, house.material, height, width, 12)
    for _ in range(rng.integers(0, 3)):
        column, row = (
            rng.integers(10, max(11, width - 24)),
            rng.integers(10, height - 4),
        )
        cv2.rectangle(texture, (column, row), (column + 10, row + 16), (70, 76, 86), -1)
    shade = weather.shade((0.0, 0.0, -1.0))
    canvas.face(points, texture, shade=shade)
    if house.roof:
        (x0, z0), (x1, z1) = near, near + back
        peak = [(x0 + x1) / 2, house.height + house.roof, z0]
        gable = np.array([[x0, house.height, z0], peak, [x1, house.height, z1]])
        canvas.face(gable, wall * 0.94, shade=shade)


def box_faces(
    x: float, z: float, half_x: float, half_z: float, bottom: float, top: float
) -> list[tuple[np.ndarray, tuple[float, float, float]]]:
    """The four sides and the top of an upright box: corners and outward normal."""
    west, east, south, north = x - half_x, x + half_x, z - half_z, z + half_z
    ring = [(west, south), (east, south), (east, north), (west, north)]
    normals = [(0.0, 0.0, -1.0), (1.0, 0.0, 0.0), (0.0, 0.0, 1.0), (-1.0, 0.0, 0.0)]
    sides = [
        (_wall_points(np.array(start), np.array(end), top), normal)
        for start, end, normal in zip(ring, ring[1:] + ring[:1], normals, strict=True)
    ]
    for points, _ in sides:
        points[2:, 1] = bottom
    roof = np.array([[px, top, pz] for px, pz in reversed(ring)])
    return [*sides, (roof, (0.0, 1.0, 0.0))]
