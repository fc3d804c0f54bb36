"""The canvas: colour, class, object and depth of every (super-sampled) pixel.

Everything is painted against the depth buffer, so the order of painting hardly
matters. The picture is made `OVERSAMPLING` times larger than asked for and shrunk at
the end; the mask is read at the centres of the final pixels.
"""

import cv2
import numpy as np

from tools.scenes.camera import Camera

OVERSAMPLING = 3
IGNORED = 255
_BORDER = 2  # canvas pixels on either side of a contour that are void
_SHIFT = 4  # fractional bits of polygon corners in OpenCV
_TOLERANCE = 1.004  # lets a detail win over the face that it lies on


class Canvas:
    """What the camera sees so far."""

    def __init__(self, camera: Camera):
        self.camera = camera
        shape = (camera.height, camera.width)
        self.colour = np.zeros((*shape, 3), np.float32)  # 0 … 255 and beyond
        self.classes = np.zeros(shape, np.uint8)
        self.objects = np.zeros(shape, np.uint16)
        self.nearness = np.zeros(shape, np.float32)  # 1 / depth; 0: sky
        self.glows: list[tuple[tuple[float, float, float], float, np.ndarray]] = []
        self._handedness = -1 if camera.mirrored else 1
        self._class_id = 0
        self._object = 0
        self._count = 0

    def begin(self, class_id: int, *, separate: bool = True) -> None:
        """What is painted from here on is an object of this class.

        Args:
            separate: gets a contour of its own against others of its class.
        """
        self._class_id = class_id
        self._count += separate
        self._object = 1000 + self._count if separate else class_id

    def fill(self, colour: np.ndarray) -> None:
        """Paint the whole canvas, infinitely far away."""
        self.colour[:] = colour
        self.classes[:] = self._class_id
        self.objects[:] = self._object

    def face(
        self,
        points: np.ndarray,
        colour: np.ndarray,
        *,
        shade: np.ndarray | float = 1.0,
        two_sided: bool = True,
    ) -> bool:
        """Paint a flat polygon; says whether it faces the camera.

        Args:
            points: (N, 3) world corners, clockwise as seen from outside.
            colour: (3,) RGB, or a texture (h, w, 3) whose first row lies along the
                edge from the first corner to the second; for four corners only.
            shade: factor on the colour, one number or (3,).
            two_sided: paint it when it is seen from behind, too.
        """
        points = np.asarray(points, float)
        corners = self.camera.clip(points)
        if len(corners) < 3:
            return False
        outline = corners[:, :2] / corners[:, 2:]
        if not two_sided and _signed_area(outline) * self._handedness <= 0:
            return False
        window = self._window(outline)
        if window is None:
            return False
        rows, columns = window
        inside = self._fill(outline, rows, columns)
        nearness = self._plane_nearness(corners, rows, columns)
        if nearness is None:
            return False
        if np.ndim(colour) == 3:
            colour = self._warp(points, np.asarray(colour), rows, columns)
        self._put(rows, columns, inside, np.multiply(colour, shade), nearness)
        return True

    def sprite(
        self,
        top: int,
        left: int,
        shape: np.ndarray,
        colour: np.ndarray,
        *,
        depth: float,
    ) -> None:
        """Paint an upright cut-out: `shape` bool (h, w), `colour` (h, w, 3)."""
        height, width = self.classes.shape
        rows = slice(max(top, 0), min(top + shape.shape[0], height))
        columns = slice(max(left, 0), min(left + shape.shape[1], width))
        if rows.start >= rows.stop or columns.start >= columns.stop:
            return
        crop = (
            slice(rows.start - top, rows.stop - top),
            slice(columns.start - left, columns.stop - left),
        )
        self._put(
            rows, columns, shape[crop], colour[crop], np.array(1 / depth, np.float32)
        )

    def glow(
        self, point: tuple[float, float, float], radius: float, colour: np.ndarray
    ) -> None:
        """A light at a world point whose halo is `radius` metres wide."""
        self.glows.append((point, radius, np.asarray(colour, np.float32)))

    def mask(self, visibility: float) -> np.ndarray:
        """The class ids at the final size, uint8 (H, W).

        Args:
            visibility: metres; what is more than three times as far cannot be told
                from the haze, and is void as every contour is.
        """
        contour = np.zeros(self.classes.shape, np.uint8)
        across = self.objects[:, 1:] != self.objects[:, :-1]
        down = self.objects[1:] != self.objects[:-1]
        contour[:, 1:] |= across
        contour[1:] |= down
        size = 2 * _BORDER
        kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
        void = cv2.dilate(contour, kernel)
        hidden = (self.nearness > 0) & (self.nearness * 3 * visibility < 1)
        classes = np.where(hidden | (void > 0), np.uint8(IGNORED), self.classes)
        middle = OVERSAMPLING // 2
        return np.ascontiguousarray(classes[middle::OVERSAMPLING, middle::OVERSAMPLING])

    def _put(
        self,
        rows: slice,
        columns: slice,
        inside: np.ndarray,
        colour: np.ndarray,
        nearness: np.ndarray,
    ) -> None:
        there = (rows, columns)
        seen = inside & (nearness * _TOLERANCE >= self.nearness[there])
        whole = seen[..., None]
        np.copyto(self.colour[there], colour, where=whole, casting="unsafe")
        np.copyto(self.nearness[there], nearness, where=seen)
        self.classes[there][seen] = self._class_id
        self.objects[there][seen] = self._object

    def _window(self, outline: np.ndarray) -> tuple[slice, slice] | None:
        height, width = self.classes.shape
        left, top = np.floor(outline.min(axis=0)).clip(-1e6, 1e6).astype(int)
        right, bottom = np.ceil(outline.max(axis=0)).clip(-1e6, 1e6).astype(int) + 1
        rows = slice(max(top, 0), min(bottom, height))
        columns = slice(max(left, 0), min(right, width))
        empty = rows.start >= rows.stop or columns.start >= columns.stop
        return None if empty else (rows, columns)

    def _fill(self, outline: np.ndarray, rows: slice, columns: slice) -> np.ndarray:
        inside = np.zeros(
            (rows.stop - rows.start, columns.stop - columns.start), np.uint8
        )
        corners = (outline - (columns.start + 0.5, rows.start + 0.5)) * 2**_SHIFT
        corners = corners.clip(-(2**28), 2**28).round().astype(np.int32)
        cv2.fillPoly(inside, [corners], 1, shift=_SHIFT)
        return inside.astype(bool)

    def _plane_nearness(
        self, corners: np.ndarray, rows: slice, columns: slice
    ) -> np.ndarray | None:
        """1 / depth over a window: affine in pixels for a plane."""
        pixels = np.column_stack(
            [corners[:, :2] / corners[:, 2:], np.ones(len(corners))]
        )
        plane, _, rank, _ = np.linalg.lstsq(pixels, 1 / corners[:, 2], rcond=1e-9)
        if rank < 3:
            return None  # seen edge-on
        x = np.arange(columns.start, columns.stop, dtype=np.float32) + 0.5
        y = np.arange(rows.start, rows.stop, dtype=np.float32) + 0.5
        nearness = plane[0] * x[None] + plane[1] * y[:, None] + plane[2]
        return nearness.astype(np.float32)

    def _warp(
        self, points: np.ndarray, texture: np.ndarray, rows: slice, columns: slice
    ) -> np.ndarray:
        height, width = texture.shape[:2]
        origin, along, down = points[0], points[1] - points[0], points[3] - points[0]
        plane = np.column_stack(
            [along / width, down / height, origin - self.camera.origin]
        )
        shift = np.array([[1, 0, -columns.start], [0, 1, -rows.start], [0, 0, 1.0]])
        size = (columns.stop - columns.start, rows.stop - rows.start)
        return cv2.warpPerspective(
            texture,
            shift @ self.camera.matrix @ plane,
            size,
            flags=cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        )


def _signed_area(outline: np.ndarray) -> float:
    x, y = outline.T
    return float(np.sum(x * np.roll(y, -1) - y * np.roll(x, -1)))
