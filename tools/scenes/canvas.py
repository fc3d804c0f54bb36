"""The canvas: colour, object and depth of every (super-sampled) pixel.

Everything is painted against the depth buffer, so the order of painting does not
matter. The picture is made `OVERSAMPLING` times larger than asked for and shrunk at
the end; the mask is read at the centres of the final pixels.

World axes, in metres: x to the right, y up, z ahead along the street; the ground is
y = 0.
"""

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

from tools.scenes.weather import Weather

OVERSAMPLING = 3
VOID = 255
_NEAR = 0.6  # metres; what is nearer is cut off
_BORDER = 2  # canvas pixels on either side of a contour that are void
SHIFT = 4  # fractional bits of polygon corners in OpenCV
_TOLERANCE = 1.004  # lets a detail win over the face that it lies on


@dataclass(frozen=True, kw_only=True)
class Camera:
    """A pinhole camera at x, y, z = 0. Angles in radians, sizes in canvas pixels."""

    height: int
    width: int
    focal: float
    x: float
    y: float
    yaw: float  # > 0 looks to the right
    pitch: float  # > 0 looks up

    @cached_property
    def matrix(self) -> np.ndarray:
        """(3, 3) from a world offset to homogeneous pixels; the third is depth."""
        cy, sy = np.cos(self.yaw), np.sin(self.yaw)
        cp, sp = np.cos(self.pitch), np.sin(self.pitch)
        turn = np.array([[cy, 0, -sy], [0, 1, 0], [sy, 0, cy]])
        tilt = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
        middle, focal = (self.width / 2, self.height / 2), self.focal
        lens = np.array([[focal, 0, middle[0]], [0, -focal, middle[1]], [0, 0, 1]])
        return lens @ tilt @ turn

    @cached_property
    def rays(self) -> np.ndarray:
        """float32 (H, W, 3): world offset of each pixel's ray at depth 1."""
        x, y = np.meshgrid(np.arange(self.width) + 0.5, np.arange(self.height) + 0.5)
        pixels = np.stack([x, y, np.ones_like(x)], axis=-1)
        return (pixels @ np.linalg.inv(self.matrix).T).astype(np.float32)

    @property
    def position(self) -> np.ndarray:
        """World coordinates (3,)."""
        return np.array([self.x, self.y, 0.0])

    def locate(self, point: tuple[float, float, float]) -> tuple[float, float, float]:
        """(column, row, depth) of a world point."""
        x, y, depth = self.matrix @ (np.array(point) - self.position)
        return float(x / depth), float(y / depth), float(depth)

    def outline(self, points: np.ndarray) -> np.ndarray:
        """A world polygon (N, 3) as pixels (M, 2), cut off at the near plane."""
        corners = (points - self.position) @ self.matrix.T
        kept = []
        for here, there in zip(corners, np.roll(corners, -1, axis=0), strict=True):
            if here[2] >= _NEAR:
                kept.append(here)
            if (here[2] >= _NEAR) != (there[2] >= _NEAR):
                share = (_NEAR - here[2]) / (there[2] - here[2])
                kept.append(here + share * (there - here))
        cut = np.array(kept).reshape(-1, 3)
        return (cut[:, :2] / cut[:, 2:]).clip(-1e6, 1e6)


