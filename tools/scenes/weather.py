"""Weather and time of day: the light, the colours of the sky, and the air."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

Colour = tuple[float, float, float]


@dataclass(frozen=True, kw_only=True)
class Weather:
    """Light and air of one scene. Colours are RGB, 0 … 255; factors about 1."""

    zenith: Colour
    horizon: Colour
    cloud: Colour
    cloudiness: float  # 0 none … 1 closed
    ambient: Colour  # factor of light from everywhere
    sun: Colour = (0.0, 0.0, 0.0)  # factor of direct light
    azimuth: float = 0.0  # of the sun; 0 is straight ahead, > 0 to the right
    elevation: float = 1.0  # of the sun; radians
    visibility: float = 400.0  # metres until haze has taken 63 %
    wetness: float = 0.0  # mirror of the road
    rain: float = 0.0
    lights: float = 0.0  # share of windows and lamps that are lit
    night: bool = False  # lamps and headlights light the road
    noise: float = 2.5  # of the sensor, grey levels
    season: str = "summer"

    @property
    def towards_sun(self) -> np.ndarray:
        """Unit vector (3,)."""
        flat = np.cos(self.elevation)
        east, north = flat * np.sin(self.azimuth), flat * np.cos(self.azimuth)
        return np.array([east, np.sin(self.elevation), north])

    def shade(self, normal: tuple[float, float, float]) -> np.ndarray:
        """Factor (3,) of a face's colour by its outward normal."""
        lit = max(0.0, float(np.dot(normal, self.towards_sun)))
        sky = 0.88 + 0.12 * normal[1]
        return np.array(self.ambient) * sky + np.array(self.sun) * lit

    @property
    def shadow(self) -> np.ndarray:
        """Factor (3,) that turns sunlit ground into ground in the shade."""
        return np.array(self.ambient) / self.shade((0.0, 1.0, 0.0))


def draw_weather(rng: np.random.Generator) -> Weather:
    """A random weather; the common ones more often."""
    kinds: tuple[tuple[float, Callable[[np.random.Generator], Weather]], ...] = (
        (0.30, _clear),
        (0.16, _golden),
        (0.20, _overcast),
        (0.14, _rain),
        (0.08, _fog),
        (0.12, _dusk),
    )
    shares = np.array([share for share, _ in kinds])
    return kinds[rng.choice(len(kinds), p=shares / shares.sum())][1](rng)


def _season(rng: np.random.Generator) -> str:
    return str(rng.choice(["summer", "spring", "autumn"], p=[0.6, 0.18, 0.22]))


def _clear(rng: np.random.Generator) -> Weather:
    warmth = rng.uniform(0.94, 1.06)
    return Weather(
        zenith=(62, 118, 196),
        horizon=(186, 212, 234),
        cloud=(250, 250, 250),
        cloudiness=rng.uniform(0.1, 0.6),
        ambient=(0.44, 0.49, 0.58),
        sun=(0.82 * warmth, 0.74, 0.62 / warmth),
        azimuth=rng.uniform(-np.pi, np.pi),
        elevation=rng.uniform(0.55, 1.1),
        visibility=rng.uniform(250, 600),
        season=_season(rng),
    )


def _golden(rng: np.random.Generator) -> Weather:
    return Weather(
        zenith=(96, 122, 172),
        horizon=(250, 196, 138),
        cloud=(252, 206, 170),
        cloudiness=rng.uniform(0.2, 0.7),
        ambient=(0.50, 0.46, 0.50),
        sun=(0.86, 0.56, 0.30),
        azimuth=rng.uniform(-np.pi, np.pi),
        elevation=rng.uniform(0.2, 0.42),
        visibility=rng.uniform(120, 260),
        lights=0.08,
        season=_season(rng),
    )


def _overcast(rng: np.random.Generator) -> Weather:
    grey = rng.uniform(0.92, 1.04)
    return Weather(
        zenith=(168 * grey, 176 * grey, 186 * grey),
        horizon=(214 * grey, 217 * grey, 220 * grey),
        cloud=(196 * grey, 200 * grey, 206 * grey),
        cloudiness=0.9,
        ambient=(0.80 * grey, 0.82 * grey, 0.85 * grey),
        visibility=rng.uniform(140, 320),
        season=_season(rng),
    )


def _rain(rng: np.random.Generator) -> Weather:
    dark = rng.uniform(0.85, 1.0)
    return Weather(
        zenith=(112 * dark, 122 * dark, 134 * dark),
        horizon=(168 * dark, 175 * dark, 181 * dark),
        cloud=(136 * dark, 144 * dark, 154 * dark),
        cloudiness=0.95,
        ambient=(0.60 * dark, 0.64 * dark, 0.68 * dark),
        visibility=rng.uniform(70, 130),
        wetness=rng.uniform(0.5, 0.8),
        rain=rng.uniform(0.5, 1.0),
        lights=0.35,
        noise=4.0,
        season=_season(rng),
    )


def _fog(rng: np.random.Generator) -> Weather:
    return Weather(
        zenith=(198, 204, 208),
        horizon=(206, 211, 213),
        cloud=(204, 208, 211),
        cloudiness=0.5,
        ambient=(0.74, 0.76, 0.78),
        visibility=rng.uniform(32, 55),
        lights=0.2,
        season=_season(rng),
    )


def _dusk(rng: np.random.Generator) -> Weather:
    return Weather(
        zenith=(34, 46, 92),
        horizon=(196, 132, 118),
        cloud=(112, 92, 118),
        cloudiness=rng.uniform(0.3, 0.8),
        ambient=(0.40, 0.42, 0.55),
        visibility=rng.uniform(150, 300),
        wetness=float(rng.choice([0.0, 0.6])),
        lights=rng.uniform(0.4, 0.65),
        night=True,
        noise=3.8,
        season=_season(rng),
    )
