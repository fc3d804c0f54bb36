"""One scene from seed to picture: painting, and the photograph."""

from collections.abc import Callable, Mapping

import cv2
import numpy as np

from tools.scenes.canvas import OVERSAMPLING, Camera, Canvas
from tools.scenes.figures import (
    paint_lamp,
    paint_person,
    paint_sign,
    paint_traffic_light,
    paint_tree,
)
from tools.scenes.ground import paint_ground, paint_sky
from tools.scenes.houses import paint_house
from tools.scenes.plan import VEHICLES, Thing, draw_street, furnish
from tools.scenes.vehicles import paint_vehicle
from tools.scenes.weather import draw_weather

Rng = np.random.Generator
Paint = Callable[[Canvas, Rng, Thing], None]

# kind -> class, whether each one has a contour of its own, painter
_KINDS: dict[str, tuple[str, bool, Paint]] = {
    "house": ("building", False, paint_house),
    "tree": ("vegetation", False, paint_tree),
    **dict.fromkeys(VEHICLES, ("vehicle", True, paint_vehicle)),
    "lamp": ("pole", True, paint_lamp),
    "sign": ("pole", True, paint_sign),
    "light": ("pole", True, paint_traffic_light),
    "person": ("pedestrian", True, paint_person),
}


def render(
    rng: Rng, *, height: int, width: int, classes: Mapping[str, int]
) -> tuple[np.ndarray, np.ndarray]:
    """One scene: image uint8 (H, W, 3) and mask uint8 (H, W) with `classes`' ids."""
    weather, street = draw_weather(rng), draw_street(rng)
    camera = Camera(  # behind the windscreen of a car that keeps to the right
        height=height * OVERSAMPLING,
        width=width * OVERSAMPLING,
        focal=rng.uniform(0.78, 1.0) * width * OVERSAMPLING,
        x=street.lane_middle(street.lanes // 2) + rng.normal(0, 0.4),
        y=rng.uniform(1.45, 2.3),
        yaw=rng.normal(0, 0.08),
        pitch=rng.uniform(-0.03, 0.06),
    )
    canvas = Canvas(camera, weather)
    things = list(furnish(rng, street))
    canvas.begin(classes["sky"])
    paint_sky(canvas, rng)
    shadows = [thing.shadow(weather) for thing in things]
    paint_ground(canvas, street, rng, shadows=shadows, ids=classes)
    for thing in things:
        name, alone, paint = _KINDS[thing.kind]
        canvas.begin(classes[name], alone=alone)
        paint(canvas, rng, thing)
    return _develop(canvas, rng), canvas.mask()


def _develop(canvas: Canvas, rng: Rng) -> np.ndarray:
    """The photograph, uint8 (H, W, 3) RGB: haze, rain, lens and sensor."""
    weather, rows_columns = canvas.weather, canvas.nearness.shape
    depth = 1 / np.maximum(canvas.nearness, 1e-3)
    haze = (canvas.nearness > 0) * (1 - np.exp(-depth / weather.visibility))
    light = canvas.colour * (1 - haze[..., None])
    light += np.array(weather.horizon) * haze[..., None]
    rain, slant = np.zeros(rows_columns, np.float32), rng.uniform(-0.2, 0.2)
    for _ in range(int(260 * weather.rain)):
        row, column = (int(rng.uniform(0, side)) for side in rows_columns)
        long = rng.uniform(20, 60)
        end = (int(column + slant * long), int(row + long))
        cv2.line(rain, (column, row), end, rng.uniform(0.08, 0.3), 2)
    streaks = cv2.GaussianBlur(rain, (0, 0), 1.2)[..., None]
    light = light * (1 - streaks) + 225 * streaks

    height, width = (side // OVERSAMPLING for side in rows_columns)
    light = cv2.resize(light, (width, height), interpolation=cv2.INTER_AREA) / 255
    y, x = np.ogrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    light *= (1 - rng.uniform(0.04, 0.14) * (x**2 + y**2))[..., None]  # vignette
    light *= rng.uniform(0.96, 1.04, 3) * rng.uniform(0.92, 1.1)  # balance, exposure
    light = np.where(light > 0.85, 0.85 + 0.15 * np.tanh((light - 0.85) / 0.15), light)
    grain = 0.5 * rng.standard_normal((height, width, 3))
    grain += rng.standard_normal((height, width, 1))
    light += grain * weather.noise / 255 * (0.6 + 0.6 * np.sqrt(light.clip(0, 1)))
    return (light * 255).clip(0, 255).round().astype(np.uint8)
