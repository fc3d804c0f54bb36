"""What every painter of an object needs: canvas, weather and random choices."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tools.scenes.canvas import Canvas
from tools.scenes.weather import Weather

Colour = Sequence[float] | np.ndarray


@dataclass(frozen=True)
class Brush:
    """Paints on a canvas in the light of a weather."""

    canvas: Canvas
    weather: Weather
    rng: np.random.Generator

    def one_of(self, colours: Sequence[tuple[int, int, int]]) -> np.ndarray:
        """One of some colours, (3,)."""
        return np.array(colours[int(self.rng.integers(len(colours)))], float)

    def face(
        self,
        points: np.ndarray,
        colour: np.ndarray,
        normal: tuple[float, float, float],
        *,
        two_sided: bool = True,
    ) -> bool:
        """Paint a flat polygon, lit by its outward normal; see `Canvas.face`."""
        shade = self.weather.shade(normal)
        return self.canvas.face(points, colour, shade=shade, two_sided=two_sided)
