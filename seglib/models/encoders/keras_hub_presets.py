"""Arguments of keras-hub's backbones, preset by preset.

A test compares the number of weights with the one that keras-hub states of each.
"""

from typing import Any

_RESNET = {
    "input_conv_filters": (64,),
    "input_conv_kernel_sizes": (7,),
    "stackwise_num_filters": (64, 128, 256, 512),
    "stackwise_num_strides": (1, 2, 2, 2),
}
_VD = {
    **_RESNET,
    "input_conv_filters": (32, 32, 64),
    "input_conv_kernel_sizes": (3,) * 3,
}
_DEPTHS = {
    "18": (2, 2, 2, 2),
    "34": (3, 4, 6, 3),
    "50": (3, 4, 6, 3),
    "101": (3, 4, 23, 3),
    "152": (3, 8, 36, 3),
    "200": (3, 12, 48, 3),
}


def resnet(depth: str, kind: str = "", **more: Any) -> dict[str, Any]:
    block = "basic_block" if depth in ("18", "34") else "bottleneck_block"
    return {
        **(_VD if kind else _RESNET),
        "stackwise_num_blocks": _DEPTHS[depth],
        "block_type": block + kind,
        **more,
    }


DARKNET = {
    "stem_filters": 32,
    "stem_kernel_size": 3,
    "stem_strides": 1,
    "stem_padding": "same",
    "stackwise_depth": (1, 2, 8, 8, 4),
    "stackwise_strides": (2,) * 5,
    "stackwise_num_filters": (64, 128, 256, 512, 1024),
    "block_type": "dark_block",
}
CSP_RESNET = {
    "stem_filters": 64,
    "stem_kernel_size": 7,
    "stem_strides": 4,
    "stem_pooling": "max",
    "stackwise_depth": (3, 3, 5, 2),
    "stackwise_strides": (1, 2, 2, 2),
    "block_type": "bottleneck_block",
    "stage_type": "csp",
    "cross_linear": True,
}
_EFFICIENTNET = {
    "stackwise_kernel_sizes": (3, 3, 5, 3, 5, 5, 3),
    "stackwise_num_repeats": (1, 2, 2, 3, 3, 4, 1),
    "stackwise_input_filters": (32, 16, 24, 40, 80, 112, 192),
    "stackwise_output_filters": (16, 24, 40, 80, 112, 192, 320),
    "stackwise_expansion_ratios": (1, 6, 6, 6, 6, 6, 6),
    "stackwise_strides": (1, 2, 2, 2, 1, 2, 1),
    "stackwise_block_types": ("v1",) * 7,
    "min_depth": None,
    "use_depth_divisor_as_min_depth": True,
    "cap_round_filter_decrease": True,
    "dropout": 0,
}


def efficientnet(width: float, depth: float, squeeze: float = 0.25, **more: Any) -> Any:
    return {
        **_EFFICIENTNET,
        "stackwise_width_coefficients": (width,) * 7,
        "stackwise_depth_coefficients": (depth,) * 7,
        "stackwise_squeeze_and_excite_ratios": (squeeze,) * 7,
        **more,
    }


def _hgnet(stem: tuple[int, ...], stages: Any) -> dict[str, Any]:
    """Stages: (in, middle, out, blocks, layers of a block, kernel) of each."""
    return {
        "stem_channels": stem,
        "embedding_size": stem[-1],
        "stackwise_stage_filters": stages,
        "hidden_sizes": [stage[2] for stage in stages],
        "depths": [stage[3] for stage in stages],
        "hidden_act": "relu",
        "use_learnable_affine_block": False,
        "apply_downsample": (False, True, True, True),
        "use_lightweight_conv_block": (False, False, True, True),
    }


HGNETS = {
    "b4": _hgnet(
        (3, 32, 48),
        (
            (48, 48, 128, 1, 6, 3),
            (128, 96, 512, 1, 6, 3),
            (512, 192, 1024, 3, 6, 5),
            (1024, 384, 2048, 1, 6, 5),
        ),
    ),
    "b5": _hgnet(
        (3, 32, 64),
        (
            (64, 64, 128, 1, 6, 3),
            (128, 128, 512, 2, 6, 3),
            (512, 256, 1024, 5, 6, 5),
            (1024, 512, 2048, 2, 6, 5),
        ),
    ),
    "b6": _hgnet(
        (3, 48, 96),
        (
            (96, 96, 192, 2, 6, 3),
            (192, 192, 512, 3, 6, 3),
            (512, 384, 1024, 6, 6, 5),
            (1024, 768, 2048, 3, 6, 5),
        ),
    ),
}
