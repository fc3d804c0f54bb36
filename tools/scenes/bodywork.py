"""Painting a vehicle: body, cabin, wheels, windows and lights as flat faces."""

from collections.abc import Sequence

import numpy as np

from tools.scenes.brush import Brush
from tools.scenes.vehicles import Shape, Vehicle

_PAINTS = (
    (186, 36, 34), (38, 70, 130), (226, 226, 224), (172, 176, 180), (58, 60, 64),
    (34, 36, 40), (238, 238, 236), (46, 98, 72), (212, 168, 52), (128, 40, 58),
    (96, 132, 160), (204, 196, 178), (218, 104, 40), (120, 126, 132),
)  # fmt: skip
_BUS_PAINTS = ((196, 40, 38), (232, 186, 50), (52, 120, 92), (48, 88, 160))
_TYRE, _HUB = np.array((30, 30, 32)), np.array((150, 152, 156))
_GLASS, _TRIM = np.array((38, 48, 60)), np.array((38, 38, 40))
_TAIL, _HEAD = np.array((196, 22, 20)), np.array((236, 236, 226))
_PLATE = np.array((228, 226, 214))

Point = tuple[float, float, float]
Span = tuple[float, float]
Quad = Sequence[Point] | np.ndarray


def paint_vehicle(brush: Brush, vehicle: Vehicle) -> None:
    """The whole vehicle, its inner parts first."""
    colours = _BUS_PAINTS if vehicle.kind == "bus" else _PAINTS
    paint = brush.one_of(colours) * brush.rng.uniform(0.9, 1.1)
    half = vehicle.shape.width / 2
    painter = _Painter(brush, vehicle)
    painter.hull(_underside(vehicle.shape), half - 0.1, np.array((24, 24, 26)))
    painter.treads()
    painter.hull(_body(vehicle.shape), half, paint)
    painter.cabin(paint)
    painter.ends()
    painter.sides(paint)
    painter.wheels()


def _body(shape: Shape) -> np.ndarray:
    """Outline (N, 2) of z and y, from the tail's foot upward and around."""
    end = shape.length
    return np.array(
        [
            (0.06, 0.26), (0.0, 0.55), (0.06, shape.waist),
            (end - shape.deck, shape.waist), (end - 0.12, shape.bonnet),
            (end, 0.5), (end - 0.06, 0.26),
        ]
    )  # fmt: skip


def _underside(shape: Shape) -> np.ndarray:
    end = shape.length - 0.25
    return np.array([(0.25, 0.1), (0.25, 0.4), (end, 0.4), (end, 0.1)])


