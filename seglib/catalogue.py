"""The names of architectures and encoders, and what goes with what; without Keras.

A name is checked, and listed, before TensorFlow is loaded. How each is built stands in
`seglib.models`; a test compares the two.
"""

from dataclasses import dataclass

from seglib.errors import UsageError, unknown


@dataclass(frozen=True)
class Architecture:
    """What is known of an architecture.

    encoder: its own, if none is named.
    levels: that its encoder must have.
    needs_pools: of 2×2 maxima in its encoder.
    """

    encoder: str
    summary: str
    levels: tuple[int, ...] = ()
    needs_pools: bool = False


@dataclass(frozen=True)
class Encoder:
    """What is known of an encoder.

    levels: of its maps, at stride 2**level.
    pools: by 2×2 maxima.
    weights: trained ones; "" where there are none.
    """

    levels: tuple[int, ...] = (1, 2, 3, 4, 5)
    pools: bool = False
    weights: str = ""


_ALL, _FROM_TWO = (1, 2, 3, 4, 5), (2, 3, 4, 5)

ARCHITECTURES = {
    "compact": Architecture(
        "compact", "light pyramid made for CPUs; the default", _ALL
    ),
    "compact_small": Architecture(
        "compact_small", "half as wide, for the smallest machines", _ALL
    ),
    "unet": Architecture("plain", "U-Net with same padding"),
    "unet_plus_plus": Architecture("plain", "U-Net++: densely joined levels"),
    "fpn": Architecture(
        "efficientnet_lite0", "pyramid of one width, all levels summed", _FROM_TWO
    ),
    "linknet": Architecture("efficientnet_lite0", "U-Net that adds: narrow and cheap"),
    "pspnet": Architecture("vanilla", "averages of the image's regions", (3, 5)),
    "deeplab_v3_plus": Architecture(
        "efficientnet_lite0", "atrous convolutions of several rates", (2, 5)
    ),
    "segformer": Architecture(
        "mit_b0", "transformer encoder, linear decoder", _FROM_TWO
    ),
    "segformer_wide": Architecture(
        "mit_b2", "SegFormer-B2 … B5, whose decoder is wider", _FROM_TWO
    ),
    "fcn_8": Architecture("plain", "scores of strides 32, 16 and 8", (3, 4, 5)),
    "fcn_16": Architecture("plain", "scores of strides 32 and 16", (4, 5)),
    "fcn_32": Architecture("plain", "scores of stride 32", (5,)),
    "segnet": Architecture(
        "vanilla", "unpools by the encoder's maxima", needs_pools=True
    ),
    "segnet_plain": Architecture("vanilla", "SegNet that interpolates"),
    "bayesian_segnet": Architecture(
        "vanilla", "SegNet with dropout, for predict_uncertainty", needs_pools=True
    ),
}

# keras_segmentation's names, each an architecture and its encoder.
NAMES: dict[str, tuple[str, str]] = {
    "fcn_8_vgg": ("fcn_8", "vgg16"),
    "fcn_8_resnet50": ("fcn_8", "resnet50"),
    "fcn_8_mobilenet": ("fcn_8", "mobilenet"),
    "fcn_16_vgg": ("fcn_16", "vgg16"),
    "fcn_16_resnet50": ("fcn_16", "resnet50"),
    "fcn_16_mobilenet": ("fcn_16", "mobilenet"),
    "fcn_32_vgg": ("fcn_32", "vgg16"),
    "fcn_32_resnet50": ("fcn_32", "resnet50"),
    "fcn_32_mobilenet": ("fcn_32", "mobilenet"),
    "unet_mini": ("unet", "mini"),
    "vgg_unet": ("unet", "vgg16"),
    "resnet50_unet": ("unet", "resnet50"),
    "mobilenet_unet": ("unet", "mobilenet"),
    "vgg_pspnet": ("pspnet", "vgg16"),
    "resnet50_pspnet": ("pspnet", "resnet50"),
    "mobilenet_pspnet": ("pspnet", "mobilenet"),
    "pspnet_50": ("pspnet", "resnet50"),
    "pspnet_101": ("pspnet", "resnet101"),
    "vgg_segnet": ("segnet", "vgg16"),
    "resnet50_segnet": ("segnet_plain", "resnet50"),  # which have no 2×2 maxima
    "mobilenet_segnet": ("segnet_plain", "mobilenet"),
}

