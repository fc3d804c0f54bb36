"""What stands where: one street, laid out at random and painted."""

from dataclasses import dataclass, field

import cv2
import numpy as np

from seglib.data.scenes.buildings import House, draw_house, paint_house
from seglib.data.scenes.camera import Camera
from seglib.data.scenes.canvas import IGNORED, OVERSAMPLING, Canvas
from seglib.data.scenes.furniture import paint_lamp, paint_sign, paint_traffic_light
from seglib.data.scenes.ground import Street, paint_ground, paint_sky
from seglib.data.scenes.people import paint_person
from seglib.data.scenes.picture import develop
from seglib.data.scenes.plants import paint_hedge, paint_tree
from seglib.data.scenes.vehicles import Vehicle, paint_vehicle
from seglib.data.scenes.weather import Weather, draw_weather

_END = 95.0  # metres; the houses end there
_PEOPLE_END, _POLES_END = 19.0, 20.0  # farther ones would be thinner than 3 pixels


@dataclass
class _Plan:
    """Everything that stands in the street: kind-specific arguments and shadows."""

    houses: list[House] = field(default_factory=list)
    vehicles: list[Vehicle] = field(default_factory=list)
    people: list[tuple[float, float]] = field(default_factory=list)
    trees: list[tuple[float, float, float, str]] = field(default_factory=list)
    hedges: list[tuple[float, float, float, float]] = field(default_factory=list)
    poles: list[tuple[str, float, float]] = field(default_factory=list)


def render(
    rng: np.random.Generator, *, height: int, width: int, classes: dict[str, int]
) -> tuple[np.ndarray, np.ndarray]:
    """One scene: image uint8 (H, W, 3) and mask uint8 (H, W) with `classes`' ids."""
    looks, layout, paint, film = rng.spawn(4)
    weather = draw_weather(looks)
    street = _draw_street(layout)
    camera = _draw_camera(layout, street, height=height, width=width)
    plan = _draw_plan(layout, street)
    canvas = Canvas(camera)
    paint_sky(canvas, weather, paint)
    canvas.classes[:] = classes["sky"]
    canvas.objects[:] = classes["sky"]
    shadows = _shadows(plan, weather)
    paint_ground(canvas, weather, street, shadows, paint, classes=classes)
    _paint_plan(canvas, weather, plan, paint, classes)
    if looks.random() < 0.7:
        _paint_bonnet(canvas, weather, looks)
    image = develop(canvas, weather, film, wet_class=classes["road"])
    return image, canvas.mask()


def _draw_street(rng: np.random.Generator) -> Street:
    lanes = int(rng.choice([1, 2, 2, 2, 4]))
    half = {1: 2.6, 2: 3.6, 4: 6.4}[lanes] * rng.uniform(0.92, 1.15)
    parking = tuple(bool(flag) for flag in rng.random(2) < 0.6)
    half += 1.0 * any(parking) * (lanes < 4)
    return Street(
        half_width=half,
        pavement=rng.uniform(2.2, 4.2),
        front=float(rng.choice([0.0, 0.0, 2.5, 4.5])),
        bend=rng.choice([0.0, 1.0]) * rng.uniform(-0.0045, 0.0045),
        lanes=lanes,
        crossing=rng.uniform(7, 16) if rng.random() < 0.4 else None,
        cobbled=bool(lanes < 4 and rng.random() < 0.18),
        cycle_lane=bool(lanes == 2 and not any(parking) and rng.random() < 0.6),
        parking=parking,  # type: ignore[arg-type]
    )


def _draw_camera(
    rng: np.random.Generator, street: Street, *, height: int, width: int
) -> Camera:
    lane = 2 * street.half_width / street.lanes
    place = lane / 2 if street.lanes > 1 else 0.0
    return Camera(
        height=height * OVERSAMPLING,
        width=width * OVERSAMPLING,
        focal=rng.uniform(0.78, 1.0) * width * OVERSAMPLING,
        position=(float(place + rng.normal(0, 0.4)), rng.uniform(1.45, 2.3), 0.0),
        yaw=rng.normal(0, 0.07) + street.bend * 14,
        pitch=rng.uniform(-0.03, 0.06),
        roll=rng.normal(0, 0.012),
    )


