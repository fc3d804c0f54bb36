"""Watches a training: validates, keeps the best weights, and tells the history."""

import json
import logging
import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

import keras
import numpy as np

from seglib.config import TrainConfig
from seglib.data.pairs import Pair
from seglib.distributed.process_group import Processes
from seglib.errors import DivergedError, SegError
from seglib.evaluation.metrics import MeanIoU, Scores
from seglib.evaluation.scoring import score_pairs
from seglib.models.model import SegmentationModel
from seglib.report import curves_png
from seglib.training.broadcast import share
from seglib.training.checkpoints import Checkpoints, Snapshot, restore, values
from seglib.training.clock import Clock
from seglib.training.optimizer import learning_rate_at
from seglib.training.precision import Numerics
from seglib.training.preemption import Terminated, Termination

logger = logging.getLogger(__name__)

Row = dict[str, float]  # of the history: one an epoch


class Watch(keras.callbacks.Callback):
    """Follows `fit`, and holds all of a training's state that Keras does not.

    Args:
        model: it gets the best weights.
        network: it learns; of another number format, perhaps.
    """

    def __init__(
        self,
        model: SegmentationModel,
        network: keras.Model,
        *,
        val: tuple[Pair, ...],
        config: TrainConfig,
        steps_per_epoch: int,
        clock: Clock,
        numerics: Numerics,
        out: Path | None,
        checkpoints: Checkpoints | None,
        termination: Termination,
        processes: Processes,
        on_epoch: Callable[[Row], None] | None,
        on_step: Callable[[int, int], None] | None,
    ):
        super().__init__()
        self._best, self._val, self._config, self._out = model, val, config, out
        self._network, self._numerics = network, numerics
        self._clock, self._checkpoints = clock, checkpoints
        self._termination, self._processes = termination, processes
        self._on_epoch, self._on_step = on_epoch, on_step
        self._steps_per_epoch = steps_per_epoch
        self._best_weights: list[np.ndarray] = []
        self._best_miou = -1.0
        self._interrupted: list[np.ndarray] = []  # metrics of the epoch to finish
        self._rate = 0.0  # of the next step
        self._is_terminating = False
        contract = model.contract
        self.miou = MeanIoU(contract.num_classes, contract.ignore_index)  # of the views
        self.steps = 0
        self.is_over = False
        self.history: list[Row] = []

    @property
    def total_steps(self) -> int:
        """As configured, or as many as the time still allows."""
        planned = self._steps_per_epoch * self._config.epochs
        return self._clock.total_steps(self.steps, planned)

    def go_on(self, snapshot: Snapshot) -> None:
        """Be where another process was; the optimizer is left to who compiles it."""
        facts, arrays = snapshot.facts, snapshot.arrays
        restore(self._network.variables, arrays["network"])
        self.steps, self.history = facts["step"], facts["history"]
        self._best_miou = facts["best_miou"]
        self._best_weights = [array.copy() for array in arrays["best"]]
        if self._is_inside_an_epoch:
            # The loss was weighted with the images of a process's part of a batch.
            total, count, confusion = arrays["metrics"]
            parts = facts["processes"] / self._processes.count
            self._interrupted = [total * parts, count * parts, confusion]
        self._clock.go_on(facts["clock"])

    def on_train_begin(self, logs: Any = None) -> None:
        self._agree()

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        if self._interrupted:
            restore(self._metric_variables, self._interrupted)  # Keras has reset them
            self._interrupted = []
        else:
            self.miou.reset_state()  # Keras resets no metric before its first step
            self._clock.begin_epoch()

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        # A schedule object would be traced anew for each of the network's weights.
        self.model.optimizer.learning_rate = self._rate

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.steps += 1
        self._clock.end_step()
        if self._agree():
            self.is_over = self.model.stop_training = True
        if not np.isfinite(logs["loss"]):
            raise DivergedError(
                f"The loss is {logs['loss']} at step {self.steps}: training diverged. "
                f"Lower `learning_rate` (now {self._config.learning_rate})."
            )
        if self._on_step:
            self._on_step(self.steps, self.total_steps)
        if self._is_inside_an_epoch and not self.is_over:
            self._keep_checkpoint()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if self._processes.is_first:
            self._end_epoch(epoch, logs)
        self._agree()  # the others wait here for the validation
        if not self.is_over:  # else the epoch was cut short, and cannot be gone on from
            self._keep_checkpoint(epoch_ends=True)

    def finish(self) -> list[Row]:
        """Give the model its best weights and write the artifact."""
        outcome = None
        if self._processes.is_first:
            outcome = self._outcome()
            if self._checkpoints:
                self._checkpoints.write_last(self._outcome)
            write_outcome(
                outcome, self._best, out=self._out, checkpoints=self._checkpoints
            )
        outcome = cast(Snapshot, share(outcome, self._processes))
        return write_outcome(outcome, self._best, out=None, checkpoints=None)

    @property
    def _is_inside_an_epoch(self) -> bool:
        return self.steps % self._steps_per_epoch != 0

    @property
    def _metric_variables(self) -> list[keras.Variable]:
        # Before its first step a compiled model names only the loss among its metrics.
        loss = next(metric for metric in self.model.metrics if metric.name == "loss")
        return [*loss.variables, *self.miou.variables]

    def _agree(self) -> bool:
        """Prepare the next step, as the first of the processes says.

        Returns:
            Whether the time is over.
        """
        rate = learning_rate_at(self.steps, self.total_steps, self._config)
        is_over = self._clock.left_s <= 0
        told = float(self._processes.is_first)
        over, self._rate, asked = self._processes.sum(
            [told * is_over, told * rate, self._termination.is_requested]
        )
        self._is_terminating = asked > 0
        return over > 0

    def _end_epoch(self, epoch: int, logs: Any) -> None:
        val_miou = self._validate(epoch)
        row: Row = {
            "epoch": epoch + 1,
            "loss": float(logs["loss"]),
            "train_miou": float(logs["miou"]),
            "val_miou": val_miou,
            "learning_rate": float(np.asarray(self.model.optimizer.learning_rate)),
            "duration_s": self._clock.epoch_s,
        }
        self.history.append(row)
        is_best = val_miou > self._best_miou
        if is_best or np.isnan(self._best_miou) or not self._val:
            self._keep_best(val_miou)
        if self._on_epoch:
            self._on_epoch(row)
        logger.info("%s", self._line(row, is_best))

    def _validate(self, epoch: int) -> float:
        last = epoch + 1 == self._config.epochs or self.is_over
        if not self._val or ((epoch + 1) % self._config.validate_every and not last):
            return float("nan")
        self._best.network.set_weights(self._network.get_weights())
        counts = sum(image.confusion for image in score_pairs(self._best, self._val))
        return Scores(np.asarray(counts)).miou

    def _keep_best(self, val_miou: float) -> None:
        self._best_miou = val_miou
        self._best_weights = self._network.get_weights()
        if self._out:
            self._best.network.set_weights(self._best_weights)
            files = _history_files(self.history)
            try:
                self._best.save(_unfinished(self._out), extra_files=files)
            except SegError as error:  # a convenience: the training has its own
                logger.warning("The best epoch so far is not kept. %s", error)

    def _keep_checkpoint(self, *, epoch_ends: bool = False) -> None:
        kept = self._checkpoints
        if self._is_terminating:
            if kept and kept.write_last(self._snapshot):
                logger.info(
                    "SIGTERM: ended after step %d, whose state is kept", self.steps
                )
            if not self._processes.is_first:
                logger.info("SIGTERM to one of all: ended after step %d", self.steps)
            self._processes.sum([])  # none ends before it is kept
            raise Terminated
        if kept and kept.is_due(epoch_ends=epoch_ends):
            kept.write(self._snapshot)

    def _snapshot(self) -> Snapshot:
        return Snapshot(
            facts={
                "step": self.steps,
                "numerics": asdict(self._numerics),
                "processes": self._processes.count,
                "best_miou": self._best_miou,
                "history": list(self.history),
                "clock": self._clock.readings(),
            },
            arrays={
                "network": values(self._network.variables),
                "optimizer": values(self.model.optimizer.variables),
                "metrics": values(self._metric_variables),
                "best": self._best_weights,
            },
        )

    def _outcome(self) -> Snapshot:
        return Snapshot(
            facts={"step": self.steps, "is_outcome": True, "history": self.history},
            arrays={"best": self._best_weights},
        )

    def _line(self, row: Row, is_best: bool) -> str:
        done = len(self.history) / self._config.epochs
        left = self._clock.elapsed_s * (1 - done) / done
        left = max(0.0, min(left, self._clock.left_s))
        val = "" if np.isnan(row["val_miou"]) else f"  val mIoU {row['val_miou']:.4f}"
        return (
            f"epoch {len(self.history)}/{self._config.epochs}  loss {row['loss']:.4f}"
            f"{val}{' (best)' if is_best else ''}  {row['duration_s']:.1f} s  "
            f"{int(left // 60)}:{int(left % 60):02d} left"
        )


def write_outcome(
    outcome: Snapshot,
    model: SegmentationModel,
    *,
    out: Path | None,
    checkpoints: Checkpoints | None,
) -> list[Row]:
    """Give a model the outcome of its training, and write the artifact."""
    history: list[Row] = outcome.facts["history"]
    model.network.set_weights(outcome.arrays["best"])
    if out:
        model.save(out, extra_files=_history_files(history))
        shutil.rmtree(_unfinished(out), ignore_errors=True)
    if checkpoints:
        checkpoints.end()
    return history


def _unfinished(out: Path) -> Path:
    """Where the best epoch so far lies while a training is going on."""
    return out.with_name(f"{out.name}.unfinished")


def _history_files(history: list[Row]) -> dict[str, bytes]:
    rows = [
        {key: None if np.isnan(value) else value for key, value in row.items()}
        for row in history
    ]
    return {
        "history.json": (json.dumps(rows, indent=1) + "\n").encode(),
        "curves.png": curves_png(rows),
    }
