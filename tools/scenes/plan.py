"""The plan of a street: its cross-section, and what stands where."""

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from tools.scenes.weather import Weather

VEHICLES = ("hatchback", "saloon", "van", "bus")
_POLES = ("lamp", "sign", "light")
_SIZES = {  # width, length, least and greatest height in metres
    "hatchback": (1.76, 4.0, 1.5, 1.5),
    "saloon": (1.84, 4.7, 1.44, 1.44),
    "van": (2.0, 5.2, 2.25, 2.25),
    "bus": (2.5, 9.6, 3.05, 3.05),
    "lamp": (0.2, 0.2, 4.2, 5.6),
    "sign": (0.2, 0.2, 2.4, 3.3),
    "light": (0.2, 0.2, 3.7, 3.7),
    "person": (0.4, 0.4, 1.25, 1.9),
    "tree": (2.6, 2.6, 5.0, 9.0),
}
_END, _TRAFFIC_END = 125.0, 70.0  # metres
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


@dataclass(frozen=True)
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
    """A street of random width and markings."""
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
        yield from _line_pavement(rng, street, side)
        if street.parking[side > 0]:
            yield from _park(rng, street, side)
    yield from _drive(rng, street)
    if street.crossing is not None:
        for _ in range(rng.integers(0, 4)):
            place = rng.uniform(-0.8, 0.9) * street.half_width
            yield _thing(rng, "person", place, street.crossing + rng.uniform(0.5, 2.5))
    for x in range(-75, 75, 5):  # a wooded ridge across the end
        yield _thing(rng, "tree", x, _END + 5, size=2)


def _build_up(rng: Rng, street: Street, side: int) -> Iterator[Thing]:
    """Houses, and gaps with trees between them."""
    usual, start = rng.uniform(7, 16), rng.uniform(-8, 0)
    line = street.half_width + street.pavement + street.front
    while start < _END:
        length, depth = rng.uniform(7, 15), rng.uniform(8, 12)
        if rng.random() < 0.8:
            height = float(np.clip(usual * rng.uniform(0.75, 1.3), 5.5, 22))
            x, z = side * (line + depth / 2), start + length / 2
            yield Thing("house", x, z, width=depth, length=length, height=height)
        else:
            for z in max(start, 6) + rng.uniform(0, length, 3):
                yield _thing(rng, "tree", side * (line + rng.uniform(1.5, 7)), z)
        start += length


def _line_pavement(rng: Rng, street: Street, side: int) -> Iterator[Thing]:
    """A row of trees or none; poles and walkers where the camera sees them well."""
    if rng.random() < 0.6:
        spacing, size = rng.uniform(7, 13), rng.uniform(0.7, 1.1)
        for z in np.arange(rng.uniform(5, 5 + spacing), _TRAFFIC_END, spacing):
            yield _thing(rng, "tree", side * (street.half_width + 0.75), z, size=size)
    for near, far in ((0.3, 2), (3, 5.5), (6.5, 9)):
        if rng.random() < 0.72:
            kind = str(rng.choice(_POLES, p=[0.35, 0.45, 0.2]))
            x = side * (street.half_width + 0.55)
            yield _thing(rng, kind, x, _in_view(street, x) + rng.uniform(near, far))
    for _ in range(rng.integers(3, 7)):
        x = side * (street.half_width + rng.uniform(0.6, 2.4))
        yield _thing(rng, "person", x, _in_view(street, x) + rng.uniform(0, 5.5))


def _park(rng: Rng, street: Street, side: int) -> Iterator[Thing]:
    for z in np.arange(rng.uniform(3, 9), _TRAFFIC_END, rng.uniform(5.8, 7.5)):
        free = street.crossing is None or not -4 < z - street.crossing < 6
        if free and rng.random() < 0.68:
            kind = str(rng.choice(VEHICLES[:3], p=[0.4, 0.4, 0.2]))
            turned = side < 0 and rng.random() < 0.75
            yield _thing(rng, kind, side * (street.half_width - 1.05), z, turned=turned)


def _drive(rng: Rng, street: Street) -> Iterator[Thing]:
    """Traffic in every lane; on the left it comes towards the camera."""
    for lane in range(street.lanes):
        x = street.lane_middle(lane)
        z = rng.uniform(8, 26) if x < 0 else rng.uniform(10.5, 28)
        while z < _TRAFFIC_END:
            if rng.random() < 0.62:
                kind = str(rng.choice(VEHICLES, p=[0.4, 0.36, 0.16, 0.08]))
                z += 4.0 * (kind == "bus")
                place = x + rng.normal(0, 0.15)
                yield _thing(rng, kind, place, z, turned=x < 0)
            z += rng.uniform(10, 24)


def _thing(
    rng: Rng, kind: str, x: float, z: float, *, size: float = 1, turned: bool = False
) -> Thing:
    width, length, least, greatest = (size * metres for metres in _SIZES[kind])
    heading = rng.normal(0, 0.03) + np.pi * turned
    return Thing(kind, x, z, width, length, rng.uniform(least, greatest), heading)


def _in_view(street: Street, x: float) -> float:
    """The distance from which on the camera sees this far to the side."""
    return max(4.0, abs(x - street.lane_middle(street.lanes // 2)) / _VIEW)
