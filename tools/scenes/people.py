"""Pedestrians: walking, standing, with bags, hats and umbrellas."""

import numpy as np

from tools.scenes.brush import Brush
from tools.scenes.sprites import Sprite

_SKIN = ((236, 198, 170), (204, 152, 118), (150, 100, 72), (98, 66, 50))
_HAIR = ((40, 30, 26), (92, 62, 40), (196, 160, 96), (150, 150, 150), (120, 50, 30))
_TOPS = (
    (196, 44, 48), (36, 72, 140), (232, 196, 70), (240, 238, 232), (60, 62, 68),
    (74, 130, 92), (206, 112, 52), (132, 76, 134), (84, 150, 176), (168, 130, 96),
)  # fmt: skip
_TROUSERS = ((44, 50, 70), (34, 34, 38), (108, 96, 80), (74, 92, 120), (150, 140, 124))


def paint_person(brush: Brush, x: float, z: float) -> None:
    """A person who stands at a place on the ground."""
    rng = brush.rng
    tall = rng.uniform(1.5, 1.9) if rng.random() < 0.85 else rng.uniform(1.1, 1.35)
    sprite = Sprite(brush.canvas, x=x, z=z, reach=1.0, height=2.5)
    skin, top, trousers = (brush.one_of(c) for c in (_SKIN, _TOPS, _TROUSERS))
    ahead = float(rng.choice([-1.0, 1.0]))  # the side it walks to
    stride = rng.uniform(0.05, 0.3) * tall / 1.7
    figure = _Figure(sprite, tall / 1.75, ahead)
    figure.leg(-stride * 0.8, trousers * 0.8)
    figure.arm(stride, top * 0.74, skin)
    dress = rng.random() < 0.2
    if rng.random() < 0.25:
        figure.bag(top)
    figure.leg(stride, trousers)
    figure.torso(top, coat=dress or rng.random() < 0.3)
    umbrella = brush.weather.rain > 0 and rng.random() < 0.6
    figure.head(skin, brush)
    if umbrella:
        figure.umbrella(brush.one_of(_TOPS), skin)
    figure.arm(-stride, top * 0.9, skin)
    sprite.paint(brush.weather)


class _Figure:
    """Body parts at the proportions of an adult of 1.75 m, scaled."""

    def __init__(self, sprite: Sprite, size: float, ahead: float):
        self.sprite, self.size, self.ahead = sprite, size, ahead

    def at(self, x: float, y: float) -> tuple[float, float]:
        return x * self.size * self.ahead, y * self.size

    def leg(self, stride: float, colour: np.ndarray) -> None:
        s = self.size
        knee = self.at(stride * 0.6 + 0.04, 0.46)
        foot = self.at(stride, 0.07)
        self.sprite.limb(self.at(0, 0.86), knee, 0.2 * s, colour, taper=0.8)
        self.sprite.limb(knee, foot, 0.16 * s, colour, taper=0.7)
        toe = (foot[0] + 0.14 * s * self.ahead, 0.05 * s)
        self.sprite.limb((foot[0], 0.05 * s), toe, 0.1 * s, (36, 30, 28))

    def arm(self, swing: float, colour: np.ndarray, skin: np.ndarray) -> None:
        elbow, hand = self.at(swing * 0.6, 1.1), self.at(swing * 1.1 + 0.08, 0.86)
        self.sprite.limb(self.at(0.0, 1.4), elbow, 0.13 * self.size, colour)
        self.sprite.limb(elbow, hand, 0.12 * self.size, colour, taper=0.8)
        self.sprite.disc(*hand, 0.065 * self.size, skin)

    def torso(self, colour: np.ndarray, *, coat: bool) -> None:
        hem, flare = (0.55, 0.26) if coat else (0.82, 0.18)
        right = [(0.21, 1.44), (0.19, 1.05), (flare, hem)]
        left = [(-x, y) for x, y in reversed(right)]
        self._shape([left[-1], *right, *left[:-1]], colour)
        self.sprite.limb(
            self.at(-0.14, 1.42), self.at(0.14, 1.42), 0.16 * self.size, colour
        )
        shade = [(-0.21, 1.44), (-0.05, 1.46), (-0.08, hem), (-flare, hem)]
        self._shape(shade, colour * 0.86)

    def bag(self, near: np.ndarray) -> None:
        tint = np.array((150, 70, 50)) if near.mean() < 120 else np.array((52, 58, 74))
        outline = [(-0.18, 1.42), (-0.38, 1.36), (-0.4, 0.98), (-0.18, 0.94)]
        self._shape(outline, tint)

    def head(self, skin: np.ndarray, brush: Brush) -> None:
        s, hair = self.size, brush.one_of(_HAIR)
        self.sprite.limb(self.at(0, 1.44), self.at(0.01, 1.55), 0.11 * s, skin * 0.9)
        self.sprite.disc(*self.at(-0.02, 1.665), 0.125 * s, hair)
        self.sprite.disc(*self.at(0.035, 1.635), 0.098 * s, skin)
        style = brush.rng.random()
        if style < 0.3:
            self.sprite.limb(self.at(-0.09, 1.66), self.at(-0.12, 1.44), 0.12 * s, hair)
        elif style < 0.5:
            cap = brush.one_of(_TOPS)
            self.sprite.limb(self.at(-0.08, 1.73), self.at(0.07, 1.73), 0.12 * s, cap)

    def umbrella(self, colour: np.ndarray, skin: np.ndarray) -> None:
        self.sprite.limb(self.at(0.16, 1.15), self.at(0.12, 2.12), 0.045, (50, 50, 54))
        turn = np.linspace(0, np.pi, 13)
        for wide, tint in ((0.62, colour), (0.24, np.minimum(colour * 1.16 + 8, 255))):
            x, y = 0.12 + wide * np.cos(turn), 1.84 + 0.36 * np.sin(turn)
            self._shape(list(zip(x, y, strict=True)), tint)
        self.sprite.disc(*self.at(0.16, 1.16), 0.065 * self.size, skin)

    def _shape(self, points: list[tuple[float, float]], colour: np.ndarray) -> None:
        self.sprite.polygon([self.at(x, y) for x, y in points], colour)
