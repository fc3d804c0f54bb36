"""Cars and vans: small solids with wheels, windows and lights."""

from dataclasses import dataclass

import numpy as np

from seglib.data.scenes.canvas import Canvas
from seglib.data.scenes.weather import Weather

_PAINTS = (
    (186, 36, 34), (38, 70, 130), (226, 226, 224), (172, 176, 180), (58, 60, 64),
    (34, 36, 40), (238, 238, 236), (46, 98, 72), (212, 168, 52), (128, 40, 58),
    (96, 132, 160), (204, 196, 178), (218, 104, 40), (120, 126, 132),
)  # fmt: skip
_TYRE = np.array((30, 30, 32))
_HUB = np.array((150, 152, 156))
_GLASS = np.array((38, 48, 60))
_TAIL = np.array((196, 22, 20))
_HEAD = np.array((236, 236, 226))


@dataclass(frozen=True, kw_only=True)
class Shape:
    """Proportions of a vehicle in metres; z runs from the tail to the nose."""

    length: float
    width: float
    waist: float  # height of the body
    bonnet: float  # height of the nose
    deck: float  # how far the nose slopes
    height: float
    cabin: tuple[
        float, float, float, float
    ]  # z of tail foot, tail top, front top, foot


SHAPES = {
    "hatchback": Shape(
        length=4.0, width=1.76, waist=0.92, bonnet=0.72, deck=0.95, height=1.5,
        cabin=(0.05, 0.4, 2.45, 3.2),
    ),
    "saloon": Shape(
        length=4.7, width=1.84, waist=0.92, bonnet=0.7, deck=1.1, height=1.44,
        cabin=(0.55, 1.25, 2.75, 3.6),
    ),
    "estate": Shape(
        length=4.7, width=1.9, waist=1.0, bonnet=0.82, deck=1.05, height=1.66,
        cabin=(0.05, 0.3, 2.9, 3.75),
    ),
    "van": Shape(
        length=5.2, width=2.0, waist=1.15, bonnet=0.95, deck=0.7, height=2.25,
        cabin=(0.0, 0.05, 3.9, 4.75),
    ),
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Vehicle:
    """One vehicle on the street; `heading` in radians, 0 drives away from us."""

    x: float
    z: float
    heading: float
    kind: str

    @property
    def shape(self) -> Shape:
        """Its proportions."""
        return SHAPES[self.kind]

    def place(self, points: np.ndarray) -> np.ndarray:
        """Points (N, 3) relative to its middle as world points."""
        cos, sin = np.cos(self.heading), np.sin(self.heading)
        x, y, z = np.asarray(points, float).T
        return np.column_stack(
            [self.x + cos * x + sin * z, y, self.z - sin * x + cos * z]
        )

    def footprint(self) -> np.ndarray:
        """(4, 2) x and z."""
        a, b = self.shape.width / 2, self.shape.length / 2
        corners = np.array([[-a, 0, -b], [a, 0, -b], [a, 0, b], [-a, 0, b]])
        return self.place(corners)[:, [0, 2]]


def paint_vehicle(
    canvas: Canvas, weather: Weather, vehicle: Vehicle, rng: np.random.Generator
) -> None:
    """The whole vehicle, its far faces first."""
    paint = np.array(_PAINTS[rng.integers(len(_PAINTS))]) * rng.uniform(0.9, 1.1)
    painter = _Painter(canvas, weather, vehicle)
    shape = vehicle.shape
    painter.hull(_underside(shape), shape.width / 2 - 0.1, np.array((24, 24, 26)))
    painter.wheels()
    painter.hull(_body(shape), shape.width / 2, paint)
    painter.cabin(paint, glazed=not (vehicle.kind == "van" and rng.random() < 0.6))
    painter.details(paint, rng)
    painter.wheels(outside=True)


def _body(shape: Shape) -> np.ndarray:
    """Outline (N, 2) of z and y, from the tail's foot upward and around."""
    end = shape.length
    return np.array(
        [
            (0.06, 0.26), (0.0, 0.55), (0.06, shape.waist), (end - shape.deck, shape.waist),
            (end - 0.12, shape.bonnet), (end, 0.5), (end - 0.06, 0.26),
        ]
    )  # fmt: skip


def _underside(shape: Shape) -> np.ndarray:
    end = shape.length
    return np.array([(0.25, 0.1), (0.25, 0.4), (end - 0.25, 0.4), (end - 0.25, 0.1)])


class _Painter:
    """Faces in the vehicle's own axes: x to its right, z from its tail."""

    def __init__(self, canvas: Canvas, weather: Weather, vehicle: Vehicle):
        self.canvas, self.weather, self.vehicle = canvas, weather, vehicle
        self.shape = vehicle.shape

    def face(
        self,
        points: list[tuple[float, float, float]] | np.ndarray,
        colour: np.ndarray,
        *,
        self_lit: bool = False,
    ) -> bool:
        local = np.asarray(points, float) - (0, 0, self.shape.length / 2)
        world = self.vehicle.place(local)
        normal = np.cross(world[1] - world[0], world[2] - world[0])
        size = np.linalg.norm(normal)
        shade = self.weather.shade(tuple(normal / size)) if size else np.ones(3)
        if self_lit:
            shade = np.maximum(shade, 0.95)
        return self.canvas.face(world, colour, shade=shade, two_sided=False)

    def hull(self, outline: np.ndarray, half: float, colour: np.ndarray) -> None:
        """A convex side outline (z, y), drawn out to the full width."""
        for (z0, y0), (z1, y1) in zip(
            outline, np.roll(outline, -1, axis=0), strict=True
        ):
            quad = [(-half, y1, z1), (half, y1, z1), (half, y0, z0), (-half, y0, z0)]
            self.face(quad, colour)
        right = [(half, y, z) for z, y in outline]
        self.face(right, colour)
        self.face([(-half, y, z) for z, y in outline[::-1]], colour)

    def cabin(self, paint: np.ndarray, *, glazed: bool) -> None:
        shape = self.shape
        foot, top = shape.width / 2 - 0.03, shape.width / 2 * 0.8
        if shape.height > 2:
            top = shape.width / 2 - 0.12
        back, back_top, front_top, front = shape.cabin
        low, high = shape.waist - 0.02, shape.height
        rear = [
            (-top, high, back_top),
            (top, high, back_top),
            (foot, low, back),
            (-foot, low, back),
        ]
        nose = [
            (top, high, front_top),
            (-top, high, front_top),
            (-foot, low, front),
            (foot, low, front),
        ]
        right = [
            (top, high, back_top),
            (top, high, front_top),
            (foot, low, front),
            (foot, low, back),
        ]
        left = [
            (-top, high, front_top),
            (-top, high, back_top),
            (-foot, low, back),
            (-foot, low, front),
        ]
        roof = [
            (-top, high, front_top),
            (top, high, front_top),
            (top, high, back_top),
            (-top, high, back_top),
        ]
        for wall in (rear, nose, right, left, roof):
            self.face(wall, paint)
        sky = np.array(self.weather.horizon)
        glass = _gradient(_GLASS * 0.8 + sky * 0.38, _GLASS * 0.9 + sky * 0.06)
        self.face(_inset(rear, 0.1, 0.14, 0.2), glass)
        self.face(_inset(nose, 0.07, 0.08, 0.08), glass)
        spans = ((0.06, 0.47), (0.51, 0.94)) if glazed else ((0.7, 0.95),)
        for start, end in spans:
            self.face(_part(right, start, end, 0.14, 0.1), glass)
            self.face(_part(left, 1 - end, 1 - start, 0.14, 0.1), glass)

    def wheels(self, *, outside: bool = False) -> None:
        radius = 0.32 if self.shape.height < 2 else 0.36
        turn = np.linspace(0, 2 * np.pi, 20, endpoint=False)
        for z in (0.78, self.shape.length - 0.82):
            for side in (-1, 1):
                x = side * (self.shape.width / 2 + (0.012 if outside else -0.02))
                spin = turn * -side
                ring = np.column_stack(
                    [
                        np.full(20, x),
                        radius + radius * np.sin(spin),
                        z + radius * np.cos(spin),
                    ]
                )
                if outside:
                    arch = (ring - (0, radius, z)) * (1, 1.16, 1.16) + (0, radius, z)
                    self.face(arch[arch[:, 1] > -1], _TYRE * 0.7)
                    self.face(ring, _TYRE)
                    hub = (ring - (0, radius, z)) * (1, 0.6, 0.6) + (0, radius, z)
                    self.face(hub, _HUB)
                    core = (ring - (0, radius, z)) * (1, 0.16, 0.16) + (0, radius, z)
                    self.face(core, _TYRE * 1.5)
                else:
                    inner = x - side * 0.22
                    for edge in (z - radius * 0.9, z + radius * 0.9):
                        quad = [
                            (inner, 0.5, edge),
                            (x, 0.5, edge),
                            (x, 0, edge),
                            (inner, 0, edge),
                        ]
                        if (side > 0) != (edge < z):
                            quad = [quad[1], quad[0], quad[3], quad[2]]
                        self.face(quad, _TYRE)

    def details(self, paint: np.ndarray, rng: np.random.Generator) -> None:
        """Lights, plates, bumpers, door seams and handles."""
        half, end = self.shape.width / 2, self.shape.length
        lit = self.weather.lights > 0.15
        tall = 0.2 if self.shape.height < 2 else 0.5
        y = self.shape.waist - 0.12
        self._rear(-half, half, 0.26, 0.46, np.array((40, 40, 42)))
        self._nose(-half, half, 0.26, 0.44, np.array((36, 36, 38)))
        self._nose(-half * 0.5, half * 0.5, 0.46, 0.58, np.array((28, 28, 30)))
        self._rear(-0.27, 0.27, 0.52, 0.66, np.array((228, 226, 214)))
        self._nose(-0.26, 0.26, 0.3, 0.42, np.array((228, 226, 214)))
        tail = _TAIL * (1.25 if lit else 0.9)
        for side in (-1, 1):
            x0, x1 = sorted((side * (half - 0.06), side * (half - 0.42)))
            if self._rear(x0, x1, y - tall, y, tail, lit=lit) and lit:
                self._glow(side * (half - 0.24), y - tall / 2, 0.0, 0.55, _TAIL * 0.7)
            head = _HEAD * (1.1 if lit else 0.85)
            if self._nose(x0, x1, 0.54, 0.7, head, lit=lit) and lit:
                self._glow(side * (half - 0.24), 0.62, end, 1.0, _HEAD * 0.75)
        for side in (-1, 1):
            x = side * (half + 0.006)
            for z in (end * 0.34, end * 0.58):
                self._side(
                    x, side, z, z + 0.03, 0.34, self.shape.waist - 0.02, paint * 0.55
                )
                self._side(x, side, z - 0.32, z - 0.1, self.shape.waist - 0.2,
                           self.shape.waist - 0.14, paint * 0.5)  # fmt: skip
            self._side(x, side, 0.1, end - 0.1, 0.26, 0.34, np.array((36, 36, 38)))

    def _rear(
        self,
        x0: float,
        x1: float,
        y0: float,
        y1: float,
        colour: np.ndarray,
        *,
        lit: bool = False,
    ) -> bool:
        z = -0.02
        quad = [(x0, y1, z), (x1, y1, z), (x1, y0, z), (x0, y0, z)]
        return self.face(quad, colour, self_lit=lit)

    def _nose(
        self,
        x0: float,
        x1: float,
        y0: float,
        y1: float,
        colour: np.ndarray,
        *,
        lit: bool = False,
    ) -> bool:
        z = self.shape.length + 0.02
        quad = [(x1, y1, z), (x0, y1, z), (x0, y0, z), (x1, y0, z)]
        return self.face(quad, colour, self_lit=lit)

    def _side(
        self,
        x: float,
        side: int,
        z0: float,
        z1: float,
        y0: float,
        y1: float,
        colour: np.ndarray,
    ) -> None:
        quad = [(x, y1, z0), (x, y1, z1), (x, y0, z1), (x, y0, z0)]
        self.face(quad if side > 0 else [quad[1], quad[0], quad[3], quad[2]], colour)

    def _glow(
        self, x: float, y: float, z: float, radius: float, colour: np.ndarray
    ) -> None:
        local = np.array([[x, y, z - self.shape.length / 2]])
        px, py, pz = self.vehicle.place(local)[0]
        self.canvas.glow((px, py, pz), radius, colour)


def _gradient(top: np.ndarray, bottom: np.ndarray) -> np.ndarray:
    share = np.linspace(0, 1, 8, dtype=np.float32)[:, None, None]
    column = top * (1 - share) + bottom * share
    return np.repeat(column, 8, axis=1).astype(np.float32)


def _part(
    quad: list, start: float, end: float, above: float, below: float
) -> np.ndarray:
    """The part of a quad between two shares of its upper and lower edge."""
    a, b, c, d = np.asarray(quad, float)
    top = [a + (b - a) * start, a + (b - a) * end]
    bottom = [d + (c - d) * start, d + (c - d) * end]
    return np.array(
        [
            top[0] + (bottom[0] - top[0]) * above, top[1] + (bottom[1] - top[1]) * above,
            bottom[1] + (top[1] - bottom[1]) * below, bottom[0] + (top[0] - bottom[0]) * below,
        ]
    )  # fmt: skip


def _inset(quad: list, sides: float, above: float, below: float) -> np.ndarray:
    return _part(quad, sides, 1 - sides, above, below)
