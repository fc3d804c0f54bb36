import numpy as np

from seglib.config import TrainConfig
from seglib.distributed import ProcessGroup
from seglib.training.learner import Learner
from seglib.training.losses import CrossEntropy
from seglib.training.precision import Numerics
from tests.steps.small_network import build


def test_each_step_counts_its_own_pixels_also_after_the_encoder_thaws():
    learner = Learner(
        build(0),
        Numerics(),
        config=TrainConfig(),
        loss=CrossEntropy(ignore_index=255),
        distillation=None,
        group=ProcessGroup(),
    )
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (2, 32, 48, 3)).astype(np.uint8)
    masks = rng.integers(0, 8, (2, 32, 48)).astype(np.int32)
    masks[0] = 255
    for frozen in (True, False):
        learner.freeze_encoder(frozen=frozen)
        learner.compile()
        for _ in range(2):
            loss, counts = learner.take_step(images, masks, learning_rate=1e-3)
            assert np.isfinite(loss)
            assert counts.sum() == 32 * 48