class Canvas:
    """What the camera sees so far, in the light of a weather."""

    def __init__(self, camera: Camera, weather: Weather):
        self.camera, self.weather = camera, weather
        shape = (camera.height, camera.width)
        self.colour = np.zeros((*shape, 3), np.float32)  # 0 … 255 and beyond
        self.nearness = np.zeros(shape, np.float32)  # 1 / depth; 0: sky
        self._objects = np.zeros(shape, np.uint16)  # indices into:
        self._class_ids: list[int] = []
        self._current = 0

    def begin(self, class_id: int, *, alone: bool = False) -> None:
        """What is painted from here on is of this class.

        Args:
            alone: it is an object with a contour against others of its class.
        """
        if alone or class_id not in self._class_ids:
            self._class_ids.append(class_id)
        last = self._class_ids[::-1].index(class_id)
        self._current = len(self._class_ids) - 1 - last

    def face(
        self,
        points: np.ndarray,
        colour: np.ndarray,
        *,
        shines: np.ndarray | bool = False,
    ) -> None:
        """Paint a flat polygon, lit by its normal, unless it is seen from behind.

        Args:
            points: (N, 3) world corners, clockwise as seen from outside.
            colour: (3,) RGB, or a texture (h, w, 3) whose first row lies along the
                edge from the first corner to the second; for four corners only.
            shines: what does not need light, as a whole or for each texture pixel.
        """
        normal = np.cross(points[1] - points[0], points[2] - points[0])
        distance = float(normal @ (points[0] - self.camera.position))
        outline = self.camera.outline(points)
        if distance >= 0 or len(outline) < 3:
            return
        limits = (self.camera.width, self.camera.height)
        left, top = np.floor(outline.min(axis=0)).clip(0, limits).astype(int)
        right, bottom = np.ceil(outline.max(axis=0) + 1).clip(0, limits).astype(int)
        if left >= right or top >= bottom:
            return
        window = (slice(top, bottom), slice(left, right))
        inside = np.zeros((bottom - top, right - left), np.uint8)
        corners = (outline - (left + 0.5, top + 0.5)) * 2**SHIFT
        cv2.fillPoly(inside, [corners.round().astype(np.int32)], 1, shift=SHIFT)
        shade = self.weather.shade(normal / np.linalg.norm(normal))
        colour = colour * np.where(np.asarray(shines)[..., None], 1, shade)
        if colour.ndim == 3:
            colour = self._warp(points, colour.astype(np.float32), window)
        nearness = self.camera.rays[window] @ (normal / distance).astype(np.float32)
        self.put(window, inside > 0, colour, nearness)

    def put(
        self,
        window: tuple[slice, slice],
        inside: np.ndarray,
        colour: np.ndarray,
        nearness: np.ndarray | float,
    ) -> None:
        """Paint the pixels `inside` a window that nothing nearer covers."""
        seen = inside & (nearness * _TOLERANCE >= self.nearness[window])
        np.copyto(self.colour[window], colour, where=seen[..., None], casting="unsafe")
        np.copyto(self.nearness[window], nearness, where=seen)
        self._objects[window][seen] = self._current

    def mask(self) -> np.ndarray:
        """The class ids at the final size, uint8 (H, W).

        Contours are void, and what is so far that it cannot be told from the haze.
        """
        classes = np.array(self._class_ids, np.uint8)[self._objects]
        contour = np.zeros(classes.shape, np.uint8)
        contour[:, 1:] |= self._objects[:, 1:] != self._objects[:, :-1]
        contour[1:] |= self._objects[1:] != self._objects[:-1]
        size = 2 * _BORDER
        kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
        nearness = self.nearness
        hidden = (nearness > 0) & (nearness * 3 * self.weather.visibility < 1)
        classes[hidden | (cv2.dilate(contour, kernel) > 0)] = VOID
        middle = OVERSAMPLING // 2
        return np.ascontiguousarray(classes[middle::OVERSAMPLING, middle::OVERSAMPLING])

    def _warp(
        self, points: np.ndarray, texture: np.ndarray, window: tuple[slice, slice]
    ) -> np.ndarray:
        height, width = texture.shape[:2]
        rows, columns = window
        along, down = (points[1] - points[0]) / width, (points[3] - points[0]) / height
        plane = np.column_stack([along, down, points[0] - self.camera.position])
        shift = np.array([[1, 0, -columns.start], [0, 1, -rows.start], [0, 0, 1.0]])
        return cv2.warpPerspective(
            texture,
            shift @ self.camera.matrix @ plane,
            (columns.stop - columns.start, rows.stop - rows.start),
            borderMode=cv2.BORDER_REPLICATE,
        )
