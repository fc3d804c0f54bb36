"""The plan of a street: its cross-section, and what stands where."""

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from tools.scenes.weather import Weather

VEHICLES = {  # width, length and height in metres
    "hatchback": (1.76, 4.0, 1.5),
    "saloon": (1.84, 4.7, 1.44),
    "van": (2.0, 5.2, 2.25),
    "bus": (2.5, 9.6, 3.05),
}
_POLES = {"lamp": (4.2, 5.6), "sign": (2.4, 3.3), "light": (3.7, 3.71)}  # heights
_END, _PARKED_END, _ALLEY_END = 125.0, 65.0, 70.0  # metres
_VIEW = 0.5  # metres to the side that a picture shows for each metre ahead, at least

Rng = np.random.Generator


@dataclass(frozen=True, kw_only=True)
class Street:
    """The street's cross-section; its middle is x = 0. Lengths in metres."""

    half_width: float  # of the road
    pavement: float  # width of each pavement
    front: float  # grass from the pavement's end to the houses
    lanes: int
    crossing: float | None  # distance to a zebra crossing
    parking: tuple[bool, bool]  # left, right

    def lane_middle(self, lane: int) -> float:
        """A lane's x; parked cars narrow the road."""
        across = (2 * lane + 1 - self.lanes) * self.half_width / self.lanes
        return across * (0.62 if any(self.parking) and self.lanes == 2 else 1.0)

    @property
    def house_line(self) -> float:
        """Distance of the houses from the street's middle."""
        return self.half_width + self.pavement + self.front


@dataclass(frozen=True, kw_only=True)
class Thing:
    """One thing. Lengths in metres; without a heading, its length is along z."""

    kind: str
    x: float  # of its middle
    z: float
    width: float
    length: float
    height: float
    heading: float = 0.0  # radians; a vehicle of 0 drives away from the camera

    def place(self, points: np.ndarray) -> np.ndarray:
        """World points (N, 3) of points relative to its middle on the ground."""
        cos, sin = np.cos(self.heading), np.sin(self.heading)
        x, y, z = points.T
        east, north = cos * x + sin * z, -sin * x + cos * z
        return np.column_stack([self.x + east, y, self.z + north])

    def shadow(self, weather: Weather) -> np.ndarray:
        """The ground in its shade: a polygon (N, 2) of x and z."""
        a, b = self.width / 2, self.length / 2
        corners = np.array([[-a, 0, -b], [a, 0, -b], [a, 0, b], [-a, 0, b]])
        foot = self.place(corners)[:, [0, 2]]
        if not any(weather.sun):
            return foot
        east, up, north = weather.towards_sun
        reach = -self.height / max(up, 0.15) * np.array([east, north])
        swept = np.concatenate([foot, foot + reach]).astype(np.float32)
        return cv2.convexHull(swept)[:, 0]


def draw_street(rng: Rng) -> Street:
    lanes = int(rng.choice([2, 2, 2, 4]))
    parking = (bool(rng.random() < 0.45), bool(rng.random() < 0.45))
    half = {2: 3.6, 4: 6.4}[lanes] * rng.uniform(0.92, 1.15)
    return Street(
        half_width=half + 1.0 * (any(parking) and lanes < 4),
        pavement=rng.uniform(2.6, 4.8),
        front=float(rng.choice([0.0, 0.0, 2.5, 4.5])),
        lanes=lanes,
        crossing=rng.uniform(7, 13) if rng.random() < 0.4 else None,
        parking=parking,
    )


def furnish(rng: Rng, street: Street) -> Iterator[Thing]:
    """All that stands in the street."""
    for side in (-1, 1):
        yield from _build_up(rng, street, side)
        yield from _plant_alley(rng, street, side)
        yield from _raise_poles(rng, street, side)
        yield from _walk(rng, street, side)
        if street.parking[side > 0]:
            yield from _park(rng, street, side)
    for x in range(-75, 75, 5):  # a wooded ridge across the end
        yield _tree(x, _END + 5, rng.uniform(12, 18))
    yield from _drive(rng, street)
    if street.crossing is not None:
        for _ in range(rng.integers(0, 4)):
            place = rng.uniform(-0.8, 0.9) * street.half_width
            yield _person(rng, place, street.crossing + rng.uniform(0.5, 2.5))


