"""The network that learns: a copy of a model's, in one number format, and its step."""

import logging
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
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
from seglib.training.checkpoints import restore, values
from seglib.training.deep_supervision import with_auxiliary
from seglib.training.distillation import Distillation, Distiller
from seglib.training.fast_kernels import use_fast_kernels
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
        if group.count > 1:
            group.share_batch_statistics(self.network)
        elif not numerics.xla:
            use_fast_kernels(self.network)
        self._supervised = self.network
        if config.deep_supervision:
            self._supervised = with_auxiliary(self.network, model.contract)
        self._trainee = self._supervised
        if distillation:
            self._trainee = Distiller(self._supervised, distillation)
        self._metric = MeanIoU(model.contract.num_classes, model.contract.ignore_index)
        self._pending: deque[Future[StepResult]] = deque()
        # A copy from a GPU waits for all steps that were begun before it was asked for.
        self._reader = ThreadPoolExecutor(1, "results")
        self.optimizer: keras.optimizers.Optimizer
        self._step: Step
        self._is_proven = False  # one step has found room in memory
        self._is_compiled = False  # by the trial, for the training that begins now

    @property
    def weights(self) -> list[np.ndarray]:
        """What is validated and kept: the weights, or their moving average."""
        return averaged_weights(self.optimizer, self.network)

    @property
    def variables(self) -> list[keras.Variable]:
        """Those of the network, and of what is beside it in the training alone."""
        own = self.network.variables
        known = {variable.path for variable in own}
        return [*own, *(v for v in self._supervised.variables if v.path not in known)]

    def freeze_encoder(self, *, frozen: bool) -> None:
        """Keep the encoder's weights and statistics, or let it learn; then compile."""
        self._is_compiled = False
        encoder_of(self.network).trainable = not frozen

    def compile(self, group: ProcessGroup | None = None) -> None:
        """Give what is trainable now a new optimizer, and a step.

        Args:
            group: that takes the steps. Default: that of the training.
        """
        if self._is_compiled:
            self._is_compiled = False
            return
        self.optimizer = self._new_optimizer()
        self._step = compiled_step(
            self._trainee,
            self.optimizer,
            loss=self._loss,
            metric=self._metric,
            group=group or self._group,
            xla=self.numerics.xla,
            clip_norm=self._config.clip_norm,
            auxiliary_weight=self._config.deep_supervision,
        )

    def _new_optimizer(self) -> keras.optimizers.Optimizer:
        return build_optimizer(
            self._config,
            self._supervised,
            parts=self.numerics.parts,
            scales_loss=self.numerics.precision == "float16",
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
            reading = self._reader.submit(_read, outcome, learning_rate)
            self._pending.append(reading)
            return

    def results(self, *, pending: int = 0) -> Iterator[StepResult]:
        """Outcomes of steps, oldest first, until so many are left."""
        while len(self._pending) > pending:
            yield self._pending.popleft().result()

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

    def restart(self, fresh: "Learner") -> None:
        """Return to the state before any step, and keep what a trial has compiled.

        Args:
            fresh: whose weights and random state are taken over.
        """
        restore(self.variables, values(fresh.variables))
        restore(self.optimizer.variables, values(self._new_optimizer().variables))
        self._is_compiled = True

    def _halve(self, images: int, error: Exception) -> None:
        """Take batches in twice as many parts from now on."""
        parts = 2 * self.numerics.parts
        can_halve = images % parts == 0
        if self._is_proven or not can_halve or self._group.count > 1:
            # Several processes would have to agree, amid a sum that the others wait in.
            remedy = f"Set `accumulate: {parts}`, or lower" if can_halve else "Lower"
            raise SegError(
                f"The device's memory cannot hold {images // self.numerics.parts} "
                f"views of the training size at once. {remedy} `batch_size`, or the "
                "size of the views: `crop_height` and `crop_width`."
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


def _read(outcome: Sequence[tuple[Any, Any]], learning_rate: float) -> StepResult:
    """Wait for the outcome of a step: a loss and a confusion matrix for each part."""
    losses = [float(loss) for loss, _ in outcome]
    counts = [np.asarray(count).astype(np.int64) for _, count in outcome]
    return StepResult(float(np.mean(losses)), np.sum(counts, axis=0), learning_rate)
