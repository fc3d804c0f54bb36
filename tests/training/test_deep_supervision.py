"""Inner maps are classified while a network learns, and only then."""

import math
from typing import Any

import keras
import numpy as np
import pytest

from seglib.config import TrainConfig
from seglib.distributed import ProcessGroup
from seglib.errors import UsageError
from seglib.models import build_model
from seglib.models.model import SegmentationModel, load_model
from seglib.steps.train import train
from seglib.training.deep_supervision import require_auxiliary, with_auxiliary
from seglib.training.distillation import Distillation
from seglib.training.learner import Learner
from seglib.training.losses import CrossEntropy
from seglib.training.precision import Numerics
from tests.steps.small_network import build

CLASSES = 8


def _model(name: str = "unet_plus_plus", encoder: str = "mini") -> SegmentationModel:
    keras.utils.set_random_seed(1)
    return build_model(name, num_classes=CLASSES, image_size=(32, 48), encoder=encoder)


@pytest.mark.parametrize(
    ("name", "encoder", "maps"),
    [
        # Levels 0, 1, 2: the first row is node 1, and node 2, which is the network's.
        ("unet_plus_plus", "mini", 1),
        ("pspnet", "compact_small", 1),
        ("deeplab_v3_plus", "compact_small", 1),
    ],
)
def test_each_inner_map_gives_logits_of_the_images_size(name, encoder, maps):
    model = _model(name, encoder)
    supervised = with_auxiliary(model.network, model.contract)
    images = np.random.default_rng(0).integers(0, 256, (2, 29, 43, 3)).astype("float32")
    logits, *auxiliary = supervised(images)
    assert len(auxiliary) == maps
    assert {tuple(each.shape) for each in auxiliary} == {(2, 29, 43, CLASSES)}
    assert np.asarray(logits) == pytest.approx(np.asarray(model.network(images)))


def test_the_loss_on_the_inner_maps_is_added_by_its_weight():
    """Classifiers begin at 0: each class is as probable, the cross-entropy ln 8."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (2, 32, 48, 3)).astype(np.uint8)
    masks = rng.integers(0, CLASSES, (2, 32, 48)).astype(np.int32)

    def learner_of(weight: float) -> Learner:
        learner = Learner(
            _model(),
            Numerics(),
            config=TrainConfig(deep_supervision=weight),
            loss=CrossEntropy(),
            distillation=None,
            group=ProcessGroup(),
        )
        learner.compile()
        learner.take_step(images, masks, learning_rate=1e-3)
        return learner

    plain, supervised = learner_of(0), learner_of(0.4)
    ((one,), (other,)) = plain.results(), supervised.results()
    assert other.loss == pytest.approx(one.loss + 0.4 * math.log(CLASSES), rel=1e-5)
    assert (one.confusion == other.confusion).all()
    assert len(supervised.weights) == len(plain.weights)
    kernel, bias = supervised.variables[len(plain.variables) :]
    assert kernel.shape == (1, 1, plain.network.get_layer("node0_1_conv").filters, 8)
    assert np.asarray(kernel).any()
    assert bias.shape == (8,)


def test_a_supervised_training_is_resumed_and_its_model_has_no_further_layers(
    tiny_dataset, tmp_path
):
    config = TrainConfig(
        epochs=2,
        steps_per_epoch=2,
        batch_size=2,
        deep_supervision=0.4,
        accumulate=2,
        ema_decay=0.9,
        freeze_epochs=1,
        encoder_learning_rate=0.5,
    )
    teacher = Distillation(teacher=build(4), pairwise_weight=1.0)

    def run(name: str, stop: int = 0) -> Any:
        def on_step(done: int, _: int) -> None:
            if done == stop:
                raise KeyboardInterrupt

        return train(
            _model(),
            tiny_dataset,
            config=config,
            distillation=teacher,
            checkpoints=tmp_path / "kept" / name,
            out=tmp_path / name,
            progress=on_step,
            on_epoch=lambda _: None,
        )

    whole = run("whole")
    with pytest.raises(KeyboardInterrupt):
        run("resumed", stop=4)
    assert list((tmp_path / "kept" / "resumed").glob("*/*.checkpoint"))
    resumed = run("resumed")
    for name in ("loss", "train_miou", "val_miou"):
        expected = [row[name] for row in whole]
        assert [row[name] for row in resumed] == pytest.approx(expected, rel=1e-5)
    written = load_model(tmp_path / "resumed").network
    assert [x.name for x in written.layers] == [x.name for x in _model().network.layers]


@pytest.mark.parametrize("model", [_model("unet"), build(0)], ids=["unet", "custom"])
def test_an_architecture_without_such_maps_names_those_that_have_them(model):
    with pytest.raises(UsageError, match=r"one of: unet_plus_plus, pspnet.*Received: "):
        require_auxiliary(model.contract)
