"""Weights from another model."""

import numpy as np
import pytest

from seglib.errors import UsageError
from seglib.models import build_model, transfer_weights


def _build(name, num_classes, encoder=None):
    return build_model(
        name, num_classes=num_classes, image_size=(64, 96), encoder=encoder
    )


def test_everything_but_the_head_is_transferred():
    source, target = _build("compact", 5), _build("compact", 3)
    before = np.asarray(target.network.get_layer("head").kernel)
    done = transfer_weights(source, target)
    assert {path.split("/")[0] for path in done.left} == {"head"}
    assert len(done.copied) + len(done.left) == len(target.network.weights)
    assert (np.asarray(target.network.get_layer("head").kernel) == before).all()
    for name in ("encoder", "decoder1_conv"):
        ours, theirs = (m.network.get_layer(name) for m in (target, source))
        for a, b in zip(ours.get_weights(), theirs.get_weights(), strict=True):
            assert (a == b).all()


def test_an_encoder_is_transferred_between_architectures():
    done = transfer_weights(_build("unet", 3, "compact"), _build("fpn", 3, "compact"))
    encoder = _build("fpn", 3, "compact").network.get_layer("encoder")
    assert len(done.copied) >= len(encoder.weights)


def test_models_without_a_common_weight_are_refused():
    with pytest.raises(UsageError, match="compact on compact and unet on mini"):
        transfer_weights(_build("compact", 3), _build("unet", 5, "mini"))
