"""Weather and time of day: the light, the colours of the sky, and the air."""

from dataclasses import dataclass, replace

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
    elevation: float = 0.8  # of the sun; radians
    visibility: float  # metres until haze has taken 63 %
    rain: float = 0.0  # 0 none … 1 heavy
    lights: float = 0.0  # share of windows that are lit
    noise: float = 2.5  # of the sensor, grey levels
    season: str = "summer"

    @property
    def towards_sun(self) -> np.ndarray:
        """Unit vector (3,)."""
        flat = np.cos(self.elevation)
        east, north = flat * np.sin(self.azimuth), flat * np.cos(self.azimuth)
        return np.array([east, np.sin(self.elevation), north])

    def shade(self, normal: np.ndarray) -> np.ndarray:
        """Factor float32 (3,) of a face's colour by its outward unit normal."""
        lit = max(0.0, float(normal @ self.towards_sun))
        shade = np.array(self.ambient) * (0.88 + 0.12 * normal[1])
        return (shade + np.array(self.sun) * lit).astype(np.float32)


_SKIES = {
    "clear": Weather(
        zenith=(62, 118, 196), horizon=(186, 212, 234), cloud=(250, 250, 250),
        cloudiness=0.4, ambient=(0.44, 0.49, 0.58), sun=(0.82, 0.74, 0.62),
        visibility=400,
    ),
    "golden": Weather(
        zenith=(96, 122, 172), horizon=(250, 196, 138), cloud=(252, 206, 170),
        cloudiness=0.5, ambient=(0.50, 0.46, 0.50), sun=(0.86, 0.56, 0.30),
        elevation=0.3, visibility=190, lights=0.08,
    ),
    "overcast": Weather(
        zenith=(168, 176, 186), horizon=(214, 217, 220), cloud=(196, 200, 206),
        cloudiness=0.9, ambient=(0.80, 0.82, 0.85), visibility=220,
    ),
    "rain": Weather(
        zenith=(104, 114, 126), horizon=(156, 163, 169), cloud=(126, 134, 144),
        cloudiness=0.95, ambient=(0.56, 0.60, 0.64), visibility=100, rain=0.8,
        lights=0.35, noise=4.0,
    ),
    "fog": Weather(
        zenith=(198, 204, 208), horizon=(206, 211, 213), cloud=(204, 208, 211),
        cloudiness=0.5, ambient=(0.74, 0.76, 0.78), visibility=45, lights=0.2,
    ),
    "dusk": Weather(
        zenith=(34, 46, 92), horizon=(196, 132, 118), cloud=(112, 92, 118),
        cloudiness=0.5, ambient=(0.44, 0.45, 0.57), visibility=220, lights=0.5,
        noise=3.8,
    ),
}  # fmt: skip
_SHARES = {
    "clear": 0.30, "golden": 0.16, "overcast": 0.20, "rain": 0.14, "fog": 0.08,
    "dusk": 0.12,
}  # fmt: skip


def draw_weather(rng: np.random.Generator) -> Weather:
    """A random weather; the common ones more often."""
    sky = _SKIES[str(rng.choice(list(_SHARES), p=list(_SHARES.values())))]
    return replace(
        sky,
        cloudiness=float(np.clip(sky.cloudiness + rng.uniform(-0.25, 0.25), 0, 1)),
        azimuth=rng.uniform(-np.pi, np.pi),
        elevation=sky.elevation * rng.uniform(0.7, 1.35),
        visibility=sky.visibility * rng.uniform(0.7, 1.4),
        season=str(rng.choice(["summer", "spring", "autumn"], p=[0.6, 0.18, 0.22])),
    )
