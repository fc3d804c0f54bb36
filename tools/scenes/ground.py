"""Sky and ground: everything that reaches to the horizon."""

from collections.abc import Iterable, Mapping

import cv2
import numpy as np

from tools.scenes.canvas import OVERSAMPLING, Canvas
from tools.scenes.plan import Street

_FAR = 160.0  # metres; the ground ends there, behind the backdrop
_TILE = 512  # pixels
_SLABS = ((170, 164, 154), (160, 158, 156), (178, 160, 142), (150, 146, 150))
_GRASS = {"summer": (92, 128, 58), "spring": (104, 140, 62), "autumn": (118, 128, 62)}
_WHITE = np.array([226, 226, 220], np.float32)


def paint_sky(canvas: Canvas, rng: np.random.Generator) -> None:
    """Gradient, clouds and the sun's glow, over the whole canvas."""
    weather, step = canvas.weather, OVERSAMPLING  # the sky is smooth
    rays = canvas.camera.rays[step // 2 :: step, step // 2 :: step]
    unit = rays / np.linalg.norm(rays, axis=2, keepdims=True)
    height = unit[..., 1].clip(0, 1)
    climb = (height / 0.5).clip(0, 1)[..., None] ** 0.65
    sky = np.array(weather.horizon) * (1 - climb) + np.array(weather.zenith) * climb
    scale, drift = 26 / (height + 0.11), rng.uniform(0, _TILE)
    clouds = _noise(rng, roughness=1.7)
    density = _sample(clouds, unit[..., 0] * scale + drift, unit[..., 2] * scale)
    cover = ((density - 1.6 + 2.6 * weather.cloudiness) / 1.1).clip(0, 1)
    cover = 0.85 * (cover * (0.35 + 0.65 * (height / 0.12).clip(0, 1)))[..., None]
    relief = (0.93 + 0.07 * density)[..., None]
    sky = sky * (1 - cover) + np.array(weather.cloud) * relief * cover
    if any(weather.sun):
        near = (unit @ weather.towards_sun).clip(0, 1)[..., None]
        sky = sky + np.array(weather.sun) * (150 * near**90 + 60 * near**10)
    size = (canvas.camera.width, canvas.camera.height)
    canvas.colour[:] = cv2.resize(sky.clip(0, 255).astype(np.float32), size)


def paint_ground(
    canvas: Canvas,
    street: Street,
    rng: np.random.Generator,
    *,
    shadows: Iterable[np.ndarray],
    ids: Mapping[str, int],
) -> None:
    """Road, pavements and verges, with their markings and shadows.

    Args:
        shadows: ground polygons (N, 2) of x and z.
        ids: of the classes road, pavement and vegetation.
    """
    camera, weather = canvas.camera, canvas.weather
    horizon = int((camera.rays[..., 1] < 0).any(axis=1).argmax())
    window = (slice(horizon, None), slice(None))
    rays = camera.rays[window]
    depth = np.float32(-camera.y) / np.minimum(rays[..., 1], np.float32(-1e-4))
    x, z = np.float32(camera.x) + rays[..., 0] * depth, rays[..., 2] * depth
    seen = (rays[..., 1] < -1e-4) & (depth < _FAR)
    ground = _Ground(street, x, z, np.exp(-depth / 22), rng)
    light = weather.shade(np.array((0.0, 1.0, 0.0)))
    shade = np.array(weather.ambient, np.float32) * (1 if any(weather.sun) else 0.65)
    dark = _darkness(canvas, shadows)[window][..., None]
    light = (light * (1 - dark) + shade * dark) * (1 - 0.2 * weather.rain)
    to_side = np.abs(x)
    on_road = to_side < street.half_width
    paved = to_side < street.half_width + street.pavement + (street.front == 0) * _FAR
    road = ground.road()
    if weather.rain:  # it mirrors the sky
        gloss = 0.6 * weather.rain * (depth / 40).clip(0.1, 1)[..., None]
        road = road * (1 - gloss) + np.array(weather.horizon) * gloss
    for name, place, colour in (
        ("road", on_road, road),
        ("pavement", ~on_road & paved, ground.pavement()),
        ("vegetation", ~on_road & ~paved, ground.grass(_GRASS[weather.season])),
    ):
        canvas.begin(ids[name])
        canvas.put(window, seen & place, colour * light, 1 / depth)


class _Ground:
    """The ground under each pixel: its place in metres, and how much detail is seen."""

    def __init__(
        self,
        street: Street,
        x: np.ndarray,
        z: np.ndarray,
        fade: np.ndarray,  # 1 near … 0 far
        rng: np.random.Generator,
    ):
        self._street, self._x, self._z, self._fade, self._rng = street, x, z, fade, rng
        self._wear = _sample(_noise(rng, roughness=1.4), x * 9, z * 9)
        self._grain = _sample(_noise(rng, roughness=0.3), x * 40, z * 40) * fade

    def road(self) -> np.ndarray:
        """Asphalt with wheel tracks, mended patches and white paint."""
        street, x, z = self._street, self._x, self._z
        half, rng = street.half_width, self._rng
        lane = 2 * half / street.lanes
        track = np.abs(np.mod(x + half, lane) - lane / 2)
        grey = 96 + 5 * self._wear + 7 * self._grain
        grey -= 7 * np.exp(-np.square((track - 0.75) / 0.28))
        for _ in range(rng.integers(1, 5)):
            left, near = rng.uniform(-half, half), rng.uniform(3, 30)
            wide, long = rng.uniform(0.4, 1.1), rng.uniform(0.8, 3)
            grey -= 15.0 * ((np.abs(x - left) < wide) & (np.abs(z - near) < long))
        grey -= 14.0 * (np.abs(x) > half - 0.25)  # the gutter
        white = self._markings() * (1 - 0.3 * (self._wear > 0.8)) * 0.95
        tint = np.array([0.99, 1.0, 1.03], np.float32)
        return (
            grey[..., None] * tint * (1 - white[..., None]) + _WHITE * white[..., None]
        )

    def pavement(self) -> np.ndarray:
        """Slabs with joints, and the kerb."""
        rng, x, z = self._rng, self._x, self._z
        size = np.float32(rng.choice([0.5, 0.8, 1.2]))
        tones = rng.uniform(-0.08, 0.08, (64, 64)).astype(np.float32)
        row = np.floor(z / size)
        shifted = x + size / 2 * np.mod(row, 2)
        slab = tones[row.astype(int) % 64, np.floor(shifted / size).astype(int) % 64]
        joint = (np.mod(z, size) < 0.035) | (np.mod(shifted, size) < 0.035)
        light = 1 + 0.035 * self._grain + 0.03 * self._wear
        light += (slab - 0.24 * joint) * self._fade
        light[np.abs(np.abs(x) - self._street.half_width - 0.14) < 0.14] = 1.16
        return np.array(_SLABS[rng.integers(len(_SLABS))]) * light[..., None]

    def grass(self, green: tuple[int, int, int]) -> np.ndarray:
        """Blades and clumps."""
        return np.array(green) * (1 + 0.12 * self._grain + 0.09 * self._wear)[..., None]

    def _markings(self) -> np.ndarray:
        """Where there is white paint, bool."""
        street, x, z = self._street, self._x, self._z
        lane = 2 * street.half_width / street.lanes
        white = np.zeros(x.shape, bool)
        for index in range(1, street.lanes):
            line = np.abs(x + street.half_width - index * lane) < 0.08
            white |= line & ((2 * index == street.lanes > 2) | (np.mod(z, 6.0) < 3.0))
        if street.crossing is not None:
            ahead = z - street.crossing
            inside = np.abs(x) < street.half_width - 0.3
            white &= (ahead < -2.5) | (ahead > 3.5)
            zebra = (ahead > 0) & (ahead < 3.2) & (np.mod(x + 0.25, 1.0) < 0.5)
            stop = (ahead > -1.6) & (ahead < -1.2) & (x > 0)
            white |= inside & (zebra | stop)
        return white


def _darkness(canvas: Canvas, shadows: Iterable[np.ndarray]) -> np.ndarray:
    """Shade on the ground, float32 (H, W), 0 … 1, with soft edges."""
    dark = np.zeros(canvas.nearness.shape, np.float32)
    for shadow in shadows:
        points = np.insert(shadow, 1, 0.0, axis=1)
        pixels = canvas.camera.outline(points).clip(-1e5, 1e5).round().astype(np.int32)
        if len(pixels) >= 3:
            cv2.fillPoly(dark, [pixels], 1.0)
    return cv2.GaussianBlur(dark, (0, 0), 2.0)


def _noise(rng: np.random.Generator, *, roughness: float) -> np.ndarray:
    """A tile of seamless noise, float32 (_TILE, _TILE), of mean 0 and deviation 1.

    `roughness` is the power of the spectrum's fall: 0 is white, 2 is like clouds.
    """
    spectrum = np.fft.rfft2(rng.standard_normal((_TILE, _TILE)))
    frequency = np.hypot(np.fft.fftfreq(_TILE)[:, None], np.fft.rfftfreq(_TILE))
    frequency[0, 0] = np.inf
    noise = np.fft.irfft2(spectrum * frequency**-roughness, s=(_TILE, _TILE))
    return (noise / noise.std()).astype(np.float32)


def _sample(texture: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """A seamless texture read at positions given in its own pixels."""
    x, y = (np.mod(axis, _TILE).astype(np.float32) for axis in (x, y))
    return cv2.remap(texture, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
