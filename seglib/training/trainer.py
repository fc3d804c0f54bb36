"""The trainer: set up, load the data, build the model, restore, fit, finish."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import cast

import grain
import keras
import numpy as np

from seglib.config import TrainConfig
from seglib.data.dataset import Dataset
from seglib.data.loader import PairSource, ShardSource, training_batches
from seglib.distributed.process_group import ProcessGroup
from seglib.errors import DivergedError, SegError
from seglib.evaluation.metrics import Scores
from seglib.evaluation.scoring import score_pairs
from seglib.hardware import keep_freed_memory
from seglib.models.contract import CUSTOM
from seglib.models.model import SegmentationModel
from seglib.training import precision
from seglib.training.broadcasting import (
    broadcast_numerics,
    broadcast_snapshot,
    broadcast_weights,
)
from seglib.training.checkpoints import Checkpoints, Snapshot, require_state, restore
from seglib.training.checkpoints.key import content_key
from seglib.training.class_balance import class_weights, count_class_pixels
from seglib.training.clock import Clock
from seglib.training.distillation import Distillation
from seglib.training.history import (
    DrawCurves,
    Row,
    epoch_line,
    remove_unfinished,
    save_with_history,
    unfinished,
)
from seglib.training.learner import Learner
from seglib.training.losses import CrossEntropy
from seglib.training.optimizer import learning_rate_at
from seglib.training.precision import Numerics
from seglib.training.preemption import Terminated, Termination
from seglib.training.state import TrainingState

logger = logging.getLogger(__name__)


@dataclass(kw_only=True)
class Trainer:
    """One training of a model; `run` calls the six methods that follow it in order.

    The arguments are those of `seglib.steps.train.train`, and `draw_curves` gives the
    picture of the history that is written beside the model.
    """

    model: SegmentationModel
    data: Dataset
    config: TrainConfig
    draw_curves: DrawCurves
    shards: Path | None = None
    distillation: Distillation | None = None
    out: Path | None = None
    checkpoints: Checkpoints | None = None
    group: ProcessGroup
    loader_threads: int = 0
    on_epoch: Callable[[Row], None] | None = None
    on_step: Callable[[int, int], None] | None = None
    now: Callable[[], float] = time.monotonic

    def run(self) -> list[Row]:
        """Train, or take over the outcome of the same training; gives its history."""
        self.set_up()
        if self.snapshot and self.snapshot.is_outcome:
            return self.finish(self.snapshot)
        self.load_data()
        self.build_model()
        self.restore()
        with self._guarded():
            self.fit()
            return self.finish()

    def set_up(self) -> None:
        """Check that the parts fit together, and open the checkpoints."""
        self.clock = Clock(self.config.max_minutes, self.now)
        self.termination = Termination()
        self.snapshot: Snapshot | None = None
        self.group.require_divisible(self.config.batch_size)
        if not self.group.is_first:
            self.out = self.checkpoints = self.on_epoch = self.on_step = None
        self.model.adopt_classes(self.data)
        self.contract = self.model.contract
        keep_freed_memory()
        if not self.checkpoints and self.group.count == 1:
            return
        broadcast_weights(self.model, self.group)
        key = content_key(
            self.model,
            self.data,
            config=self.config,
            shards=self.shards,
            distillation=self.distillation,
        )
        self.group.require_same(key)
        if self.checkpoints:
            fits = partial(require_state, network=self.model.network)
            self.snapshot = self.checkpoints.open(key, check=fits)
        self.snapshot = broadcast_snapshot(self.snapshot, self.group)

    def load_data(self) -> None:
        """Open the training images, and weight the classes by their pixels."""
        contract, config = self.contract, self.config
        self.source = (
            ShardSource(self.shards, inputs=contract.inputs)
            if self.shards
            else PairSource(self.data.pairs("train"), inputs=contract.inputs)
        )
        self.val = self.data.splits.get("val", ()) if self.group.is_first else ()
        one_pass = max(1, len(self.source) // config.batch_size)
        self.steps_per_epoch = config.steps_per_epoch or one_pass
        self.planned_steps = self.steps_per_epoch * config.epochs
        pixels = count_class_pixels(
            self.source,
            num_classes=contract.num_classes,
            ignore_index=contract.ignore_index,
        )
        weights = class_weights(pixels, config.class_weight_power)
        self.loss = CrossEntropy(
            ignore_index=contract.ignore_index, class_weights=weights.tolist()
        )

    def build_model(self) -> None:
        """Choose the numerics, and copy the network in them; the copy learns."""
        contract, config = self.contract, self.config
        numerics = broadcast_numerics(self._choose_numerics(), self.group)
        keras.utils.set_random_seed(config.train_seed)  # the trial has used it
        self.learner = self._new_learner(numerics)
        self.state = TrainingState.new(
            numerics, self.clock, num_classes=contract.num_classes
        )
        self._log(
            "training %s on %s: %d images, %d epochs of %d steps, %s, %s parameters%s",
            contract.architecture,
            contract.encoder,
            len(self.source),
            config.epochs,
            self.steps_per_epoch,
            numerics,
            f"{self.learner.network.count_params():,}",
            f", in {self.group.count} processes" if self.group.count > 1 else "",
        )

    def restore(self) -> None:
        """Resume from the checkpoint, if there is one."""
        if self.snapshot:
            self.state.restore(self.snapshot, self.learner.network)
            if self.checkpoints:
                logger.info(
                    "going on after step %d of %d, from the checkpoint in %s",
                    self.state.step,
                    self.planned_steps,
                    self.checkpoints.place,
                )
            self._replay(self.state.history)
        self.group.vary_dropout(self.learner.network)

    def fit(self) -> None:
        """Take the steps of all epochs; those with a frozen encoder come first."""
        for first, last in self._phases():
            end = last * self.steps_per_epoch
            if self.state.step >= end:
                continue
            self._begin_phase(first, last)
            for images, masks in islice(self._batches(), end - self.state.step):
                if self._is_between_epochs:
                    self.state.begin_epoch()
                self._take_step(images, masks)
                if self._is_between_epochs or self.state.is_over:
                    self._end_epoch()
                if self.state.is_over:
                    return
                self._save_checkpoint()

    def finish(self, outcome: Snapshot | None = None) -> list[Row]:
        """Give the model its best weights, and write the artifact.

        Args:
            outcome: of the same training, which ended in another process.
        """
        if outcome is None:
            own = self.state.outcome() if self.group.is_first else None
            if self.checkpoints:
                self.checkpoints.write_last(self.state.outcome)
            outcome = cast(Snapshot, broadcast_snapshot(own, self.group))
        elif self.checkpoints:
            logger.info("trained before; the model is from %s", self.checkpoints.place)
            self._replay(outcome.facts["history"])
        history: list[Row] = outcome.facts["history"]
        self.model.network.set_weights(outcome.arrays["best"])
        if self.out:
            save_with_history(self.model, self.out, history, self.draw_curves)
            remove_unfinished(self.out)
        if self.checkpoints:
            self.checkpoints.end()
        return history

    def _choose_numerics(self) -> Numerics:
        """Those of the checkpoint; else process 0 tries which are fastest."""
        count = self.group.count
        if self.snapshot:
            return precision.restored(self.snapshot.facts["numerics"], count)
        own_layers = self.contract.architecture == CUSTOM
        allowed = precision.candidates(
            self.config, own_layers=own_layers, processes=count
        )
        if not self.group.is_first:
            return allowed[0]
        limit_s = 60 * self.config.max_minutes
        return precision.choose_numerics(
            allowed,
            lambda numerics: self._new_learner(numerics).time(),
            self.planned_steps,
            limit_s=limit_s,
        )

    def _new_learner(self, numerics: Numerics) -> Learner:
        return Learner(
            self.model,
            numerics,
            config=self.config,
            loss=self.loss,
            distillation=self.distillation,
            group=self.group,
        )

    def _phases(self) -> list[tuple[int, int]]:
        """First epoch, and the one after the last, of each phase."""
        epochs, frozen = self.config.epochs, self.config.freeze_epochs
        if 0 < frozen < epochs:
            return [(0, frozen), (frozen, epochs)]
        return [(0, epochs)]

    def _begin_phase(self, first: int, last: int) -> None:
        """Freeze or thaw the encoder; what learns gets an optimizer of its own."""
        if self.config.freeze_epochs:
            frozen = first < self.config.freeze_epochs
            self.learner.freeze_encoder(frozen=frozen)
            what = "keeps its weights" if frozen else "learns, too"
            self._log("epochs %d-%d: the encoder %s", first + 1, last, what)
        self.learner.compile()
        if self.snapshot and self.state.step > first * self.steps_per_epoch:
            arrays = self.snapshot.arrays["optimizer"]
            restore(self.learner.optimizer.variables, arrays)
        self.snapshot = None  # it is four times the size of the network
        self._decide()

    def _batches(self) -> grain.IterDataset:
        return training_batches(
            self.source,
            image_size=self.contract.image_size,
            ignore_index=self.contract.ignore_index,
            config=self.config,
            first_step=self.state.step,
            share=(self.group.index, self.group.count),
            num_threads=self.loader_threads,
        )

    @property
    def _is_between_epochs(self) -> bool:
        return self.state.step % self.steps_per_epoch == 0

    @property
    def _total_steps(self) -> int:
        """As configured, or as many as the time still allows."""
        return self.clock.total_steps(self.state.step, self.planned_steps)

    def _take_step(self, images: np.ndarray, masks: np.ndarray) -> None:
        state = self.state
        rate = state.learning_rate
        loss, counts = self.learner.take_step(images, masks, learning_rate=rate)
        state.step += 1
        state.loss_sum += loss
        state.confusion += counts
        self.clock.end_step()
        state.is_over = self._decide()
        if not np.isfinite(loss):
            raise DivergedError(
                f"The loss is {loss} at step {state.step}: training diverged. "
                f"Lower `learning_rate` (now {self.config.learning_rate})."
            )
        if self.on_step:
            self.on_step(state.step, self._total_steps)

    def _decide(self) -> bool:
        """Let process 0 decide on the next step for all; whether the time is over."""
        leads = float(self.group.is_first)
        rate = learning_rate_at(self.state.step, self._total_steps, self.config)
        is_over = self.clock.left_s <= 0
        over, self.state.learning_rate, asked = self.group.sum(
            [leads * is_over, leads * rate, self.termination.is_requested]
        )
        self.state.is_terminating = asked > 0
        return over > 0

    def _end_epoch(self) -> None:
        """Validate and report, in process 0; the others wait for it."""
        if self.group.is_first:
            row = self._row()
            miou, best = row["val_miou"], self.state.best_miou
            self.state.history.append(row)
            if miou > best or np.isnan(best) or not self.val:
                self._save_best(miou)
            if self.on_epoch:
                self.on_epoch(row)
            self._log_epoch(row, is_best=miou > best)
        self._decide()

    def _row(self) -> Row:
        state, optimizer = self.state, self.learner.optimizer
        epoch, steps = divmod(state.step - 1, self.steps_per_epoch)
        return {
            "epoch": epoch + 1,
            "loss": state.loss_sum / (steps + 1),
            "train_miou": Scores(state.confusion).miou,
            "val_miou": self._validate(epoch + 1),
            "learning_rate": float(np.asarray(optimizer.learning_rate)),
            "duration_s": self.clock.epoch_s,
        }

    def _log_epoch(self, row: Row, *, is_best: bool) -> None:
        epochs, done = self.config.epochs, len(self.state.history)
        left_s = self.clock.elapsed_s * (epochs / done - 1)
        left_s = max(0.0, min(left_s, self.clock.left_s))
        line = epoch_line(row, epochs=epochs, is_best=is_best, left_s=left_s)
        logger.info("%s", line)

    def _validate(self, epoch: int) -> float:
        """Val mIoU at the original size; NaN where it is not due."""
        is_last = epoch == self.config.epochs or self.state.is_over
        if not self.val or (epoch % self.config.validate_every and not is_last):
            return float("nan")
        self.model.network.set_weights(self.learner.network.get_weights())
        counts = sum(image.confusion for image in score_pairs(self.model, self.val))
        return Scores(np.asarray(counts)).miou

    def _save_best(self, miou: float) -> None:
        self.state.best_miou = miou
        self.state.best_weights = self.learner.network.get_weights()
        if not self.out:
            return
        self.model.network.set_weights(self.state.best_weights)
        beside, history = unfinished(self.out), self.state.history
        try:
            save_with_history(self.model, beside, history, self.draw_curves)
        except SegError as error:  # a convenience: the state has the weights, too
            logger.warning("The best epoch so far is not kept. %s", error)

    def _save_checkpoint(self) -> None:
        if self.state.is_terminating:
            self._terminate()
        due = self.checkpoints and self.checkpoints.is_due(
            epoch_ends=self._is_between_epochs
        )
        if self.checkpoints and due:
            self.checkpoints.write(self._take_snapshot)

    def _terminate(self) -> None:
        """End all processes after the same step, once the state is written."""
        step = self.state.step
        if self.checkpoints and self.checkpoints.write_last(self._take_snapshot):
            logger.info("SIGTERM: ended after step %d, whose state is kept", step)
        if not self.group.is_first:
            logger.info("SIGTERM to one of all: ended after step %d", step)
        self.group.sum([])  # all wait until it is written
        raise Terminated

    def _take_snapshot(self) -> Snapshot:
        return self.state.snapshot(self.learner.network, self.learner.optimizer)

    def _replay(self, history: list[Row]) -> None:
        """Report the epochs of the interrupted run: `on_epoch` has not seen them."""
        if self.on_epoch:
            for row in history:
                self.on_epoch(row)

    def _log(self, message: str, *values: object) -> None:
        """At the level INFO in process 0, at DEBUG in the others."""
        logger.log(
            logging.INFO if self.group.is_first else logging.DEBUG, message, *values
        )

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        """Finish the checkpoint being written, note SIGTERM, name a lost process."""
        with ExitStack() as stack:
            if self.checkpoints:
                stack.enter_context(self.checkpoints)
            if self.checkpoints or self.group.count > 1:
                stack.enter_context(self.termination)
            stack.enter_context(self.group.lost_as_error())
            yield
