"""The object that applies a policy to pairs of image and mask.

One draw moves image, further inputs and mask alike: all moves are one warp, all changes
of colour one matrix and one table. Nothing invents a class: pixels that a move reveals
become the ignored id or, where there is none, a mirror image of picture and mask.
"""

from collections.abc import Callable

import numpy as np

from seglib.data.augmentation.colour import recolour
from seglib.data.augmentation.effects import add_effect
from seglib.data.augmentation.geometry import elastic_shift, transform_matrix, warp
from seglib.data.augmentation.mixing import Draw, mix
from seglib.data.augmentation.package import PackageTransform, checked, colour_channels
from seglib.data.pairs import ImageAndMask, Inputs, join
from seglib.errors import SegError
from seglib.policies import Step, parse_policy

# policy(image, mask, rng) gives image and mask, of the same shapes and dtypes.
Function = Callable[[np.ndarray, np.ndarray, np.random.Generator], ImageAndMask]
Drawn = list[tuple[Step, float]]


class Augmenter:
    """Applies a policy to pairs of image and mask, in any number of threads.

    Args:
        policy: the name of one, a policy as JSON (see `policy_text`), or a function.
        ignore_index: the id of the pixels that a move reveals. None: they become a
            mirror image of picture and mask.
        others: name and channels of the inputs that are joined behind the image. They
            move with it; colours and effects change the image alone.

    Raises:
        UsageError: a wrong policy.
    """

    def __init__(
        self,
        policy: str | Function,
        ignore_index: int | None,
        others: Inputs | None = None,
    ):
        self._void, self._others = ignore_index, dict(others or {})
        self._function: Function | None = None
        self._steps: tuple[Step, ...] = ()
        if not isinstance(policy, str):
            self._function = policy
        elif policy.startswith("{"):
            whole = PackageTransform.from_json(policy, self._others)
            self._function = whole
        else:
            self._steps = parse_policy(policy)
        self._package = {
            step.place: PackageTransform.of_step(step, ignore_index, self._others)
            for step in _all(self._steps)
            if step.place
        }

    @property
    def mixes(self) -> bool:
        """Whether it needs other pairs."""
        return any(step.stage == "mix" for step in _all(self._steps))

    def __call__(
        self,
        image: np.ndarray,
        mask: np.ndarray,
        rng: np.random.Generator,
        draw: Draw | None = None,
    ) -> ImageAndMask:
        """Alter a pair; the same state of `rng` gives the same result.

        Args:
            image: uint8 (H, W, C), its inputs joined.
            mask: uint8 or uint16 (H, W), ids.
            draw: gives other pairs, for policies that mix.

        Returns:
            The altered image and mask, of the same shapes and dtypes.

        Raises:
            SegError: a policy of one's own changes a shape or a dtype, or makes an id.
        """
        if self._function:
            altered = self._function(image, mask, rng)
            return checked("policy", (image, mask), altered, self._void)
        drawn = _draw(self._steps, rng)
        pair = image, mask
        for step, _ in drawn:
            if step.stage == "mix":
                if draw is None:
                    raise SegError(f"`{step.name}` needs other pairs to draw from.")
                pair = mix(step.name, pair, draw, rng, self._void)
        pair = self._move(pair, drawn, rng)
        return self._look(pair, drawn, rng)

    def _move(
        self, pair: ImageAndMask, drawn: Drawn, rng: np.random.Generator
    ) -> ImageAndMask:
        size = pair[1].shape
        matrix, shift = np.eye(3), None
        for step, value in drawn:
            if step.name == "elastic":
                shift = elastic_shift(value, size, rng)
            elif step.stage == "move":
                matrix = transform_matrix(step.name, value, size, rng) @ matrix
        if shift is None and np.array_equal(matrix, np.eye(3)):
            return pair
        return warp(*pair, matrix, shift, self._void)

    def _look(
        self, pair: ImageAndMask, drawn: Drawn, rng: np.random.Generator
    ) -> ImageAndMask:
        image, mask = pair
        colours = [(s.name, value) for s, value in drawn if s.stage == "recolour"]
        effects = [(step, value) for step, value in drawn if step.stage == "effect"]
        if not colours and not effects:
            return pair
        own = colour_channels(image, self._others)
        rest = image[..., own:]
        seen = np.ascontiguousarray(image[..., :own])
        if colours:
            seen = recolour(seen, colours, rng)
        for step, value in effects:
            if step.place:
                whole = join([seen, rest] if rest.shape[2] else [seen]), mask
                altered = self._package[step.place](*whole, rng)
                image, mask = checked(step.name, whole, altered, self._void)
                seen, rest = np.ascontiguousarray(image[..., :own]), image[..., own:]
            else:
                seen = add_effect(seen, step.name, value, rng)
        return join([seen, rest]) if rest.shape[2] else seen, mask


def _draw(steps: tuple[Step, ...], rng: np.random.Generator) -> Drawn:
    """The steps that happen this time, with their numbers."""
    drawn: Drawn = []
    for step in steps:
        if rng.random() < step.p:
            drawn += _happens(step, rng)
    return drawn


def _happens(step: Step, rng: np.random.Generator) -> Drawn:
    if step.name == "all_of":
        return _draw(step.of, rng)
    if step.name == "one_of":
        weights = np.cumsum([member.p for member in step.of])
        place = int(np.searchsorted(weights, rng.random() * weights[-1], side="right"))
        return _happens(step.of[place], rng)
    return [(step, rng.uniform(*step.range))]


def _all(steps: tuple[Step, ...]) -> tuple[Step, ...]:
    return tuple(part for step in steps for part in (step, *_all(step.of)))