def _draw_plan(rng: np.random.Generator, street: Street) -> _Plan:
    plan = _Plan()
    for side in (-1, 1):
        _plan_houses(plan, rng, street, side)
        _plan_kerb(plan, rng, street, side)
        _plan_people(plan, rng, street, side)
    _plan_traffic(plan, rng, street)
    if street.crossing is not None and rng.random() < 0.7:
        z = street.crossing + rng.uniform(0.5, 2.5)
        for _ in range(rng.integers(1, 3)):
            plan.people.append(
                (street.middle(z) + rng.uniform(-0.8, 0.9) * street.half_width, z)
            )
    return plan


def _plan_houses(
    plan: _Plan, rng: np.random.Generator, street: Street, side: int
) -> None:
    usual = rng.uniform(7, 16)
    z = rng.uniform(-8, 0)
    while z < _END:
        if rng.random() < 0.2:  # a gap with trees, sometimes behind a hedge
            gap = rng.uniform(4, 11)
            x = side * (street.house_line() + 0.5)
            if rng.random() < 0.6:
                plan.hedges.append(
                    (x + street.middle(z + gap / 2), z, z + gap, rng.uniform(1.1, 2.0))
                )
            for _ in range(rng.integers(1, 3)):
                away, along = rng.uniform(2.5, 7), rng.uniform(1, gap)
                habit = str(
                    rng.choice(["round", "tall", "conifer"], p=[0.6, 0.15, 0.25])
                )
                plan.trees.append(
                    (
                        x + side * away + street.middle(z),
                        z + along,
                        rng.uniform(5, 11),
                        habit,
                    )
                )
            z += gap
            continue
        length = rng.uniform(7, 15)
        ends = np.array([z, z + length])
        x = side * street.house_line() + street.middle(ends)
        height = float(np.clip(usual * rng.uniform(0.75, 1.3), 5.5, 22))
        plan.houses.append(
            draw_house(
                rng, corners=np.column_stack([x, ends]), side=side, height=height
            )
        )
        z += length


def _plan_kerb(
    plan: _Plan, rng: np.random.Generator, street: Street, side: int
) -> None:
    """Trees, poles and parked cars along the kerb."""
    line = street.half_width + 0.55
    alley = rng.random() < 0.6
    spacing = rng.uniform(7, 13)
    habit = str(rng.choice(["round", "tall", "conifer"], p=[0.72, 0.2, 0.08]))
    size = rng.uniform(4.5, 8)
    z = rng.uniform(3, 3 + spacing)
    while z < 70:
        if alley and rng.random() < 0.85:
            plan.trees.append(
                (
                    side * (line + 0.2) + street.middle(z),
                    z,
                    size * rng.uniform(0.85, 1.2),
                    habit,
                )
            )
        z += spacing
    for z in (rng.uniform(4, 8), rng.uniform(8, 13), rng.uniform(13, _POLES_END)):
        if rng.random() < 0.62:
            kind = str(rng.choice(["lamp", "sign", "light"], p=[0.4, 0.45, 0.15]))
            plan.poles.append((kind, side * line + street.middle(z), z))
    if street.parking[side > 0]:
        _plan_parked(plan, rng, street, side)


def _plan_parked(
    plan: _Plan, rng: np.random.Generator, street: Street, side: int
) -> None:
    z = rng.uniform(3, 9)
    while z < 65:
        if street.crossing is not None and -4 < z - street.crossing < 6:
            z += 2
            continue
        if rng.random() < 0.68:
            kind = _draw_kind(rng)
            heading = rng.normal(0, 0.02) + 2 * street.bend * z
            if side < 0 and rng.random() < 0.75:
                heading += np.pi
            x = side * (street.half_width - 1.05) + street.middle(z)
            plan.vehicles.append(Vehicle(x=float(x), z=z, heading=heading, kind=kind))
        z += rng.uniform(5.8, 7.5)


