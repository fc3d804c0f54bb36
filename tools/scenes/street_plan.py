"""What stands where: a street laid out at random, and the shade that it gives."""

from dataclasses import dataclass, field

import cv2
import numpy as np

from tools.scenes.ground import Street
from tools.scenes.houses import House, draw_house
from tools.scenes.plants import HABITS, Hedge, Tree
from tools.scenes.vehicles import Vehicle, draw_kind
from tools.scenes.weather import Weather

_HOUSES_END, _KERB_END, _PARKED_END = 95.0, 70.0, 65.0  # metres
_VIEW = 0.5  # metres to the side that a picture shows for each metre ahead, at least
_CLEAR_AHEAD = 10.5  # metres to the middle of the next car in one's own lane
Rng = np.random.Generator
_POLE_KINDS = ("lamp", "sign", "light")


@dataclass(frozen=True)
class Pole:
    """A lamp, a sign or a traffic light."""

    kind: str
    x: float
    z: float


@dataclass
class StreetPlan:
    """Everything that stands in the street."""

    houses: list[House] = field(default_factory=list)
    vehicles: list[Vehicle] = field(default_factory=list)
    people: list[tuple[float, float]] = field(default_factory=list)  # x and z
    trees: list[Tree] = field(default_factory=list)
    hedges: list[Hedge] = field(default_factory=list)
    poles: list[Pole] = field(default_factory=list)

    def shadows(self, weather: Weather) -> list[tuple[np.ndarray, float]]:
        """Ground polygons (N, 2) that the sun or the sky does not reach: how dark."""
        shadows = [(vehicle.footprint(), 0.95) for vehicle in self.vehicles]
        shadows += [(_disc(x, z, 0.3), 0.6) for x, z in self.people]
        if not any(weather.sun):
            return shadows
        east, up, north = weather.towards_sun
        reach = -np.array([east, north]) / max(up, 0.15)  # metres a metre of height
        cast = [(h.footprint(), h.height + h.roof / 2) for h in self.houses]
        cast += [(v.footprint(), v.shape.height * 0.85) for v in self.vehicles]
        cast += [(_disc(x, z, 0.17), 1.65) for x, z in self.people]
        cast += [(_disc(pole.x, pole.z, 0.09), 4.5) for pole in self.poles]
        cast += [(_disc(t.x, t.z, 0.15), t.height * 0.5) for t in self.trees]
        shadows += [(_swept(foot, height * reach), 1.0) for foot, height in cast]
        for tree in self.trees:
            crown = _disc(tree.x, tree.z, tree.height * 0.27)
            shadows.append((crown + 0.62 * tree.height * reach, 0.9))
        return shadows

    def lamps(self) -> list[tuple[float, float]]:
        """Where street lamps stand, x and z."""
        return [(pole.x, pole.z) for pole in self.poles if pole.kind == "lamp"]


def draw_street(rng: Rng) -> Street:
    """A street's width, course and markings."""
    lanes = int(rng.choice([1, 2, 2, 2, 4]))
    parking = (bool(rng.random() < 0.45), bool(rng.random() < 0.45))
    half = {1: 2.6, 2: 3.6, 4: 6.4}[lanes] * rng.uniform(0.92, 1.15)
    bent = rng.random() < 0.5
    return Street(
        half_width=half + 1.0 * (any(parking) and lanes < 4),
        pavement=rng.uniform(2.6, 4.8),
        front=float(rng.choice([0.0, 0.0, 2.5, 4.5])),
        bend=rng.uniform(-0.0045, 0.0045) if bent else 0.0,
        lanes=lanes,
        crossing=rng.uniform(7, 13) if rng.random() < 0.4 else None,
        cobbled=bool(lanes < 4 and rng.random() < 0.18),
        cycle_lane=bool(lanes == 2 and not any(parking) and rng.random() < 0.6),
        parking=parking,
    )


def draw_plan(rng: Rng, street: Street) -> StreetPlan:
    """Furnish a street."""
    plan = StreetPlan()
    for side in (-1, 1):
        _build_up(plan, rng, street, side)
        _plant_kerb(plan, rng, street, side)
        _raise_poles(plan, rng, street, side)
        if street.parking[side > 0]:
            _park(plan, rng, street, side)
        _people_pavement(plan, rng, street, side)
    _drive(plan, rng, street)
    if street.crossing is not None and rng.random() < 0.8:
        for _ in range(rng.integers(1, 4)):
            z = street.crossing + rng.uniform(0.5, 2.5)
            x = street.middle(z) + rng.uniform(-0.8, 0.9) * street.half_width
            plan.people.append((x, z))
    return plan


def _build_up(plan: StreetPlan, rng: Rng, street: Street, side: int) -> None:
    """Houses, and gaps with trees between them."""
    usual, line = rng.uniform(7, 16), side * street.house_line()
    z = rng.uniform(-8, 0)
    while z < _HOUSES_END:
        if rng.random() < 0.2:
            gap = rng.uniform(4, 11)
            _plant_gap(plan, rng, street, side, z, z + gap)
            z += gap
            continue
        length = rng.uniform(7, 15)
        ends = (z, z + length)
        corners = np.array([(line + street.middle(end), end) for end in ends])
        height = float(np.clip(usual * rng.uniform(0.75, 1.3), 5.5, 22))
        plan.houses.append(draw_house(rng, corners=corners, side=side, height=height))
        z += length


