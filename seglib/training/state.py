"""The state of a training between two steps, and its snapshot."""

from dataclasses import asdict, dataclass, field
from typing import Self

import keras
import numpy as np

from seglib.evaluation.metrics import Scores
from seglib.training.checkpoints import Snapshot, restore, values
from seglib.training.clock import Clock
from seglib.training.history import Row
from seglib.training.precision import Numerics


@dataclass(kw_only=True)
class TrainingState:
    """Everything that changes during a training, beside Keras's variables.

    numerics: the precision and compiler it was begun with.
    clock: its time.
    confusion: int64 (num_classes, num_classes), pixels of this epoch's steps so far.
    step: steps done.
    loss_sum: of the losses of this epoch's steps so far.
    learning_rate: of the next step.
    history: a row for each epoch done.
    best_miou: on the val split; NaN if the best epoch was not validated.
    best_weights: of the network after the best epoch; none before the first.
    is_over: the time limit is reached.
    is_terminating: SIGTERM has reached a process of the group.
    """

    numerics: Numerics
    clock: Clock
    confusion: np.ndarray
    step: int = 0
    loss_sum: float = 0.0
    learning_rate: float = 0.0
    history: list[Row] = field(default_factory=list)
    best_miou: float = -1.0
    best_weights: list[np.ndarray] = field(default_factory=list)
    is_over: bool = False
    is_terminating: bool = False

    @classmethod
    def new(cls, numerics: Numerics, clock: Clock, *, num_classes: int) -> Self:
        confusion = np.zeros((num_classes, num_classes), np.int64)
        return cls(numerics=numerics, clock=clock, confusion=confusion)

    def begin_epoch(self) -> None:
        self.loss_sum = 0.0
        self.confusion[:] = 0
        self.clock.begin_epoch()

    def row(self, epoch: int, steps: int, learning_rate: float, miou: float) -> Row:
        """The row of the history for the epoch that ends.

        Args:
            epoch: its number, from 1.
            steps: that it took.
            learning_rate: of the last of them.
            miou: on the val split, or NaN.
        """
        return {
            "epoch": epoch,
            "loss": self.loss_sum / steps,
            "train_miou": Scores(self.confusion).miou,
            "val_miou": miou,
            "learning_rate": learning_rate,
            "duration_s": self.clock.epoch_s,
        }

    def snapshot(
        self, network: keras.Model, optimizer: keras.optimizers.Optimizer
    ) -> Snapshot:
        """Copies of all that a training resumes from."""
        return Snapshot(
            facts={
                "step": self.step,
                "numerics": asdict(self.numerics),
                "loss_sum": self.loss_sum,
                "best_miou": self.best_miou,
                "history": list(self.history),
                "clock": self.clock.state(),
            },
            arrays={
                "network": values(network.variables),
                "optimizer": values(optimizer.variables),
                "confusion": [self.confusion.copy()],
                "best": self.best_weights,
            },
        )

    def outcome(self) -> Snapshot:
        """What is left to write once a training is through: weights and history."""
        return Snapshot(
            facts={"step": self.step, "is_outcome": True, "history": self.history},
            arrays={"best": self.best_weights},
        )

    def restore(self, snapshot: Snapshot, network: keras.Model) -> None:
        """Take over a snapshot; its optimizer is restored where that is compiled."""
        facts, arrays = snapshot.facts, snapshot.arrays
        restore(network.variables, arrays["network"])
        self.step, self.history = facts["step"], facts["history"]
        self.loss_sum, self.best_miou = facts["loss_sum"], facts["best_miou"]
        self.confusion = arrays["confusion"][0].copy()
        self.best_weights = [array.copy() for array in arrays["best"]]
        self.clock.resume(facts["clock"])