def _plan_traffic(plan: _Plan, rng: np.random.Generator, street: Street) -> None:
    for lane in range(street.lanes):
        wide = 2 * street.half_width / street.lanes
        across = -street.half_width + (lane + 0.5) * wide
        if any(street.parking) and street.lanes == 2:
            across *= 0.62
        oncoming = across < -0.1 and street.lanes > 1
        z = rng.uniform(7, 26) + (4 if not oncoming else 0)
        while z < 70:
            if rng.random() < 0.62:
                x = across + rng.normal(0, 0.15) + street.middle(z)
                heading = rng.normal(0, 0.03) + 2 * street.bend * z + np.pi * oncoming
                plan.vehicles.append(
                    Vehicle(
                        x=float(x), z=z, heading=float(heading), kind=_draw_kind(rng)
                    )
                )
            z += rng.uniform(9, 24)


def _draw_kind(rng: np.random.Generator) -> str:
    return str(
        rng.choice(["hatchback", "saloon", "estate", "van"], p=[0.36, 0.26, 0.22, 0.16])
    )


def _plan_people(
    plan: _Plan, rng: np.random.Generator, street: Street, side: int
) -> None:
    for _ in range(rng.integers(1, 5)):
        z = rng.uniform(4.5, _PEOPLE_END)
        away = street.half_width + rng.uniform(0.9, street.pavement - 0.4)
        plan.people.append((side * away + float(street.middle(z)), z))
        if rng.random() < 0.3:
            plan.people.append((side * (away + 0.6) + float(street.middle(z)), z + 0.3))


def _shadows(plan: _Plan, weather: Weather) -> list[tuple[np.ndarray, float]]:
    """Ground polygons of what the sun, or in its absence the sky, does not reach."""
    shadows = [(vehicle.footprint() * 1.0, 0.95) for vehicle in plan.vehicles]
    shadows += [(_disc(x, z, 0.3), 0.6) for x, z in plan.people]
    if not any(weather.sun):
        return shadows
    sun = weather.towards_sun
    reach = -sun[[0, 2]] / max(sun[1], 0.15)  # metres a metre of height
    for house in plan.houses:
        shadows.append(
            (_cast(house.footprint(), (house.height + house.roof / 2) * reach), 1.0)
        )
    for vehicle in plan.vehicles:
        shadows.append(
            (_cast(vehicle.footprint(), vehicle.shape.height * 0.85 * reach), 1.0)
        )
    for x, z in plan.people:
        shadows.append((_cast(_disc(x, z, 0.17), 1.65 * reach), 1.0))
    for _, x, z in plan.poles:
        shadows.append((_cast(_disc(x, z, 0.09), 4.5 * reach), 1.0))
    for x, z, height, _ in plan.trees:
        shadows.append((_cast(_disc(x, z, 0.15), height * 0.5 * reach), 1.0))
        crown = _disc(x, z, height * 0.27) + 0.62 * height * reach
        shadows.append((crown, 0.9))
    return shadows


def _disc(x: float, z: float, radius: float) -> np.ndarray:
    turn = np.linspace(0, 2 * np.pi, 14, endpoint=False)
    return np.column_stack([x + radius * np.cos(turn), z + radius * np.sin(turn)])


def _cast(footprint: np.ndarray, offset: np.ndarray) -> np.ndarray:
    both = np.concatenate([footprint, footprint + offset]).astype(np.float32)
    return cv2.convexHull(both)[:, 0]