_DOWNLOAD = "downloaded by Keras, or a file"
_HUB = "a preset of keras-hub (pip install 'seglib[hub]')"
_PACKAGE = "from a package"
_SEGFORMER = "ade20k, cityscapes (keras-hub), or a file"
_FROM_ZERO = (0, *_ALL)
_GROUPS = (
    ("compact compact_small", Encoder()),
    ("mini", Encoder((0, 1, 2), pools=True)),
    ("plain vanilla", Encoder(_FROM_ZERO, pools=True)),
    (
        "efficientnet_lite0 efficientnet_lite1 efficientnet_lite2",
        Encoder(weights=_PACKAGE),
    ),
    ("vgg16 vgg19", Encoder(_FROM_ZERO, pools=True, weights=_DOWNLOAD)),
    (
        (
            "resnet50 resnet101 resnet152 resnet50v2 resnet101v2 resnet152v2 "
            "mobilenet mobilenetv2 mobilenetv3_small mobilenetv3_large "
            "efficientnetb0 efficientnetb1 efficientnetb2 efficientnetb3 "
            "efficientnetb4 efficientnetb5 efficientnetb6 efficientnetb7 "
            "efficientnetv2b0 efficientnetv2b1 efficientnetv2b2 efficientnetv2b3 "
            "efficientnetv2s efficientnetv2m efficientnetv2l "
            "densenet121 densenet169 densenet201"
        ),
        Encoder(weights=_DOWNLOAD),
    ),
    (
        "convnext_tiny convnext_small convnext_base",
        Encoder(_FROM_TWO, weights=_DOWNLOAD),
    ),
    (
        (
            "resnet_18_imagenet resnet_50_imagenet resnet_101_imagenet "
            "resnet_152_imagenet resnet_vd_18_imagenet resnet_vd_34_imagenet "
            "resnet_vd_50_imagenet resnet_vd_50_ssld_imagenet "
            "resnet_vd_50_ssld_v2_imagenet resnet_vd_50_ssld_v2_fix_imagenet "
            "resnet_vd_101_imagenet resnet_vd_101_ssld_imagenet resnet_vd_152_imagenet "
            "resnet_vd_200_imagenet resnet_v2_50_imagenet resnet_v2_101_imagenet "
            "csp_darknet_53_ra_imagenet darknet_53_imagenet csp_resnet_50_ra_imagenet "
            "csp_resnext_50_ra_imagenet densenet_121_imagenet densenet_169_imagenet "
            "densenet_201_imagenet efficientnet_b0_ra_imagenet "
            "efficientnet_b0_ra4_e3600_r224_imagenet efficientnet_b1_ft_imagenet "
            "efficientnet_b1_ra4_e3600_r240_imagenet efficientnet_b2_ra_imagenet "
            "efficientnet_b3_ra2_imagenet efficientnet_b4_ra2_imagenet "
            "efficientnet_b5_sw_imagenet efficientnet_b5_sw_ft_imagenet "
            "efficientnet_lite0_ra_imagenet"
        ),
        Encoder(weights=_HUB),
    ),
    (
        (
            "hgnetv2_b4_ssld_stage2_ft_in1k hgnetv2_b5_ssld_stage1_in22k_in1k "
            "hgnetv2_b5_ssld_stage2_ft_in1k hgnetv2_b6_ssld_stage1_in22k_in1k "
            "hgnetv2_b6_ssld_stage2_ft_in1k dinov2_small dinov2_base dinov2_large "
            "dinov2_giant dinov2_with_registers_small dinov2_with_registers_base "
            "dinov2_with_registers_large dinov2_with_registers_giant "
            "dinov3_vit_small_lvd1689m dinov3_vit_small_plus_lvd1689m "
            "dinov3_vit_base_lvd1689m dinov3_vit_large_lvd1689m "
            "dinov3_vit_huge_plus_lvd1689m dinov3_vit_large_sat493m"
        ),
        Encoder(_FROM_TWO, weights=_HUB),
    ),
    (
        "mit_b0 mit_b1 mit_b2 mit_b3 mit_b4 mit_b5",
        Encoder(_FROM_TWO, weights=_SEGFORMER),
    ),
)
ENCODERS = {name: encoder for names, encoder in _GROUPS for name in names.split()}


def require_names(architecture: str, encoder: str) -> None:
    """Raise a UsageError unless both are known; an encoder of "" is."""
    if architecture not in ARCHITECTURES and architecture not in NAMES:
        raise unknown("model", architecture, [*ARCHITECTURES, *NAMES])
    if encoder and encoder not in ENCODERS:
        raise unknown("encoder", encoder, ENCODERS)


def resolve(name: str, encoder: str | None) -> tuple[str, str]:
    """The architecture and encoder that a model's name stands for.

    Raises:
        UsageError: an unknown name, or two that do not go together.
    """
    require_names(name, encoder or "")
    if name in NAMES:
        architecture, fixed = NAMES[name]
        if encoder not in (None, fixed):
            raise UsageError(
                f"`{name}` is `{architecture}` on the encoder `{fixed}`. Received: "
                f"encoder={encoder!r}. Use the model `{architecture}` for another."
            )
        return architecture, fixed
    architecture, encoder = name, encoder or ARCHITECTURES[name].encoder
    _check_fit(architecture, encoder)
    return architecture, encoder


def fitting_encoders(architecture: str) -> list[str]:
    """Names of the encoders that an architecture can be built on."""
    needs = ARCHITECTURES[architecture]
    return [
        name
        for name, encoder in ENCODERS.items()
        if set(needs.levels) <= set(encoder.levels)
        and (encoder.pools or not needs.needs_pools)
    ]


def _check_fit(architecture: str, encoder: str) -> None:
    fitting = fitting_encoders(architecture)
    if encoder in fitting:
        return
    needs, has = ARCHITECTURES[architecture], ENCODERS[encoder]
    missing = [2**level for level in needs.levels if level not in has.levels]
    problem = (
        f"needs features at stride {', '.join(map(str, missing))}"
        if missing
        else "needs an encoder that halves by 2×2 maximum pooling"
    )
    other = "" if missing else " Or use `segnet_plain`, which takes any encoder."
    raise UsageError(
        f"`{architecture}` {problem}; the encoder `{encoder}` has none. Use one of: "
        f"{', '.join(fitting)}.{other}"
    )
