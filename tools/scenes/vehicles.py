"""Vehicles: their proportions, and where they stand."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, kw_only=True)
class Shape:
    """Proportions of a vehicle in metres; z runs from the tail to the nose."""

    length: float
    width: float
    waist: float  # height of the body
    bonnet: float  # height of the nose
    deck: float  # how far the nose slopes
    height: float
    taper: float  # the roof is so much narrower than the body, on each side
    cabin: tuple[
        float, float, float, float
    ]  # z of tail foot, tail top, front top, foot
    windows: tuple[tuple[float, float], ...]  # along a side, in shares of its length


_CAR_WINDOWS = ((0.06, 0.47), (0.51, 0.94))
SHAPES = {
    "hatchback": Shape(
        length=4.0, width=1.76, waist=0.92, bonnet=0.72, deck=0.95, height=1.5,
        taper=0.18, cabin=(0.05, 0.4, 2.45, 3.2), windows=_CAR_WINDOWS,
    ),
    "saloon": Shape(
        length=4.7, width=1.84, waist=0.92, bonnet=0.7, deck=1.1, height=1.44,
        taper=0.18, cabin=(0.55, 1.25, 2.75, 3.6), windows=_CAR_WINDOWS,
    ),
    "estate": Shape(
        length=4.7, width=1.9, waist=1.0, bonnet=0.82, deck=1.05, height=1.66,
        taper=0.17, cabin=(0.05, 0.3, 2.9, 3.75), windows=_CAR_WINDOWS,
    ),
    "van": Shape(
        length=5.2, width=2.0, waist=1.15, bonnet=0.95, deck=0.7, height=2.25,
        taper=0.12, cabin=(0.0, 0.05, 3.9, 4.75), windows=((0.7, 0.95),),
    ),
    "bus": Shape(
        length=9.6, width=2.5, waist=1.25, bonnet=1.1, deck=0.15, height=3.05,
        taper=0.05, cabin=(0.0, 0.03, 9.45, 9.58),
        windows=((0.02, 0.2), (0.21, 0.39), (0.4, 0.58), (0.59, 0.77), (0.8, 0.97)),
    ),
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Vehicle:
    """One vehicle; `heading` in radians, 0 drives away from the camera."""

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
        east, north = cos * x + sin * z, -sin * x + cos * z
        return np.column_stack([self.x + east, y, self.z + north])

    def footprint(self) -> np.ndarray:
        """(4, 2) x and z."""
        a, b = self.shape.width / 2, self.shape.length / 2
        corners = np.array([[-a, 0, -b], [a, 0, -b], [a, 0, b], [-a, 0, b]])
        return self.place(corners)[:, [0, 2]]


def draw_kind(rng: np.random.Generator, *, parked: bool = False) -> str:
    """A kind of vehicle in `SHAPES`; no bus parks at the kerb."""
    shares = np.array([0.34, 0.24, 0.21, 0.15, 0.0 if parked else 0.08])
    return str(rng.choice(list(SHAPES), p=shares / shares.sum()))