def _paint_plan(
    canvas: Canvas,
    weather: Weather,
    plan: _Plan,
    rng: np.random.Generator,
    classes: dict[str, int],
) -> None:
    _paint_backdrop(canvas, weather, rng, classes)
    for house in sorted(plan.houses, key=lambda house: -house.corners[0, 1]):
        canvas.begin(classes["building"], separate=False)
        paint_house(canvas, weather, house, rng)
    for x, start, end, height in plan.hedges:
        canvas.begin(classes["vegetation"], separate=False)
        paint_hedge(canvas, weather, rng, x=x, start=start, end=end, height=height)
    for x, z, height, habit in sorted(plan.trees, key=lambda tree: -tree[1]):
        if z > 2.5:
            canvas.begin(classes["vegetation"], separate=False)
            paint_tree(canvas, weather, rng, x=x, z=z, height=height, habit=habit)
    for vehicle in sorted(plan.vehicles, key=lambda vehicle: -vehicle.z):
        canvas.begin(classes["vehicle"])
        paint_vehicle(canvas, weather, vehicle, rng)
    for kind, x, z in sorted(plan.poles, key=lambda pole: -pole[2]):
        canvas.begin(classes["pole"])
        if kind == "lamp":
            paint_lamp(canvas, weather, rng, x=x, z=z, height=rng.uniform(4.2, 5.6))
        elif kind == "sign":
            paint_sign(canvas, weather, rng, x=x, z=z)
        else:
            paint_traffic_light(canvas, weather, rng, x=x, z=z)
    for x, z in sorted(plan.people, key=lambda person: -person[1]):
        canvas.begin(classes["pedestrian"])
        paint_person(canvas, weather, rng, x=x, z=z)


def _paint_backdrop(
    canvas: Canvas, weather: Weather, rng: np.random.Generator, classes: dict[str, int]
) -> None:
    """Hills of trees or a skyline at the end of the street."""
    z, reach = 130.0, 150.0
    wooded = rng.random() < 0.6
    canvas.begin(classes["vegetation"], separate=False)
    x = np.linspace(-reach, reach, 90)
    waves = sum(
        np.sin(x / length + rng.uniform(0, 6)) * size
        for length, size in ((40, 3.5), (11, 1.4), (3.5, 0.8))
    )
    top = (11 if wooded else 4.5) + waves
    leaf = np.array((84, 108, 66))
    for left in range(len(x) - 1):
        quad = np.array(
            [(x[left], top[left], z), (x[left + 1], top[left + 1], z),
             (x[left + 1], -1, z), (x[left], -1, z)]
        )  # fmt: skip
        canvas.face(
            quad, leaf * rng.uniform(0.9, 1.1), shade=weather.shade((0, 0.5, -0.86))
        )
    if wooded:
        return
    canvas.begin(classes["building"], separate=False)
    x = -reach
    while x < reach:
        width, height = rng.uniform(9, 20), rng.uniform(8, 26)
        quad = np.array(
            [
                (x, height, z - 3),
                (x + width, height, z - 3),
                (x + width, 0, z - 3),
                (x, 0, z - 3),
            ]
        )
        texture = np.empty((40, 40, 3), np.float32)
        texture[:] = rng.uniform(120, 190) * np.array((1.02, 1.0, 0.97))
        texture[4::6, :] *= 0.8
        texture[:, 3::5] *= 0.85
        canvas.face(quad, texture, shade=weather.shade((0.0, 0.0, -1.0)))
        x += width * rng.uniform(0.9, 1.5)


def _paint_bonnet(canvas: Canvas, weather: Weather, rng: np.random.Generator) -> None:
    """The camera's own car along the lower rim: void, as in real recordings."""
    height, width = canvas.classes.shape
    rise = rng.uniform(0.03, 0.085) * height
    middle = width * rng.uniform(0.42, 0.58)
    x = np.arange(width)
    edge = height - rise * (1 - np.abs((x - middle) / (0.62 * width)) ** 2.6)
    rows = np.arange(height)[:, None]
    inside = rows >= edge[None]
    paint = np.array(((36, 38, 42), (150, 30, 32), (206, 208, 210), (44, 66, 110)))[
        rng.integers(4)
    ]
    gloss = np.exp(-np.square((rows - edge[None] - 9) / 8))[..., None]
    colour = paint * weather.shade((0.0, 0.9, 0.4)) * 0.9
    colour = colour * (1 - 0.35 * gloss) + np.array(weather.horizon) * 0.35 * gloss
    canvas.colour[inside] = colour[inside]
    canvas.classes[inside] = IGNORED
    canvas.objects[inside] = IGNORED
    canvas.nearness[inside] = 1.0
