"""What makes the constructors of a family of models."""

from collections.abc import Callable

from seglib.catalogue import NAMES
from seglib.compat.keras_segmentation.models.model import KerasSegmentationModel
from seglib.data.pairs import Inputs
from seglib.errors import UsageError
from seglib.models.build import build_model

Constructor = Callable[..., KerasSegmentationModel]

_LEVEL = 3  # the one encoder_level
# Whose encoders keras_segmentation gives the weights of ImageNet.
_PRETRAINED = ("vgg16", "resnet50", "mobilenet")
_UNTRAINED = ("pspnet_50", "pspnet_101")


def constructor(name: str, height: int = 416, width: int = 608) -> Constructor:
    """The constructor of a model.

    Args:
        height, width: the default size of its images, in pixels.
    """

    def build(
        n_classes: int,
        input_height: int = height,
        input_width: int = width,
        channels: int = 3,
        *,
        others: Inputs | None = None,
        weights: str | None = first_weights(name),
    ) -> KerasSegmentationModel:
        return built(
            name, n_classes, (input_height, input_width), channels, others, weights
        )

    return _named(build, name)


def constructor_with_level(
    name: str, height: int = 416, width: int = 608
) -> Constructor:
    """As `constructor`, of a model that has an `encoder_level`."""

    def build(
        n_classes: int,
        input_height: int = height,
        input_width: int = width,
        encoder_level: int = _LEVEL,
        channels: int = 3,
        *,
        others: Inputs | None = None,
        weights: str | None = first_weights(name),
    ) -> KerasSegmentationModel:
        if encoder_level != _LEVEL:
            raise UsageError(
                f"`encoder_level` must be {_LEVEL}. Received: {encoder_level}. "
                "`seglib models` lists other architectures and encoders."
            )
        return built(
            name, n_classes, (input_height, input_width), channels, others, weights
        )

    return _named(build, name)


def first_weights(name: str) -> str | None:
    """The weights that a model's encoder has before training."""
    _, encoder = NAMES.get(name, ("", ""))
    has_weights = encoder in _PRETRAINED and name not in _UNTRAINED
    return "imagenet" if has_weights else None


def built(
    name: str,
    n_classes: int,
    image_size: tuple[int, int],
    channels: int,
    others: Inputs | None,
    weights: str | None,
    encoder: str | None = None,
) -> KerasSegmentationModel:
    """Build a model by `seglib.build_model`; grey ones have no weights of ImageNet."""
    model = build_model(
        name,
        num_classes=n_classes,
        image_size=image_size,
        channels=channels,
        others=others,
        encoder=encoder,
        weights=None if channels < 3 and weights == "imagenet" else weights,
    )
    return KerasSegmentationModel.of(model)


def _named(build: Constructor, name: str) -> Constructor:
    build.__name__ = build.__qualname__ = name
    build.__doc__ = f"""`{name}` of `seglib models`.

    Args:
        others: name and channels of further inputs, such as {{"depth": 1}}.
        weights: of the encoder, as for `seglib.build_model`; None: random.
    """
    return build
