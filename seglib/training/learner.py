"""The network that learns: a copy of a model's, in one number format, and its step."""

import keras
import numpy as np

from seglib.config import TrainConfig
from seglib.data.loader import crop_size
from seglib.distributed.process_group import ProcessGroup
from seglib.evaluation.metrics import MeanIoU
from seglib.models import copy_network
from seglib.models.model import SegmentationModel
from seglib.training.distillation import Distillation, Distiller
from seglib.training.losses import CrossEntropy
from seglib.training.optimizer import build_optimizer, encoder_of
from seglib.training.precision import Numerics, Timing, time_steps


class Learner:
    """A copy of a model's network, with its loss, optimizer and training step.

    Args:
        model: whose weights the copy starts from; it is left alone.
        numerics: number format and compiler.
        config: of the optimizer.
        loss: on the masks.
        distillation: a teacher beside them.
        group: the processes that share each batch.
    """

    def __init__(
        self,
        model: SegmentationModel,
        numerics: Numerics,
        *,
        config: TrainConfig,
        loss: CrossEntropy,
        distillation: Distillation | None,
        group: ProcessGroup,
    ):
        self._config, self._loss, self._group = config, loss, group
        self._numerics, self._contract = numerics, model.contract
        self.network = copy_network(model, precision=numerics.precision)
        group.share_batch_statistics(self.network)
        self._trainee = self.network
        if distillation:
            self._trainee = Distiller(self.network, distillation)
        self._miou = MeanIoU(model.contract.num_classes, model.contract.ignore_index)

    @property
    def optimizer(self) -> keras.optimizers.Optimizer:
        return self._trainee.optimizer

    @property
    def learning_rate(self) -> float:
        """Of the last step."""
        return float(keras.ops.convert_to_numpy(self.optimizer.learning_rate))

    def freeze_encoder(self, *, frozen: bool) -> None:
        """Keep the encoder's weights and statistics, or let it learn; then compile."""
        encoder_of(self.network).trainable = not frozen

    def compile(self) -> None:
        """Give what is trainable now a new optimizer, and a step of all processes."""
        self._compile_alone()
        self._group.share_steps(self._trainee, loss=self._loss, metric=self._miou)

    def take_step(
        self, images: np.ndarray, masks: np.ndarray, *, learning_rate: float
    ) -> tuple[float, np.ndarray]:
        """Take one step on this process's part of a batch.

        Args:
            images: uint8 (N, H, W, C).
            masks: int32 (N, H, W).

        Returns:
            Loss and confusion matrix, int64 (num_classes, num_classes), of the whole
            batch, before the step.
        """
        # Keras would trace a schedule object anew for each weight of the network.
        self.optimizer.learning_rate = learning_rate
        logs = self._trainee.train_on_batch(images, masks, return_dict=True)
        counts = keras.ops.convert_to_numpy(self._miou.confusion)
        return float(logs["loss"]), counts.astype(np.int64)

    def time(self) -> Timing:
        """Take a few steps in this process alone; the weights are not to be used."""
        self._compile_alone()
        views = self._config.batch_size // self._group.count
        shape = (views, *crop_size(self._contract.image_size, self._config))
        return time_steps(self._trainee, shape, self._contract.channels)

    def _compile_alone(self) -> None:
        self._trainee.compile(
            optimizer=build_optimizer(self._config, self.network),
            loss=self._loss,
            metrics=[self._miou],
            jit_compile=self._numerics.xla,
        )
        self._miou.reset_state()  # Keras resets it from the second step on
