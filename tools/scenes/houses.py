"""Houses: façade, end wall and roof as solids beside the street."""

from dataclasses import dataclass

import numpy as np

from tools.scenes.brush import Brush
from tools.scenes.facades import WALLS, draw_facade, wall_texture

_TILES = ((150, 78, 60), (128, 70, 58), (92, 88, 92), (74, 78, 86), (164, 98, 70))
_NEAREST = 2.5  # metres; no façade needs finer texture than at this distance


@dataclass(frozen=True, kw_only=True)
class House:
    """One house beside the street. Lengths in metres."""

    corners: np.ndarray  # (2, 2) x and z of the façade's near and far end
    side: int  # -1 left of the street, 1 right
    depth: float
    height: float  # of the façade
    roof: float  # height of the pitched roof above it; 0: flat
    material: str
    shop: bool

    @property
    def back(self) -> np.ndarray:
        """From the façade to the back wall, x and z."""
        return np.array([self.side * self.depth, 0.0])

    def footprint(self) -> np.ndarray:
        """(4, 2) x and z."""
        near, far = self.corners
        return np.array([near, far, far + self.back, near + self.back])


def draw_house(
    rng: np.random.Generator, *, corners: np.ndarray, side: int, height: float
) -> House:
    """A house of random looks between two corners."""
    return House(
        corners=corners,
        side=side,
        depth=rng.uniform(8, 12),
        height=height,
        roof=rng.uniform(2.2, 4.0) if rng.random() < 0.6 else 0.0,
        material=str(rng.choice(list(WALLS), p=[0.55, 0.28, 0.17])),
        shop=bool(rng.random() < 0.45),
    )


def paint_house(brush: Brush, house: House) -> None:
    """The roof, the façade, and the end wall towards the camera."""
    wall = brush.one_of(WALLS[house.material]) * brush.rng.uniform(0.9, 1.08)
    _paint_roof(brush, house)
    _paint_facade(brush, house, wall)
    _paint_end(brush, house, wall * 0.94)


def paint_skyline(brush: Brush, *, z: float) -> None:
    """Distant blocks across the end of the street."""
    rng, x = brush.rng, -1.2 * z
    while x < 1.2 * z:
        width, height = rng.uniform(9, 20), rng.uniform(8, 26)
        texture = np.empty((40, 40, 3), np.float32)
        texture[:] = rng.uniform(120, 190) * np.array((1.02, 1.0, 0.97))
        texture[4::6, :] *= 0.8
        texture[:, 3::5] *= 0.85
        wall = _upright(np.array([x, z]), np.array([x + width, z]), height)
        brush.face(wall, texture, (0.0, 0.0, -1.0))
        x += width * rng.uniform(0.9, 1.5)


def box_faces(
    x: float, z: float, half_x: float, half_z: float, bottom: float, top: float
) -> list[tuple[np.ndarray, tuple[float, float, float]]]:
    """The four sides and the top of an upright box: corners and outward normal."""
    west, east, south, north = x - half_x, x + half_x, z - half_z, z + half_z
    ring = np.array([(west, south), (east, south), (east, north), (west, north)])
    normals = [(0.0, 0.0, -1.0), (1.0, 0.0, 0.0), (0.0, 0.0, 1.0), (-1.0, 0.0, 0.0)]
    faces = []
    for index, normal in enumerate(normals):
        side = _upright(ring[index], ring[(index + 1) % 4], top)
        side[2:, 1] = bottom
        faces.append((side, normal))
    lid = np.array([[px, top, pz] for px, pz in ring[::-1]])
    return [*faces, (lid, (0.0, 1.0, 0.0))]


def _upright(start: np.ndarray, end: np.ndarray, height: float) -> np.ndarray:
    """(4, 3) corners of a wall on the ground, the upper edge first."""
    (x0, z0), (x1, z1) = start, end
    return np.array([[x0, height, z0], [x1, height, z1], [x1, 0, z1], [x0, 0, z0]])


