"""Sky and ground: everything that reaches to the horizon."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from tools.scenes import noise
from tools.scenes.camera import NEAR
from tools.scenes.canvas import OVERSAMPLING, Canvas
from tools.scenes.weather import Weather

_FAR = 160.0  # metres; the ground ends there, behind the backdrop
_TILE = 512
_SLABS = ((170, 164, 154), (160, 158, 156), (178, 160, 142), (150, 146, 150))


@dataclass(frozen=True, kw_only=True)
class Street:
    """The street's cross-section and course. Lengths in metres."""

    half_width: float  # of the road
    pavement: float  # width of each pavement
    front: float  # from the pavement's end to the houses
    bend: float  # the middle of the street lies at x = bend · z²
    lanes: int
    crossing: float | None  # distance to a zebra crossing
    cobbled: bool
    cycle_lane: bool
    parking: tuple[bool, bool]  # left, right

    def middle(self, z: float) -> float:
        """The middle's x at a distance."""
        return self.bend * max(z, 0.0) ** 2

    def lane_middle(self, lane: int) -> float:
        """A lane's x beside the street's middle; parked cars narrow the road."""
        across = (2 * lane + 1 - self.lanes) * self.half_width / self.lanes
        narrowed = any(self.parking) and self.lanes == 2
        return across * (0.62 if narrowed else 1.0)

    def house_line(self) -> float:
        """Distance of the houses from the street's middle."""
        return self.half_width + self.pavement + self.front