def _plant_gap(
    plan: StreetPlan, rng: Rng, street: Street, side: int, start: float, end: float
) -> None:
    x = side * (street.house_line() + 0.5) + street.middle((start + end) / 2)
    if rng.random() < 0.6:
        plan.hedges.append(Hedge(x, start, end, rng.uniform(1.1, 2.0)))
    for _ in range(rng.integers(1, 3)):
        away, z = rng.uniform(2.5, 7), rng.uniform(start + 1, end)
        habit = str(rng.choice(HABITS, p=[0.6, 0.15, 0.25]))
        plan.trees.append(Tree(x + side * away, z, rng.uniform(5, 11), habit))


def _plant_kerb(plan: StreetPlan, rng: Rng, street: Street, side: int) -> None:
    """An alley of equal trees, or none."""
    spacing, size = rng.uniform(7, 13), rng.uniform(4.5, 8)
    habit = str(rng.choice(HABITS, p=[0.72, 0.2, 0.08]))
    first = rng.uniform(3, 3 + spacing)
    if rng.random() < 0.4:
        return
    for z in np.arange(first, _KERB_END, spacing):
        if rng.random() < 0.85:
            x = side * (street.half_width + 0.75) + street.middle(z)
            plan.trees.append(Tree(x, z, size * rng.uniform(0.85, 1.2), habit))


def _raise_poles(plan: StreetPlan, rng: Rng, street: Street, side: int) -> None:
    line = side * (street.half_width + 0.55)
    first = _in_view(street, line)
    for near, far in ((0.3, 2), (3, 5.5), (6.5, 9)):
        z = first + rng.uniform(near, far)
        if rng.random() < 0.72:
            kind = str(rng.choice(_POLE_KINDS, p=[0.35, 0.45, 0.2]))
            x = line + street.middle(z)
            plan.poles.append(Pole(kind, x, z))


def _park(plan: StreetPlan, rng: Rng, street: Street, side: int) -> None:
    z = rng.uniform(3, 9)
    while z < _PARKED_END:
        if street.crossing is not None and -4 < z - street.crossing < 6:
            z += 2
            continue
        if rng.random() < 0.68:
            heading = rng.normal(0, 0.02) + 2 * street.bend * z
            if side < 0 and rng.random() < 0.75:
                heading += np.pi
            x = side * (street.half_width - 1.05) + street.middle(z)
            kind = draw_kind(rng, parked=True)
            plan.vehicles.append(Vehicle(x=x, z=z, heading=heading, kind=kind))
        z += rng.uniform(5.8, 7.5)


def _drive(plan: StreetPlan, rng: Rng, street: Street) -> None:
    """Traffic in every lane; on the left it comes towards the camera."""
    for lane in range(street.lanes):
        across = street.lane_middle(lane)
        oncoming = across < -0.1
        z = rng.uniform(7, 26) if oncoming else rng.uniform(_CLEAR_AHEAD, 28)
        while z < _KERB_END:
            if rng.random() < 0.62:
                x = across + rng.normal(0, 0.15) + street.middle(z)
                heading = rng.normal(0, 0.03) + 2 * street.bend * z + np.pi * oncoming
                kind = draw_kind(rng)
                z += 4.0 * (kind == "bus")
                plan.vehicles.append(Vehicle(x=x, z=z, heading=heading, kind=kind))
            z += rng.uniform(10, 24)


def _people_pavement(plan: StreetPlan, rng: Rng, street: Street, side: int) -> None:
    """Walkers where the camera sees them, and not so far that they are too thin."""
    for _ in range(rng.integers(2, 5)):
        x = side * (street.half_width + rng.uniform(0.6, 2.4))
        z = _in_view(street, x) + rng.uniform(0, 5.5)
        plan.people.append((x + street.middle(z), z))
        if rng.random() < 0.35:  # two walk together
            plan.people.append((x + side * 0.6 + street.middle(z), z + 0.3))


def _in_view(street: Street, x: float) -> float:
    """The distance from which on the camera sees this far to the side."""
    viewpoint = street.lane_middle(street.lanes // 2) if street.lanes > 1 else 0.0
    return max(4.0, abs(x - viewpoint) / _VIEW)


def _disc(x: float, z: float, radius: float) -> np.ndarray:
    turn = np.linspace(0, 2 * np.pi, 14, endpoint=False)
    return np.column_stack([x + radius * np.cos(turn), z + radius * np.sin(turn)])


def _swept(footprint: np.ndarray, offset: np.ndarray) -> np.ndarray:
    """What a footprint covers on its way to an offset."""
    both = np.concatenate([footprint, footprint + offset]).astype(np.float32)
    return cv2.convexHull(both)[:, 0]