class _Painter:
    """Faces in the vehicle's own axes: x to its right, z from its tail."""

    def __init__(self, brush: Brush, vehicle: Vehicle):
        self._canvas, self._weather = brush.canvas, brush.weather
        self._vehicle = vehicle
        self._shape = vehicle.shape
        self._lit = brush.weather.lights > 0.15
        self._radius = 0.32 if vehicle.shape.height < 2 else 0.38
        self._axles = (0.2 * self._shape.length, 0.82 * self._shape.length)

    def hull(self, outline: np.ndarray, half: float, colour: np.ndarray) -> None:
        """A convex side outline (z, y), drawn out to the full width."""
        ahead = np.roll(outline, -1, axis=0)
        for (z0, y0), (z1, y1) in zip(outline, ahead, strict=True):
            quad = [(-half, y1, z1), (half, y1, z1), (half, y0, z0), (-half, y0, z0)]
            self._face(quad, colour)
        self._face([(half, y, z) for z, y in outline], colour)
        self._face([(-half, y, z) for z, y in outline[::-1]], colour)

    def cabin(self, paint: np.ndarray) -> None:
        shape = self._shape
        foot, top = shape.width / 2 - 0.03, shape.width / 2 - shape.taper
        back, back_top, front_top, front = shape.cabin
        low, high = shape.waist - 0.02, shape.height
        a, b = (-top, high, back_top), (top, high, back_top)
        c, d = (top, high, front_top), (-top, high, front_top)
        e, f = (-foot, low, back), (foot, low, back)
        g, h = (foot, low, front), (-foot, low, front)
        rear, nose = np.array([a, b, f, e]), np.array([c, d, h, g])
        right, left = np.array([b, c, g, f]), np.array([d, a, e, h])
        for wall in (rear, nose, right, left, np.array([d, c, b, a])):
            self._face(wall, paint)
        sky = np.array(self._weather.horizon)
        glass = _gradient(_GLASS * 0.8 + sky * 0.38, _GLASS * 0.9 + sky * 0.06)
        self._face(_part(rear, 0.1, 0.9, 0.14, 0.2), glass)
        self._face(_part(nose, 0.07, 0.93, 0.08, 0.08), glass)
        for start, end in shape.windows:
            self._face(_part(right, start, end, 0.14, 0.1), glass)
            self._face(_part(left, 1 - end, 1 - start, 0.14, 0.1), glass)

    def treads(self) -> None:
        """The tyres as seen from ahead and from behind."""
        half, tall = self._shape.width / 2 - 0.02, 1.5 * self._radius
        for axle in self._axles:
            for x0, x1 in ((-half, 0.24 - half), (half - 0.24, half)):
                for edge in (-1, 1):
                    z = axle + edge * self._radius * 0.9
                    self._across((x0, x1), (0.0, tall), z, edge, _TYRE)

    def wheels(self) -> None:
        """Arches, tyres and hubs on the sides."""
        turn = np.linspace(0, 2 * np.pi, 20, endpoint=False)
        discs = ((1.16, _TYRE * 0.7), (1.0, _TYRE), (0.6, _HUB), (0.16, _TYRE * 1.5))
        for axle in self._axles:
            for side in (-1, 1):
                x = side * (self._shape.width / 2 + 0.012)
                across, up = np.cos(turn * -side), np.sin(turn * -side)
                for size, colour in discs:
                    radius = size * self._radius
                    z, y = axle + radius * across, self._radius + radius * up
                    ring = np.column_stack([np.full(len(turn), x), y.clip(0), z])
                    self._face(ring, colour)

    def ends(self) -> None:
        """Bumpers, plates, grille and lights."""
        half, nose, tail = self._shape.width / 2, self._shape.length + 0.02, -0.02
        tall = 0.17 if self._shape.height < 2 else 0.4
        y = self._shape.waist - 0.12
        self._across((-half, half), (0.26, 0.46), tail, -1, _TRIM)
        self._across((-half, half), (0.26, 0.44), nose, 1, _TRIM)
        self._across((-half * 0.5, half * 0.5), (0.46, 0.58), nose, 1, _TRIM * 0.75)
        self._across((-0.27, 0.27), (0.52, 0.66), tail, -1, _PLATE)
        self._across((-0.26, 0.26), (0.3, 0.42), nose, 1, _PLATE)
        for side in (-1, 1):
            x0, x1 = sorted((side * (half - 0.05), side * (half - 0.34)))
            x = (x0 + x1) / 2
            if self._lamp((x0, x1), (y - tall, y), tail, -1, _TAIL):
                self._glow((x, y - tall / 2, tail), 0.55, _TAIL * 0.7)
            if self._lamp((x0, x1), (0.54, 0.69), nose, 1, _HEAD):
                self._glow((x, 0.62, nose), 1.0, _HEAD * 0.75)

    def sides(self, paint: np.ndarray) -> None:
        """Door seams, handles and sills."""
        end, waist = self._shape.length, self._shape.waist
        for side in (-1, 1):
            for z in (end * 0.34, end * 0.58):
                self._along(side, z, z + 0.03, 0.34, waist - 0.02, paint * 0.55)
                handle = (waist - 0.2, waist - 0.14)
                self._along(side, z - 0.32, z - 0.1, *handle, paint * 0.5)
            self._along(side, 0.1, end - 0.1, 0.26, 0.34, _TRIM)

    def _lamp(
        self, x: Span, y: Span, z: float, outward: int, colour: np.ndarray
    ) -> bool:
        """Paint a lamp; whether it shines towards the camera."""
        colour = colour * (1.2 if self._lit else 0.9)
        return self._across(x, y, z, outward, colour, shines=self._lit) and self._lit

    def _across(
        self,
        x: Span,
        y: Span,
        z: float,
        outward: int,
        colour: np.ndarray,
        *,
        shines: bool = False,
    ) -> bool:
        """A rectangle that looks ahead (outward = 1) or back (-1)."""
        (x0, x1), (y0, y1) = x if outward < 0 else x[::-1], y
        quad = [(x0, y1, z), (x1, y1, z), (x1, y0, z), (x0, y0, z)]
        return self._face(quad, colour, shines=shines)

    def _along(
        self, side: int, z0: float, z1: float, y0: float, y1: float, colour: np.ndarray
    ) -> None:
        """A rectangle on the left (side = -1) or on the right (1)."""
        x = side * (self._shape.width / 2 + 0.006)
        if side < 0:
            z0, z1 = z1, z0
        self._face([(x, y1, z0), (x, y1, z1), (x, y0, z1), (x, y0, z0)], colour)

    def _face(self, points: Quad, colour: np.ndarray, *, shines: bool = False) -> bool:
        world = self._vehicle.place(self._local(points))
        normal = np.cross(world[1] - world[0], world[2] - world[0])
        shade = self._weather.shade(tuple(normal / np.linalg.norm(normal)))
        if shines:
            shade = np.maximum(shade, 0.95)
        return self._canvas.face(world, colour, shade=shade, two_sided=False)

    def _glow(self, point: Point, radius: float, colour: np.ndarray) -> None:
        x, y, z = self._vehicle.place(self._local([point]))[0].tolist()
        self._canvas.glow((x, y, z), radius, colour)

    def _local(self, points: Quad) -> np.ndarray:
        return np.asarray(points, float) - (0, 0, self._shape.length / 2)


def _gradient(top: np.ndarray, bottom: np.ndarray) -> np.ndarray:
    share = np.linspace(0, 1, 8, dtype=np.float32)[:, None, None]
    column = top * (1 - share) + bottom * share
    return np.repeat(column, 8, axis=1).astype(np.float32)


def _part(
    quad: np.ndarray, start: float, end: float, above: float, below: float
) -> np.ndarray:
    """What is left of a quad between two shares of its width, less its rims."""
    a, b, c, d = quad
    upper = [a + (b - a) * start, a + (b - a) * end]
    lower = [d + (c - d) * start, d + (c - d) * end]
    return np.array(
        [
            upper[0] + (lower[0] - upper[0]) * above,
            upper[1] + (lower[1] - upper[1]) * above,
            lower[1] + (upper[1] - lower[1]) * below,
            lower[0] + (upper[0] - lower[0]) * below,
        ]
    )
