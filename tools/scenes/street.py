"""One scene from seed to picture: the camera, and everything painted in its order."""

import copy
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from tools.scenes.bodywork import paint_vehicle
from tools.scenes.brush import Brush
from tools.scenes.camera import Camera
from tools.scenes.canvas import IGNORED, OVERSAMPLING, Canvas
from tools.scenes.furniture import paint_lamp, paint_sign, paint_traffic_light
from tools.scenes.ground import Street, paint_ground, paint_sky
from tools.scenes.houses import paint_house, paint_skyline
from tools.scenes.people import paint_person
from tools.scenes.picture import develop, mirror_road
from tools.scenes.plants import paint_hedge, paint_hills, paint_tree
from tools.scenes.street_plan import StreetPlan, draw_plan, draw_street
from tools.scenes.weather import Weather, draw_weather

_BACKDROP, _NEAREST_TREE = 130.0, 4.5  # metres
_BONNETS = ((36, 38, 42), (150, 30, 32), (206, 208, 210), (44, 66, 110))


def render(
    rng: np.random.Generator, *, height: int, width: int, classes: Mapping[str, int]
) -> tuple[np.ndarray, np.ndarray]:
    """One scene: image uint8 (H, W, 3) and mask uint8 (H, W) with `classes`' ids."""
    looks, layout, ground, things, film = rng.spawn(5)
    weather = draw_weather(looks)
    street = draw_street(layout)
    camera = _draw_camera(layout, street, height=height, width=width)
    plan = draw_plan(layout, street)
    canvas = Canvas(camera)
    mirror = Canvas(replace(camera, mirrored=True)) if weather.wetness else None

    canvas.begin(classes["sky"], separate=False)
    paint_sky(canvas, weather, copy.deepcopy(ground))
    if mirror is not None:
        mirror.begin(classes["sky"], separate=False)
        paint_sky(mirror, weather, copy.deepcopy(ground))
        _paint_things(mirror, weather, plan, copy.deepcopy(things), classes)
    paint_ground(
        canvas,
        weather,
        street,
        ground,
        shadows=plan.shadows(weather),
        lamps=plan.lamps(),
        classes=classes,
    )
    if mirror is not None:
        mirror_road(canvas, mirror, weather, film, road=classes["road"])
    _paint_things(canvas, weather, plan, things, classes)
    if looks.random() < 0.7:
        _paint_bonnet(canvas, weather, looks)
    return develop(canvas, weather, film), canvas.mask(weather.visibility)


def _draw_camera(
    rng: np.random.Generator, street: Street, *, height: int, width: int
) -> Camera:
    """Behind the windscreen of a car that keeps to the right."""
    lane = street.lane_middle(street.lanes // 2) if street.lanes > 1 else 0.0
    return Camera(
        height=height * OVERSAMPLING,
        width=width * OVERSAMPLING,
        focal=rng.uniform(0.78, 1.0) * width * OVERSAMPLING,
        position=(lane + rng.normal(0, 0.4), rng.uniform(1.45, 2.3), 0.0),
        yaw=rng.normal(0, 0.07) + street.bend * 14,
        pitch=rng.uniform(-0.03, 0.06),
        roll=rng.normal(0, 0.012),
    )


def _paint_things(
    canvas: Canvas,
    weather: Weather,
    plan: StreetPlan,
    rng: np.random.Generator,
    classes: Mapping[str, int],
) -> None:
    """All that stands on the ground, from the far end to the near one."""
    brush = Brush(canvas, weather, rng)
    canvas.begin(classes["vegetation"], separate=False)
    wooded = rng.random() < 0.6
    paint_hills(brush, z=_BACKDROP, rise=11.0 if wooded else 4.5)
    canvas.begin(classes["building"], separate=False)
    if not wooded:
        paint_skyline(brush, z=_BACKDROP - 3)
    for house in sorted(plan.houses, key=lambda house: -house.corners[0, 1]):
        paint_house(brush, house)
    canvas.begin(classes["vegetation"], separate=False)
    for hedge in plan.hedges:
        paint_hedge(brush, hedge)
    for tree in sorted(plan.trees, key=lambda tree: -tree.z):
        if tree.z > _NEAREST_TREE:
            paint_tree(brush, tree)
    for vehicle in sorted(plan.vehicles, key=lambda vehicle: -vehicle.z):
        canvas.begin(classes["vehicle"])
        paint_vehicle(brush, vehicle)
    paint_pole = {"lamp": paint_lamp, "sign": paint_sign, "light": paint_traffic_light}
    for pole in sorted(plan.poles, key=lambda pole: -pole.z):
        canvas.begin(classes["pole"])
        paint_pole[pole.kind](brush, pole.x, pole.z)
    for x, z in sorted(plan.people, key=lambda person: -person[1]):
        canvas.begin(classes["pedestrian"])
        paint_person(brush, x, z)


def _paint_bonnet(canvas: Canvas, weather: Weather, rng: np.random.Generator) -> None:
    """The camera's own car along the lower rim: void, as in real recordings."""
    height, width = canvas.classes.shape
    rise = rng.uniform(0.03, 0.085) * height
    middle = width * rng.uniform(0.42, 0.58)
    bow = np.abs((np.arange(width) - middle) / (0.62 * width)) ** 2.6
    rows = np.arange(height - int(rise) - 2, height)[:, None]
    below = rows - (height - rise * (1 - bow))[None]  # pixels under the edge
    inside = below >= 0
    paint = np.array(_BONNETS[rng.integers(len(_BONNETS))])
    gloss = 0.35 * np.exp(-np.square((below - 9) / 8))[..., None]
    colour = paint * weather.shade((0.0, 0.9, 0.4)) * 0.9
    colour = colour * (1 - gloss) + np.array(weather.horizon) * gloss
    canvas.begin(IGNORED)
    canvas.sprite(int(rows[0, 0]), 0, inside, colour, depth=1.0)
