"""From canvas to photograph: haze, lamps, wet roads, rain, lens and sensor."""

import cv2
import numpy as np

from tools.scenes import noise
from tools.scenes.canvas import OVERSAMPLING, Canvas
from tools.scenes.weather import Weather


def develop(canvas: Canvas, weather: Weather, rng: np.random.Generator) -> np.ndarray:
    """The photograph, uint8 (H, W, 3) RGB at the final size."""
    _add_haze(canvas, weather)
    _add_glows(canvas)
    if weather.rain:
        _add_rain(canvas, weather, rng)
    size = (canvas.camera.width // OVERSAMPLING, canvas.camera.height // OVERSAMPLING)
    picture = cv2.resize(canvas.colour, size, interpolation=cv2.INTER_AREA)
    return _expose(picture, weather, rng)


def mirror_road(
    canvas: Canvas,
    mirror: Canvas,
    weather: Weather,
    rng: np.random.Generator,
    *,
    road: int,
) -> None:
    """Blend what the mirrored camera saw into a wet road, more so in the distance."""
    height, width = canvas.classes.shape
    _add_haze(mirror, weather)
    _add_glows(mirror, strength=1.5)
    columns, rows = np.meshgrid(
        np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)
    )
    depth = 1 / np.maximum(canvas.nearness, 1e-2)
    ripple = noise.patch(rng, height, width, grain=7) * (1 + 20 / depth)
    ripple = ripple.astype(np.float32)
    reflection = cv2.remap(
        mirror.colour,
        columns + ripple,
        rows + 2 * ripple,
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    reflection = cv2.blur(reflection, (5, 35))
    wet = canvas.classes == road
    grazing = 0.35 + 0.65 * (depth / 18).clip(0, 1)
    puddles = (0.65 + 0.55 * noise.patch(rng, height, width, grain=80)).clip(0.25, 1)
    share = np.where(wet, weather.wetness * grazing * puddles, 0)[..., None]
    canvas.colour[:] = canvas.colour * (1 - share) + reflection * share


def _add_haze(canvas: Canvas, weather: Weather) -> None:
    depth = 1 / np.maximum(canvas.nearness, 1e-3)
    clear = np.exp(-depth / weather.visibility)
    clear = np.where(canvas.nearness > 0, clear, 1)[..., None]
    canvas.colour[:] = canvas.colour * clear + np.array(weather.horizon) * (1 - clear)


def _add_glows(canvas: Canvas, *, strength: float = 1.0) -> None:
    height, width = canvas.classes.shape
    for point, radius, colour in canvas.glows:
        column, row, depth = canvas.camera.locate(point)
        reach = canvas.camera.focal * radius / max(depth, 1.0)
        if depth < 1 or not (0 <= column < width and 0 <= row < height):
            continue
        if canvas.nearness[int(row), int(column)] * depth > 1.3:
            continue  # something stands in front of it
        top, bottom = (
            max(0, int(row - 3 * reach)),
            min(height, int(row + 3 * reach) + 1),
        )
        left, right = (
            max(0, int(column - 3 * reach)),
            min(width, int(column + 3 * reach) + 1),
        )
        y, x = np.ogrid[top:bottom, left:right]
        distance = ((x - column) ** 2 + (y - row) ** 2) / reach**2
        halo = 0.55 * np.exp(-distance * 2.2) + 0.9 * np.exp(-distance * 30)
        window = canvas.colour[top:bottom, left:right]
        window += strength * halo[..., None] * colour * (1 - window.clip(0, 255) / 290)


def _add_rain(canvas: Canvas, weather: Weather, rng: np.random.Generator) -> None:
    height, width = canvas.classes.shape
    streaks = np.zeros((height, width), np.float32)
    slant = rng.uniform(-0.2, 0.2)
    for _ in range(int(260 * weather.rain)):
        x, y = int(rng.uniform(0, width)), int(rng.uniform(-40, height))
        length = rng.uniform(20, 60)
        end = (int(x + slant * length), int(y + length))
        cv2.line(streaks, (x, y), end, float(rng.uniform(0.08, 0.3)), 2)
    streaks = cv2.GaussianBlur(streaks, (0, 0), 1.2)[..., None]
    canvas.colour[:] = canvas.colour * (1 - streaks) + 225 * streaks


def _expose(
    picture: np.ndarray, weather: Weather, rng: np.random.Generator
) -> np.ndarray:
    height, width = picture.shape[:2]
    y, x = np.ogrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    vignette = 1 - rng.uniform(0.04, 0.14) * (x**2 + y**2)
    balance = rng.uniform(0.96, 1.04, 3)
    gain = rng.uniform(0.92, 1.1)
    light = (picture * vignette[..., None] * balance * gain / 255).clip(0, None)
    light = np.where(light > 0.85, 0.85 + 0.15 * np.tanh((light - 0.85) / 0.15), light)
    contrast = rng.uniform(0.95, 1.1)
    light = (light - 0.45) * contrast + 0.45
    blur = rng.uniform(0.0, 0.55)
    if blur > 0.25:
        light = cv2.GaussianBlur(light, (0, 0), blur)
    grain = rng.standard_normal((height, width, 1)) + 0.5 * rng.standard_normal(
        (height, width, 3)
    )
    strength = weather.noise * rng.uniform(0.6, 1.3) / 255
    light = light + grain * strength * (0.6 + 0.6 * np.sqrt(light.clip(0, 1)))
    return (light * 255).clip(0, 255).round().astype(np.uint8)
