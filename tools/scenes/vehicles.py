"""Vehicles: body, cabin, wheels, windows and lights as flat faces."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from tools.scenes.canvas import Canvas
from tools.scenes.plan import Thing

_PAINTS = (
    (186, 36, 34), (38, 70, 130), (226, 226, 224), (172, 176, 180), (58, 60, 64),
    (34, 36, 40), (238, 238, 236), (46, 98, 72), (212, 168, 52), (128, 40, 58),
    (96, 132, 160), (204, 196, 178), (218, 104, 40), (120, 126, 132),
)  # fmt: skip
_TYRE, _HUB = np.array((30, 30, 32)), np.array((150, 152, 156))
_GLASS, _TRIM = np.array((38, 48, 60)), np.array((38, 38, 40))
_TAIL, _HEAD, _PLATE = (
    np.array(colour) for colour in ((196, 22, 20), (236, 236, 226), (228, 226, 214))
)

Point = tuple[float, float, float]
Points = Sequence[Point] | np.ndarray
Face = tuple[Points, np.ndarray, bool]  # corners, colour or texture, whether it shines


@dataclass(frozen=True, kw_only=True)
class Shape:
    """Proportions of a vehicle in metres; z runs from the tail to the nose."""

    waist: float  # height of the body
    bonnet: float  # height of the nose
    deck: float  # how far the nose slopes
    taper: float  # the roof is so much narrower than the body, on each side
    cabin: tuple[float, ...]  # z of the cabin's tail foot, tail top, front top, foot
    windows: int  # on a side


_SHAPES = {
    "hatchback": Shape(
        waist=0.92, bonnet=0.72, deck=0.95, taper=0.18, cabin=(0.05, 0.4, 2.45, 3.2),
        windows=2,
    ),
    "saloon": Shape(
        waist=0.92, bonnet=0.7, deck=1.1, taper=0.18, cabin=(0.55, 1.25, 2.75, 3.6),
        windows=2,
    ),
    "van": Shape(
        waist=1.15, bonnet=0.95, deck=0.7, taper=0.12, cabin=(0.0, 0.05, 3.9, 4.75),
        windows=3,
    ),
    "bus": Shape(
        waist=1.25, bonnet=1.1, deck=0.15, taper=0.05, cabin=(0.0, 0.03, 9.45, 9.58),
        windows=6,
    ),
}  # fmt: skip


def paint_vehicle(canvas: Canvas, rng: np.random.Generator, vehicle: Thing) -> None:
    """A vehicle of a kind in `VEHICLES`."""
    shape, weather = _SHAPES[vehicle.kind], canvas.weather
    paint = rng.choice(_PAINTS) * rng.uniform(0.9, 1.1)
    for points, colour, shines in (
        *_body(vehicle, shape, paint),
        *_cabin(vehicle, shape, paint, np.array(weather.horizon)),
        *_ends(vehicle, shape, lit=weather.lights > 0.15),
        *_wheels(vehicle),
    ):
        middle = (0, 0, vehicle.length / 2)
        world = vehicle.place(np.asarray(points, float) - middle)
        canvas.face(world, colour, shines=shines)


# Faces in the vehicle's own axes: x to its right, y up, z from its tail.


def _body(vehicle: Thing, shape: Shape, paint: np.ndarray) -> Iterator[Face]:
    """Body and underside: outlines of a side, drawn out to the full width."""
    end = vehicle.length
    body = (
        (0.06, 0.26), (0.0, 0.55), (0.06, shape.waist), (end - shape.deck, shape.waist),
        (end - 0.12, shape.bonnet), (end, 0.5), (end - 0.06, 0.26),
    )  # fmt: skip
    under = ((0.25, 0.1), (0.25, 0.4), (end - 0.25, 0.4), (end - 0.25, 0.1))
    for side, inset, colour in ((under, 0.1, _TRIM * 0.6), (body, 0.0, paint)):
        x = vehicle.width / 2 - inset
        for (z0, y0), (z1, y1) in zip(side, (*side[1:], side[0]), strict=True):
            yield [(-x, y1, z1), (x, y1, z1), (x, y0, z0), (-x, y0, z0)], colour, False
        yield [(x, y, z) for z, y in side], colour, False
        yield [(-x, y, z) for z, y in side[::-1]], colour, False


def _cabin(
    vehicle: Thing, shape: Shape, paint: np.ndarray, sky: np.ndarray
) -> Iterator[Face]:
    """The walls and the roof of the cabin, with their windows."""
    foot, top = vehicle.width / 2 - 0.03, vehicle.width / 2 - shape.taper
    back, back_top, front_top, front = shape.cabin
    low, high = shape.waist - 0.02, vehicle.height
    a, b = (-top, high, back_top), (top, high, back_top)
    c, d = (top, high, front_top), (-top, high, front_top)
    e, f = (-foot, low, back), (foot, low, back)
    g, h = (foot, low, front), (-foot, low, front)
    shine = np.linspace(_GLASS * 0.8 + sky * 0.38, _GLASS * 0.9 + sky * 0.06, 8)
    glass = shine[:, None].repeat(8, axis=1)
    for wall, windows in (
        ((a, b, f, e), 1), ((c, d, h, g), 1), ((b, c, g, f), shape.windows),
        ((d, a, e, h), shape.windows), ((d, c, b, a), 0),
    ):  # fmt: skip
        yield wall, paint, False
        for index in range(windows):
            start, end = (index + 0.08) / windows, (index + 0.92) / windows
            yield _part(np.array(wall), start, end), glass, False


def _ends(vehicle: Thing, shape: Shape, *, lit: bool) -> Iterator[Face]:
    """Bumpers, plates, grille and lamps."""
    half, tail, nose = vehicle.width / 2, -0.02, vehicle.length + 0.02
    tall, top = 0.17 if vehicle.height < 2 else 0.4, shape.waist - 0.12
    left, right = (0.05 - half, 0.34 - half), (half - 0.34, half - 0.05)
    for z, (x0, x1), y0, y1, colour in (
        (tail, (-half, half), 0.26, 0.46, _TRIM),
        (tail, (-0.27, 0.27), 0.52, 0.66, _PLATE),
        (tail, left, top - tall, top, _TAIL),
        (tail, right, top - tall, top, _TAIL),
        (nose, (-half, half), 0.26, 0.44, _TRIM),
        (nose, (-half / 2, half / 2), 0.46, 0.58, _TRIM * 0.75),
        (nose, (-0.26, 0.26), 0.3, 0.42, _PLATE),
        (nose, left, 0.54, 0.69, _HEAD),
        (nose, right, 0.54, 0.69, _HEAD),
    ):
        shines = lit and (colour is _TAIL or colour is _HEAD)
        a, b = (x0, x1) if z == tail else (x1, x0)
        points = [(a, y1, z), (b, y1, z), (b, y0, z), (a, y0, z)]
        yield points, colour * (1.15 if shines else 0.9), shines


def _wheels(vehicle: Thing) -> Iterator[Face]:
    """Arches, tyres and hubs on the sides; tyres as seen from ahead and behind."""
    turn = np.linspace(0, 2 * np.pi, 20, endpoint=False)
    size = 0.32 if vehicle.height < 2 else 0.38
    for axle in (0.2 * vehicle.length, 0.82 * vehicle.length):
        for side in (-1, 1):
            x = side * (vehicle.width / 2 + 0.012)
            for share, colour in ((1.16, _TYRE * 0.7), (1.0, _TYRE), (0.6, _HUB)):
                along = axle - side * share * size * np.cos(turn)
                up = (size + share * size * np.sin(turn)).clip(0)
                ring = np.column_stack([np.full(len(turn), x), up, along])
                yield ring, colour, False
            a, b = sorted((x, x - side * 0.25))
            for z, (left, right) in ((axle - size, (a, b)), (axle + size, (b, a))):
                low = [(right, 0.0, z), (left, 0.0, z)]
                yield [(left, 0.4, z), (right, 0.4, z), *low], _TYRE, False


def _part(quad: np.ndarray, start: float, end: float) -> np.ndarray:
    """What is left of a wall between two shares of its width, less its rims."""
    a, b, c, d = quad
    across = [(a + (b - a) * share, d + (c - d) * share) for share in (start, end)]
    upper = [top + (foot - top) * 0.14 for top, foot in across]
    lower = [foot + (top - foot) * 0.12 for top, foot in across]
    return np.array([*upper, *lower[::-1]])