def _build_up(rng: Rng, street: Street, side: int) -> Iterator[Thing]:
    """Houses, and gaps with trees between them."""
    usual, start = rng.uniform(7, 16), rng.uniform(-8, 0)
    while start < _END:
        length = rng.uniform(7, 15)
        middle, line = start + length / 2, street.house_line
        if rng.random() < 0.8:
            height, depth = usual * rng.uniform(0.75, 1.3), rng.uniform(8, 12)
            yield Thing(
                kind="house", x=side * (line + depth / 2), z=middle, width=depth,
                length=length, height=float(np.clip(height, 5.5, 22)),
            )  # fmt: skip
        else:
            for z in max(start, 6) + rng.uniform(0, length, 3):
                away = rng.uniform(1.5, 7)
                yield _tree(side * (line + away), z, rng.uniform(5, 11))
        start += length


def _plant_alley(rng: Rng, street: Street, side: int) -> Iterator[Thing]:
    """A row of trees along the kerb, or none."""
    spacing, size = rng.uniform(7, 13), rng.uniform(4.5, 8)
    if rng.random() < 0.6:
        for z in np.arange(rng.uniform(5, 5 + spacing), _ALLEY_END, spacing):
            x = side * (street.half_width + 0.75)
            yield _tree(x, z, size * rng.uniform(0.85, 1.2))


def _raise_poles(rng: Rng, street: Street, side: int) -> Iterator[Thing]:
    x = side * (street.half_width + 0.55)
    for near, far in ((0.3, 2), (3, 5.5), (6.5, 9)):
        if rng.random() < 0.72:
            kind = str(rng.choice(list(_POLES), p=[0.35, 0.45, 0.2]))
            z, height = (
                _in_view(street, x) + rng.uniform(near, far),
                rng.uniform(*_POLES[kind]),
            )
            yield Thing(kind=kind, x=x, z=z, width=0.2, length=0.2, height=height)


def _park(rng: Rng, street: Street, side: int) -> Iterator[Thing]:
    for z in np.arange(rng.uniform(3, 9), _PARKED_END, rng.uniform(5.8, 7.5)):
        free = street.crossing is None or not -4 < z - street.crossing < 6
        if free and rng.random() < 0.68:
            kind = str(rng.choice(["hatchback", "saloon", "van"], p=[0.4, 0.4, 0.2]))
            turned = side < 0 and rng.random() < 0.75
            yield _vehicle(rng, kind, side * (street.half_width - 1.05), z, turned)


def _drive(rng: Rng, street: Street) -> Iterator[Thing]:
    """Traffic in every lane; on the left it comes towards the camera."""
    for lane in range(street.lanes):
        x = street.lane_middle(lane)
        z = rng.uniform(8, 26) if x < 0 else rng.uniform(10.5, 28)
        while z < _ALLEY_END:
            if rng.random() < 0.62:
                kind = str(rng.choice(list(VEHICLES), p=[0.4, 0.36, 0.16, 0.08]))
                z += 4.0 * (kind == "bus")
                yield _vehicle(rng, kind, x + rng.normal(0, 0.15), z, x < 0)
            z += rng.uniform(10, 24)


def _walk(rng: Rng, street: Street, side: int) -> Iterator[Thing]:
    """Pedestrians where the camera sees them, and not so far that they are too thin."""
    for _ in range(rng.integers(3, 7)):
        x = side * (street.half_width + rng.uniform(0.6, 2.4))
        yield _person(rng, x, _in_view(street, x) + rng.uniform(0, 5.5))


def _tree(x: float, z: float, height: float) -> Thing:
    return Thing(
        kind="tree", x=x, z=z, width=height * 0.4, length=height * 0.4, height=height,
    )  # fmt: skip


def _person(rng: Rng, x: float, z: float) -> Thing:
    height = rng.uniform(1.5, 1.9) if rng.random() < 0.85 else rng.uniform(1.1, 1.35)
    return Thing(kind="person", x=x, z=z, width=0.4, length=0.4, height=height)


def _vehicle(rng: Rng, kind: str, x: float, z: float, turned: bool) -> Thing:
    width, length, height = VEHICLES[kind]
    return Thing(
        kind=kind, x=x, z=z, width=width, length=length, height=height,
        heading=rng.normal(0, 0.03) + np.pi * turned,
    )  # fmt: skip


def _in_view(street: Street, x: float) -> float:
    """The distance from which on the camera sees this far to the side."""
    return max(4.0, abs(x - street.lane_middle(street.lanes // 2)) / _VIEW)
