"""The network that learns: a copy of a model's, in one number format, and its step."""

import logging
from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import keras
import numpy as np

from seglib.config import TrainConfig
from seglib.data.views import crop_size
from seglib.distributed.process_group import ProcessGroup
from seglib.errors import SegError
from seglib.evaluation.metrics import MeanIoU
from seglib.models import copy_network
from seglib.models.model import SegmentationModel
from seglib.training.distillation import Distillation, Distiller
from seglib.training.losses import SegmentationLoss
from seglib.training.optimizer import averaged_weights, build_optimizer, encoder_of
from seglib.training.precision import Numerics, Timing, time_steps
from seglib.training.step import Step, StepResult, compiled_step

logger = logging.getLogger(__name__)


class Learner:
    """A copy of a model's network, with its loss, optimizer and training step.

    Args:
        model: whose weights the copy starts from; it is left alone.
        numerics: number format, compiler, and parts of a batch.
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
        loss: SegmentationLoss,
        distillation: Distillation | None,
        group: ProcessGroup,
    ):
        self._config, self._loss, self._group = config, loss, group
        self.numerics, self._contract = numerics, model.contract
        self.network = copy_network(model, precision=numerics.precision)
        group.share_batch_statistics(self.network)
        self._trainee = self.network
        if distillation:
            self._trainee = Distiller(self.network, distillation)
        self._metric = MeanIoU(model.contract.num_classes, model.contract.ignore_index)
        self._pending: deque[tuple[list[Any], float]] = deque()
        self.optimizer: keras.optimizers.Optimizer
        self._step: Step
        self._is_proven = False  # one step has found room in memory

    @property
    def weights(self) -> list[np.ndarray]:
        """What is validated and kept: the weights, or their moving average."""
        return averaged_weights(self.optimizer, self.network)

    def freeze_encoder(self, *, frozen: bool) -> None:
        """Keep the encoder's weights and statistics, or let it learn; then compile."""
        encoder_of(self.network).trainable = not frozen

    def compile(self, group: ProcessGroup | None = None) -> None:
        """Give what is trainable now a new optimizer, and a step.

        Args:
            group: that takes the steps. Default: that of the training.
        """
        parts = self.numerics.parts
        self.optimizer = build_optimizer(self._config, self.network, parts=parts)
        self._step = compiled_step(
            self._trainee,
            self.optimizer,
            loss=self._loss,
            metric=self._metric,
            group=group or self._group,
            xla=self.numerics.xla,
            clip_norm=self._config.clip_norm,
        )

    def take_step(
        self, images: np.ndarray, masks: np.ndarray, *, learning_rate: float
    ) -> None:
        """Take one step on this process's part of a batch; `results` has its outcome.

        A batch that does not fit the memory is halved, again and again, and the halves'
        gradients are accumulated.

        Args:
            images: uint8 (N, H, W, C).
            masks: int32 (N, H, W).

        Raises:
            SegError: a single image does not fit the memory.
        """
        import tensorflow as tf

        while True:
            parts = zip(
                np.split(images, self.numerics.parts),
                np.split(masks, self.numerics.parts),
                strict=True,
            )
            rate = np.float32(learning_rate)
            try:
                outcome = [self._step(*part, rate) for part in parts]
                if not self._is_proven:
                    float(outcome[-1][0])  # on a GPU an error comes with the value
                self._is_proven = True
            except tf.errors.ResourceExhaustedError as error:
                self._halve(len(images), error)
                continue
            self._pending.append((outcome, learning_rate))
            return

    def results(self, *, pending: int = 0) -> Iterator[StepResult]:
        """Outcomes of steps, oldest first, until so many are left."""
        while len(self._pending) > pending:
            outcome, learning_rate = self._pending.popleft()
            losses, counts = zip(*outcome, strict=True)
            first = np.asarray(counts[0]).astype(np.int64)
            yield StepResult(
                float(np.mean([float(each) for each in losses])),
                sum((np.asarray(c).astype(np.int64) for c in counts[1:]), first),
                learning_rate,
            )

    def time(self) -> Timing:
        """Take a few steps in this process alone; the weights are not to be used."""
        self.compile(ProcessGroup())
        views = self._config.batch_size // self._group.count
        height, width = crop_size(self._contract.image_size, self._config)
        images = np.zeros((views, height, width, self._contract.channels), np.uint8)
        masks = np.zeros((views, height, width), np.int32)

        def step() -> None:
            self.take_step(images, masks, learning_rate=0.0)
            for _ in self.results():
                pass

        return time_steps(step)

    def _halve(self, images: int, error: Exception) -> None:
        """Take batches in twice as many parts from now on."""
        parts = 2 * self.numerics.parts
        can_halve = images % parts == 0 and self._group.count == 1
        if self._is_proven or not can_halve:
            raise SegError(
                f"The device's memory cannot hold {images // self.numerics.parts} "
                "views of the training size at once. Lower `batch_size`, or the size "
                "of the views: `crop_height` and `crop_width`."
            ) from error
        logger.warning(
            "out of memory with %d views at once: each batch is taken in %d parts of "
            "%d, whose gradients are accumulated",
            images // self.numerics.parts,
            parts,
            images // parts,
        )
        self.numerics = replace(self.numerics, parts=parts)
        self.compile()
