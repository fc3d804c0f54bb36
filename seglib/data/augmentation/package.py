"""Transforms of albumentations, in a policy or as a policy of their own.

The only module that imports albumentations (Buslaev et al. 2020, "Albumentations: Fast
and Flexible Image Augmentations", Information 11(2)).
"""

import inspect
import json
import os
import reprlib
import threading
import warnings
from collections.abc import Callable
from typing import Any, Self

import cv2
import numpy as np

from seglib.data.pairs import IMAGE, ImageAndMask, Inputs, join, split
from seglib.errors import SegError, UsageError, unknown
from seglib.policies import Step

_ALPHA = "alpha"  # moves with the image, and has no colour


class PackageTransform:
    """A transform of albumentations, for any number of threads.

    Args:
        build: makes the transform; its objects hold their last draw, so each thread
            needs one of its own.
        others: name and channels of the inputs that are joined behind the image.
    """

    def __init__(self, name: str, build: Callable[[], Any], others: Inputs):
        self._name, self._build, self._others = name, build, others
        self._local = threading.local()
        self._compose()  # raises now what is wrong

    @classmethod
    def of_step(cls, step: Step, void: int | None, others: Inputs) -> Self:
        """The class that a step names.

        Raises:
            UsageError: no such class, or an argument that it does not take.
        """
        albumentations = _albumentations()
        base = albumentations.BasicTransform
        known = [
            name
            for name, found in vars(albumentations).items()
            if inspect.isclass(found) and issubclass(found, base)
        ]
        if step.name not in known:
            raise unknown(f"transform at `{step.place}`", step.name, known)
        kind = getattr(albumentations, step.name)
        options = dict(step.options)
        taken = inspect.signature(kind).parameters
        if {"fill_mask", "border_mode"} <= taken.keys() and "fill_mask" not in options:
            if void is None:
                options.setdefault("border_mode", cv2.BORDER_REFLECT_101)
            else:
                options["fill_mask"] = void

        def build() -> Any:
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("error")  # of arguments that it ignores
                    return kind(**options, p=1)
            except (TypeError, ValueError, UserWarning) as error:
                reason = " ".join(str(error).partition("For further")[0].split())
                raise UsageError(
                    f"`{step.place}` must have arguments of albumentations.{step.name}."
                    f" Received: {reprlib.repr(dict(step.options))}. {reason[:300]}"
                ) from error

        return cls(step.name, build, others)

    @classmethod
    def from_json(cls, text: str, others: Inputs) -> Self:
        """What `to_dict` of a transform gave, as JSON.

        Raises:
            UsageError: it is no such text.
        """

        def build() -> Any:
            try:
                return _albumentations().from_dict(json.loads(text))
            except (TypeError, ValueError, KeyError, AttributeError) as error:
                raise UsageError(
                    "The policy must be what `to_dict` of albumentations gives. "
                    f"Received: {reprlib.repr(text)}. {str(error)[:300]}"
                ) from error

        return cls("policy", build, others)

    def __call__(
        self, image: np.ndarray, mask: np.ndarray, rng: np.random.Generator
    ) -> ImageAndMask:
        """Alter a pair; arguments and result as of `Augmenter`.

        Raises:
            SegError: the transform refuses the image, such as a grey one.
        """
        compose = self._compose()
        compose.set_random_seed(int(rng.integers(2**31)))
        own = colour_channels(image, self._others)
        alpha = image.shape[2] - own - sum(self._others.values())
        inputs = {IMAGE: own, **({_ALPHA: alpha} if alpha else {}), **self._others}
        parts = map(np.ascontiguousarray, split(image, inputs))
        named = dict(zip(inputs, parts, strict=True))
        steps = compose.transforms
        if len(steps) == 1 and isinstance(
            steps[0], _albumentations().ImageOnlyTransform
        ):
            given = {IMAGE: named[IMAGE]}
        else:
            given = {**named, "mask": mask}
        try:
            made = compose(**given)
        except (TypeError, ValueError, KeyError, cv2.error) as error:
            raise SegError(
                f"albumentations' {self._name} refuses an image of {own} channels: "
                f"{str(error)[:300]}"
            ) from error
        altered = [
            made[name].reshape(*made[name].shape[:2], -1) if name in given else part
            for name, part in named.items()
        ]
        return join(altered), made.get("mask", mask)

    def _compose(self) -> Any:
        """The transform as a `Compose` of this thread."""
        if not hasattr(self._local, "compose"):
            albumentations, made = _albumentations(), self._build()
            moved = dict.fromkeys((_ALPHA, *self._others), "image")
            if isinstance(made, albumentations.Compose):
                made.add_targets(moved)
                self._local.compose = made
            else:
                self._local.compose = albumentations.Compose(
                    [made], additional_targets=moved
                )
        return self._local.compose


def colour_channels(image: np.ndarray, others: Inputs) -> int:
    """The channels of a joined image that have a colour: not alpha, nor `others`."""
    channels = int(image.shape[2]) - sum(others.values())
    return 3 if channels == 4 else channels


def checked(
    name: str, before: ImageAndMask, after: ImageAndMask, void: int | None
) -> ImageAndMask:
    """What a transform that is not ours made of a pair.

    Raises:
        SegError: it changed a shape or a dtype, or made an id.
    """
    for old, new in zip(before, after, strict=True):
        if old.shape != new.shape or old.dtype != new.dtype:
            raise SegError(
                f"The augmentation `{name}` must keep shape and dtype of image and "
                f"mask. Expected: {old.shape} {old.dtype}. Received: {new.shape} "
                f"{new.dtype}."
            )
    if after[1] is before[1]:
        return after
    old, new = (np.bincount(mask.reshape(-1)) for _, mask in (before, after))
    made = set(np.flatnonzero(new)) - set(np.flatnonzero(old)) - {void}
    if made:
        raise SegError(
            f"The augmentation `{name}` makes the id {min(made)}, which the mask had "
            f"not. Expected: what it reveals has the ignored id, {void}."
        )
    return after


def _albumentations() -> Any:
    """The package; it asks the network for a newer version unless it is told not to."""
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
    import albumentations

    return albumentations
