"""A pinhole camera: world points in metres to canvas pixels, and back to rays.

World axes: x to the right, y up, z ahead along the street; the ground is y = 0.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

NEAR = 0.6  # metres; what is nearer is cut off


@dataclass(frozen=True)
class Camera:
    """Where the picture is taken from. Angles in radians, sizes in pixels."""

    height: int
    width: int
    focal: float
    position: tuple[float, float, float]
    yaw: float  # > 0 looks to the right
    pitch: float  # > 0 looks up
    roll: float
    mirrored: bool = False  # sees the world upside down, as a wet road shows it

    @cached_property
    def matrix(self) -> np.ndarray:
        """(3, 3) from a world offset to homogeneous pixels; the third is depth."""
        cy, sy = np.cos(self.yaw), np.sin(self.yaw)
        cp, sp = np.cos(self.pitch), np.sin(self.pitch)
        cr, sr = np.cos(self.roll), np.sin(self.roll)
        turn = np.array([[cy, 0, -sy], [0, 1, 0], [sy, 0, cy]])
        tilt = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
        lean = np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
        intrinsic = np.array(
            [
                [self.focal, 0, self.width / 2],
                [0, -self.focal, self.height / 2],
                [0, 0, 1],
            ]
        )
        flip = np.diag([1.0, -1.0 if self.mirrored else 1.0, 1.0])
        return intrinsic @ lean @ tilt @ turn @ flip

    @property
    def origin(self) -> np.ndarray:
        """Where the rays start; below the ground if mirrored."""
        x, y, z = self.position
        return np.array([x, -y if self.mirrored else y, z])

    @cached_property
    def rays(self) -> np.ndarray:
        """float32 (H, W, 3): world offset of each pixel's ray at depth 1."""
        columns, rows = np.meshgrid(
            np.arange(self.width) + 0.5, np.arange(self.height) + 0.5
        )
        pixels = np.stack([columns, rows, np.ones_like(rows)], axis=-1)
        return (pixels @ np.linalg.inv(self.matrix).T).astype(np.float32)

    def offsets(self, points: np.ndarray) -> np.ndarray:
        """World points (N, 3) as homogeneous pixels (N, 3)."""
        return (np.asarray(points, float) - self.origin) @ self.matrix.T

    def clip(self, points: np.ndarray) -> np.ndarray:
        """Homogeneous pixels of a world polygon (N, 3), cut at the near plane."""
        corners = self.offsets(points)
        kept = []
        for here, there in zip(corners, np.roll(corners, -1, axis=0), strict=True):
            if here[2] >= NEAR:
                kept.append(here)
            if (here[2] >= NEAR) != (there[2] >= NEAR):
                share = (NEAR - here[2]) / (there[2] - here[2])
                kept.append(here + share * (there - here))
        return np.array(kept).reshape(-1, 3)

    def locate(self, point: tuple[float, float, float]) -> tuple[float, float, float]:
        """(column, row, depth) of a world point."""
        x, y, depth = self.offsets(np.array([point]))[0]
        return float(x / depth), float(y / depth), float(depth)
