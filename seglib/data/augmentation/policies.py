"""Augmentation policies, and their application to pairs of image and mask.

The only module that imports albumentations (Buslaev et al., "Albumentations: fast and
flexible image augmentations", Information 11(2), 2020). Geometry never invents classes:
pixels that a rotation reveals become the ignored id or, if a dataset has none, a mirror
image of picture and mask alike.
"""

import os
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np

from seglib.data.pairs import IMAGE, Inputs, join, split

Transforms = list[Any]  # of albumentations


class Augmenter:
    """Applies a policy to pairs of image and mask. Each thread needs one of its own.

    Args:
        policy: a name of POLICIES.
        ignore_index: the id of the pixels that a geometric change reveals. None: they
            become a mirror image of picture and mask.
        others: name and channels of the inputs that are joined behind the image. They
            move with it; light and noise change the image alone.
    """

    def __init__(
        self, policy: str, ignore_index: int | None, others: Inputs | None = None
    ):
        others = others or {}
        # albumentations asks the network for a newer version when it is imported.
        os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
        import albumentations

        moved = dict.fromkeys(others, "image")
        moves, looks = POLICIES[policy]
        self._moves = albumentations.Compose(
            moves(ignore_index), additional_targets=moved
        )
        self._looks = albumentations.Compose(looks())
        self._others = others

    def __call__(
        self, image: np.ndarray, mask: np.ndarray, *, seed: tuple[int, ...]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Alter a pair; the same seed gives the same result.

        Args:
            image: uint8 (H, W, C), its inputs joined.
            mask: uint8 or uint16 (H, W), ids.
            seed: non-negative integers.

        Returns:
            The altered image and mask, of the same shapes and dtypes.
        """
        numbers = np.random.SeedSequence(seed).generate_state(2)
        for compose, number in zip((self._moves, self._looks), numbers, strict=True):
            compose.set_random_seed(int(number))
        colours = image.shape[2] - sum(self._others.values())
        parts = split(image, {IMAGE: colours, **self._others})
        parts = [np.ascontiguousarray(part) for part in parts]
        named = dict(zip((IMAGE, *self._others), parts, strict=True))
        moved = self._moves(**named, mask=mask)
        moved[IMAGE] = self._looks(image=moved[IMAGE])["image"]
        altered = [moved[name].reshape(part.shape) for name, part in named.items()]
        return join(altered), moved["mask"]


def _geometric(ignore_index: int | None) -> Transforms:
    import albumentations as A  # noqa: N812 its documented name

    reveal = cv2.BORDER_REFLECT_101 if ignore_index is None else cv2.BORDER_CONSTANT
    return [
        A.HorizontalFlip(p=0.5),
        A.Affine(
            scale=(0.8, 1.3),
            rotate=(-8, 8),
            shear=(-4, 4),
            translate_percent=(-0.08, 0.08),
            border_mode=reveal,
            fill=0,
            fill_mask=0 if ignore_index is None else ignore_index,
            mask_interpolation=cv2.INTER_NEAREST,
            p=0.8,
        ),
    ]


def _photometric() -> Transforms:
    import albumentations as A  # noqa: N812 its documented name

    return [
        A.RandomBrightnessContrast(0.25, 0.25, p=0.7),
        A.RandomGamma((75, 130), p=0.4),
        A.GaussianBlur((3, 5), p=0.2),
        A.GaussNoise(std_range=(0.01, 0.05), p=0.3),
    ]


def _weather() -> Transforms:
    import albumentations as A  # noqa: N812 its documented name

    weather = [
        A.RandomShadow(shadow_roi=(0, 0.4, 1, 1), p=1),
        A.RandomFog(fog_coef_range=(0.05, 0.25), alpha_coef=0.08, p=1),
        A.PlanckianJitter(p=1),
        A.HueSaturationValue(8, 25, 15, p=1),
    ]
    return [A.OneOf(weather, p=0.6), *_photometric()]


def _nothing(*_: Any) -> Transforms:
    return []


# name: (changes of geometry, given the ignored id; changes of colour)
POLICIES: dict[str, tuple[Callable[[int | None], Transforms], Callable[[], Transforms]]]
POLICIES = {
    "none": (_nothing, _nothing),
    "geometric": (_geometric, _nothing),
    "photometric": (_nothing, _photometric),
    "street": (_geometric, _weather),  # and shadow, haze and light; RGB images only
}