def _paint_facade(brush: Brush, house: House, wall: np.ndarray) -> None:
    near, far = house.corners
    along = far - near
    length = float(np.hypot(*along))
    camera = brush.canvas.camera
    distance = max(_NEAREST, float(near[1] - camera.position[2]))
    texture, lit = draw_facade(
        brush,
        length=length,
        height=house.height,
        wall=wall,
        material=house.material,
        shop=house.shop,
        scale=float(np.clip(camera.focal / distance, 10, 52)),
    )
    east, north = (along / length).tolist()
    normal = (-house.side * north, 0.0, house.side * east)
    shade = np.where(lit[..., None], 1, brush.weather.shade(normal))
    shade = shade.astype(np.float32)
    brush.canvas.face(_upright(near, far, house.height), texture * shade)


def _paint_roof(brush: Brush, house: House) -> None:
    if not house.roof:
        if brush.rng.random() < 0.5:
            lift = np.array((150, 150, 148))
            _paint_box(brush, house, lift, size=1.6, base=0.0, top=2.4)
        return
    near, far = house.corners
    ridge = _upright(near + house.back / 2, far + house.back / 2, 0.0)[:2]
    ridge[:, 1] = house.height + house.roof
    eaves = _upright(near, far, house.height)[:2]
    flat = np.hypot(house.depth / 2, house.roof)
    normal = (-house.side * house.roof / flat, house.depth / 2 / flat, 0.0)
    slope = np.concatenate([ridge, eaves[::-1]])
    brush.face(slope, _tiles(brush.rng), normal)
    brick, top = np.array((140, 92, 78)), house.roof + 1.1
    _paint_box(brush, house, brick, size=0.45, base=house.roof - 1, top=top)


def _tiles(rng: np.random.Generator) -> np.ndarray:
    """Courses of tiles with a few skylights, float32 (64, 160, 3)."""
    rows, columns = 64, 160
    tiles = np.empty((rows, columns, 3), np.float32)
    tiles[:] = _TILES[rng.integers(len(_TILES))]
    tiles *= 1 + 0.07 * rng.standard_normal((rows, columns, 1), dtype=np.float32)
    tiles[::4] *= 0.8
    for _ in range(rng.integers(0, 4)):
        column, row = rng.integers(6, columns - 18), rng.integers(18, 36)
        tiles[row : row + 14, column : column + 11] = (70, 74, 80)
        tiles[row + 1 : row + 13, column + 1 : column + 10] = (150, 170, 190)
    return tiles


def _paint_box(
    brush: Brush,
    house: House,
    colour: np.ndarray,
    *,
    size: float,
    base: float,
    top: float,
) -> None:
    """A chimney or a lift house, between two heights above the façade."""
    near, far = house.corners
    x, z = near + (far - near) * brush.rng.uniform(0.2, 0.8) + house.back / 2
    base, top = house.height + base, house.height + top
    for points, normal in box_faces(x, z, size, size, base, top):
        brush.face(points, colour, normal, two_sided=False)


def _paint_end(brush: Brush, house: House, wall: np.ndarray) -> None:
    """The wall that looks along the street towards the camera, with its gable."""
    rng, near = brush.rng, house.corners[0]
    points = _upright(near, near + house.back, house.height)
    columns, rows = round(house.depth * 12), max(32, round(house.height * 12))
    texture = wall_texture(rng, wall, house.material, rows, columns, 12)
    for _ in range(rng.integers(0, 3)):  # small windows
        column, row = rng.integers(10, columns - 24), rng.integers(10, rows - 20)
        texture[row : row + 17, column : column + 11] = (70, 76, 86)
    brush.face(points, texture, (0.0, 0.0, -1.0))
    if house.roof:
        (x0, y, z), (x1, _, _) = points[:2]
        peak = ((x0 + x1) / 2, y + house.roof, z)
        gable = np.array([(x0, y, z), peak, (x1, y, z)])
        brush.face(gable, wall, (0.0, 0.0, -1.0))