def paint_sky(canvas: Canvas, weather: Weather, rng: np.random.Generator) -> None:
    """Gradient, clouds and the sun's glow, over the whole canvas."""
    step = OVERSAMPLING  # the sky is smooth: one ray for each final pixel will do
    rays = canvas.camera.rays[step // 2 :: step, step // 2 :: step]
    unit = rays / np.linalg.norm(rays, axis=2, keepdims=True)
    height = unit[..., 1].clip(0, 1)
    climb = (height / 0.5).clip(0, 1)[..., None] ** 0.65
    sky = np.array(weather.horizon) * (1 - climb) + np.array(weather.zenith) * climb
    clouds = noise.tile(rng, _TILE, roughness=1.7)
    scale = 26 / (height + 0.11)
    drift = rng.uniform(0, _TILE, 2)
    density = noise.sample(
        clouds, unit[..., 0] * scale + drift[0], unit[..., 2] * scale
    )
    threshold = 1.6 - 2.6 * weather.cloudiness
    cover = ((density - threshold) / 1.1).clip(0, 1)
    cover = (cover * (0.35 + 0.65 * (height / 0.12).clip(0, 1)))[..., None]
    relief = (0.93 + 0.07 * density)[..., None]
    sky = sky * (1 - 0.85 * cover) + np.array(weather.cloud) * relief * 0.85 * cover
    if any(weather.sun):
        near = (unit @ weather.towards_sun).clip(0, 1)[..., None]
        sky = sky + np.array(weather.sun) * (150 * near**90 + 60 * near**10)
    size = (canvas.camera.width, canvas.camera.height)
    canvas.fill(cv2.resize(sky.clip(0, 255).astype(np.float32), size))


def paint_ground(
    canvas: Canvas,
    weather: Weather,
    street: Street,
    rng: np.random.Generator,
    *,
    shadows: Sequence[tuple[np.ndarray, float]],
    lamps: Sequence[tuple[float, float]],
    classes: Mapping[str, int],
) -> None:
    """Road, pavements and verges, with their markings and shadows.

    Args:
        shadows: ground polygons (N, 2) of x and z, with their darkness 0 … 1.
        lamps: x and z of street lamps, which light the ground at night.
        classes: the ids of road, pavement and vegetation.
    """
    camera = canvas.camera
    below = camera.rays[..., 1] < -1e-4
    window = slice(int(below.any(axis=1).argmax()), camera.height)
    rays, below = camera.rays[window], below[window]
    depth = np.float32(-camera.position[1]) / np.minimum(
        rays[..., 1], np.float32(-1e-4)
    )
    seen = below & (depth < _FAR) & (depth > NEAR / 2)
    x = np.float32(camera.position[0]) + rays[..., 0] * depth
    z = np.float32(camera.position[2]) + rays[..., 2] * depth
    across = x - np.float32(street.bend) * np.square(z.clip(0))
    fade = np.exp(-depth / 22)  # fine structure is lost with distance
    surface = _Surface(street, across, z, fade, _Texture(rng), rng)

    on_road = np.abs(across) < street.half_width
    on_pavement = ~on_road & (np.abs(across) < street.half_width + street.pavement)
    road, pavement = _road(surface), _pavement(surface)
    verge = _verge(x, surface, weather)
    grassy = street.front > 0.5
    beyond = verge if grassy else pavement
    colour = np.where(
        on_road[..., None], road, np.where(on_pavement[..., None], pavement, beyond)
    )
    light = weather.shade((0.0, 1.0, 0.0)).astype(np.float32)
    if weather.night:
        light = light + _lamplight(x, z, lamps)
    colour = colour * light
    dark = _darkness(canvas, shadows)[window, :, None]
    colour = colour * (1 - dark * (1 - weather.shadow.astype(np.float32)))
    if not any(weather.sun):
        colour = colour * (1 - 0.35 * dark)
    colour = colour * (1 - 0.22 * weather.wetness)

    canvas.colour[window][seen] = colour[seen]
    canvas.nearness[window][seen] = 1 / depth[seen]
    beyond_id = classes["vegetation"] if grassy else classes["pavement"]
    ids = np.where(
        on_road,
        classes["road"],
        np.where(on_pavement, classes["pavement"], beyond_id),
    )
    canvas.classes[window][seen] = ids[seen]
    canvas.objects[window][seen] = ids[seen]


@dataclass(frozen=True)
class _Surface:
    """The ground under each pixel: place in metres, and how much detail is seen."""

    street: Street
    across: np.ndarray  # from the street's middle
    z: np.ndarray
    fade: np.ndarray  # 1 near … 0 far
    texture: "_Texture"
    rng: np.random.Generator


class _Texture:
    """Two seamless noises, read in metres."""

    def __init__(self, rng: np.random.Generator):
        self.coarse = noise.tile(rng, _TILE, roughness=1.4)
        self.fine = noise.tile(rng, _TILE, roughness=0.3)

    def at(
        self, x: np.ndarray, z: np.ndarray, *, metre: float, fine: bool = False
    ) -> np.ndarray:
        """Noise with `metre` texture pixels a metre."""
        texture = self.fine if fine else self.coarse
        return noise.sample(texture, x * metre, z * metre)


def _road(surface: _Surface) -> np.ndarray:
    street, across, z, fade = surface.street, surface.across, surface.z, surface.fade
    texture = surface.texture
    wear = texture.at(across, z, metre=9)
    grain = texture.at(across, z, metre=40, fine=True)
    if street.cobbled:
        row = np.floor(z / 0.22)
        stone = np.mod(across + 0.11 * np.mod(row, 2), 0.22) < 0.03
        joint = (stone | (np.mod(z, 0.22) < 0.03)) * fade
        grey = 112 + 5 * wear + 10 * grain * fade - 38 * joint
        tint = np.array([1.02, 0.99, 0.95], np.float32)
    else:
        grey = 96 + 5 * wear + 7 * grain * fade
        lane = 2 * street.half_width / street.lanes
        track = np.abs(np.mod(across + street.half_width, lane) - lane / 2)
        grey -= 7 * np.exp(-np.square((track - 0.75) / 0.28))  # where the tyres run
        grey = np.where(_patches(surface), grey - 15, grey)
        tint = np.array([0.99, 1.0, 1.03], np.float32)
    gutter = np.abs(across) > street.half_width - 0.25
    grey = np.where(gutter, grey - 14, grey)
    colour = grey[..., None] * tint
    if street.cycle_lane:
        strip = street.half_width - np.abs(across)
        red = (strip > 0.25) & (strip < 1.6) & (across > 0)
        colour = np.where(red[..., None], colour * (1.32, 0.80, 0.72), colour)
    worn = (1 - 0.3 * (wear > 0.8)) * (0.92 + 0.04 * grain * fade)
    white = (_markings(street, across, z) * worn)[..., None]
    return colour * (1 - white) + np.array([226, 226, 220], np.float32) * white


def _patches(surface: _Surface) -> np.ndarray:
    """Mended asphalt and the covers of the sewers, bool."""
    across, z, rng = surface.across, surface.z, surface.rng
    half = surface.street.half_width
    mended = np.zeros(across.shape, bool)
    for _ in range(rng.integers(1, 5)):
        left, near = rng.uniform(-half, half), rng.uniform(3, 30)
        wide, long = rng.uniform(0.8, 2.2), rng.uniform(1.5, 6)
        mended |= (np.abs(across - left) < wide / 2) & (np.abs(z - near) < long / 2)
    for _ in range(rng.integers(0, 3)):
        left, near = rng.uniform(-2, 2), rng.uniform(4, 16)
        mended |= np.square(across - left) + np.square(z - near) < 0.14
    return mended


def _markings(street: Street, across: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Share of white paint, 0 … 1."""
    white = np.zeros(across.shape, bool)
    if not street.cobbled:
        lane = 2 * street.half_width / street.lanes
        for index in range(1, street.lanes):
            line = np.abs(across + street.half_width - index * lane) < 0.08
            solid = street.lanes == 4 and index == 2
            white |= line & (solid | (np.mod(z, 6.0) < 3.0))
        if street.cycle_lane:
            white |= np.abs(street.half_width - 1.65 - across) < 0.07
    if street.crossing is not None:
        band = (z > street.crossing) & (z < street.crossing + 3.2)
        white &= ~((z > street.crossing - 2.5) & (z < street.crossing + 3.5))
        inside = np.abs(across) < street.half_width - 0.3
        white |= band & inside & (np.mod(across + 0.25, 1.0) < 0.5)
        stop = (z > street.crossing - 1.6) & (z < street.crossing - 1.2)
        white |= stop & inside & (across > 0)
    return white.astype(np.float32)


def _pavement(surface: _Surface) -> np.ndarray:
    street, across, z, fade = surface.street, surface.across, surface.z, surface.fade
    texture, rng = surface.texture, surface.rng
    size = np.float32(rng.choice([0.5, 0.8, 1.2]))
    base = np.array(_SLABS[rng.integers(len(_SLABS))], np.float32)
    tones = rng.uniform(-0.5, 0.5, (64, 64)).astype(np.float32)
    row = np.floor(z / size)
    shifted = across + size / 2 * np.mod(row, 2)
    column = np.floor(shifted / size)
    slab = tones[row.astype(int) % 64, column.astype(int) % 64]
    joint = ((np.mod(z, size) < 0.035) | (np.mod(shifted, size) < 0.035)) * fade
    grain = texture.at(across, z, metre=36, fine=True)
    wear = texture.at(across, z, metre=7)
    light = 1 + 0.08 * slab * fade + 0.035 * grain * fade + 0.03 * wear - 0.24 * joint
    kerb = np.abs(np.abs(across) - street.half_width - 0.14) < 0.14
    light = np.where(kerb, 1.16 - 0.25 * (np.mod(z, 1.0) < 0.04) * fade, light)
    return base * light[..., None]


def _verge(x: np.ndarray, surface: _Surface, weather: Weather) -> np.ndarray:
    z, fade, texture = surface.z, surface.fade, surface.texture
    green = (118, 128, 62) if weather.season == "autumn" else (92, 128, 58)
    blades = texture.at(x, z, metre=48, fine=True) * fade
    clumps = texture.at(x, z, metre=14)
    return np.array(green, np.float32) * (1 + 0.12 * blades + 0.09 * clumps)[..., None]


def _lamplight(
    x: np.ndarray, z: np.ndarray, lamps: Sequence[tuple[float, float]]
) -> np.ndarray:
    """Warm pools of light under the lamps, and one's own headlights; a factor."""
    warm = np.zeros(x.shape, np.float32)
    for lamp_x, lamp_z in lamps:
        under = lamp_x - 1.5 * np.sign(lamp_x)
        warm += np.exp(-(np.square(x - under) + np.square(z - lamp_z)) / 14)
    beam = np.exp(-np.square((x - 1) / (1.2 + 0.16 * z.clip(0, 60))) - z / 14)
    white = np.array((0.42, 0.40, 0.34), np.float32) * beam[..., None]
    return np.array((0.75, 0.58, 0.36), np.float32) * warm[..., None] + white


def _darkness(
    canvas: Canvas, shadows: Sequence[tuple[np.ndarray, float]]
) -> np.ndarray:
    """Shade on the ground, 0 … 1, with soft edges."""
    dark = np.zeros(canvas.classes.shape, np.float32)
    layer = np.zeros(canvas.classes.shape, np.uint8)
    for outline, strength in shadows:
        points = np.column_stack([outline[:, 0], np.zeros(len(outline)), outline[:, 1]])
        corners = canvas.camera.clip(points)
        if len(corners) < 3:
            continue
        pixels = (corners[:, :2] / corners[:, 2:]).clip(-1e5, 1e5).round()
        layer[:] = 0
        cv2.fillPoly(layer, [pixels.astype(np.int32)], 1)
        np.maximum(dark, layer * np.float32(strength), out=dark)
    return cv2.GaussianBlur(dark, (0, 0), 2.0)
