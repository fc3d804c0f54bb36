"""The trainer: set up, load the data, build the model, restore, fit, finish."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import keras
import numpy as np

from seglib.config import TrainConfig
from seglib.data.augmentation.augmenter import Function
from seglib.data.dataset import Dataset
from seglib.distributed.process_group import ProcessGroup
from seglib.errors import DivergedError
from seglib.evaluation.metrics import Scores
from seglib.hardware import keep_freed_memory
from seglib.loss_formula import parse_loss
from seglib.models.contract import CUSTOM
from seglib.models.model import SegmentationModel
from seglib.training import precision
from seglib.training.best_epoch import BestEpoch, DrawCurves
from seglib.training.checkpoints import Checkpoints, Snapshot, restore
from seglib.training.checkpoints.key import content_key
from seglib.training.class_balance import require_weights
from seglib.training.clock import VALIDATION_SHARE, Clock
from seglib.training.coordination import Coordinator
from seglib.training.deep_supervision import require_auxiliary
from seglib.training.distillation import Distillation
from seglib.training.learner import Learner
from seglib.training.losses import build_loss
from seglib.training.remarks import remarks
from seglib.training.schedule import learning_rate_at
from seglib.training.state import Row, TrainingState
from seglib.training.training_data import TrainingData

logger = logging.getLogger(__name__)

_AHEAD = 4  # steps whose outcomes are not waited for


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
    shards: str | None = None
    policy: Function | None = None
    distillation: Distillation | None = None
    out: Path | None = None
    overwrite: bool = True
    checkpoints: Checkpoints | None = None
    group: ProcessGroup
    loader_threads: int = 0
    on_epoch: Callable[[Row], None] | None = None
    on_step: Callable[[int, int], None] | None = None
    on_stage: Callable[[str], None] | None = None
    now: Callable[[], float] = time.monotonic

    def run(self) -> list[Row]:
        """Train, or take over the outcome of the same training; gives its history."""
        self.set_up()
        if self.snapshot and self.snapshot.is_outcome:
            return self.finish(self.snapshot)
        self.load_data()
        self.build_model()
        self.restore()
        with self.coordinator.guarded():
            self.fit()
            return self.finish()

    def set_up(self) -> None:
        """Check that the parts fit together, and look for a checkpoint."""
        self.clock = Clock(self.config.max_minutes, self.now)
        self.group.require_divisible(self.config.batch_size, self.config.accumulate)
        if not self.group.is_first:
            self.out = self.on_epoch = self.on_step = self.on_stage = None
        self.log = logger.info if self.group.is_first else logger.debug
        self.model.adopt_classes(self.data)
        self.contract = self.model.contract
        require_weights(self.config, self.contract.num_classes)
        if self.config.deep_supervision:
            require_auxiliary(self.contract)
        self.val, self.majority_miou = self.data.splits.get("val", ()), float("nan")
        self.best_epoch = BestEpoch(
            self.model, self.val, self.out, self.draw_curves, self.config.best_by
        )
        self.best_epoch.require_pixels()
        keep_freed_memory()
        self.coordinator = Coordinator(self.group, self.checkpoints)
        key = partial(
            content_key,
            self.model,
            self.data,
            config=self.config,
            shards=self.shards,
            policy=self.policy,
            distillation=self.distillation,
        )
        self._begin("comparing with earlier trainings …")
        self.snapshot = self.coordinator.open(self.model, key)
        self.best_epoch = replace(self.best_epoch, key=self.coordinator.key)
        if not self.overwrite:
            self.best_epoch.require_own()

    def load_data(self) -> None:
        """Open the training images, and weight the classes by their pixels."""
        contract, config = self.contract, self.config
        self._begin("reading the training images …")
        self.images = TrainingData.open(
            self.data, self.shards, contract, config, self.log, policy=self.policy
        )
        self.steps_per_epoch = self.images.steps_per_epoch
        self.planned_steps = self.steps_per_epoch * config.epochs
        self.loss = build_loss(
            parse_loss(config.loss),
            ignore_index=contract.ignore_index,
            class_weights=self.images.balance.weights(config).tolist(),
        )

    def build_model(self) -> None:
        """Choose the numerics, and copy the network in them; the copy learns."""
        self._begin("compiling the first step …")
        new_learner = partial(
            Learner,
            self.model,
            config=self.config,
            loss=self.loss,
            distillation=self.distillation,
            group=self.group,
        )
        trials: list[Learner] = []  # the fastest, if there are any
        numerics = self.coordinator.share_numerics(self._numerics(new_learner, trials))
        self.group.require_divisible(self.config.batch_size, numerics.parts)
        keras.utils.set_random_seed(self.config.train_seed)  # the trial has used it
        self.learner = new_learner(numerics)
        if trials and self.group.count == 1:
            trials[0].restart(self.learner)
            self.learner = trials[0]
        self.state = TrainingState.new(
            numerics, self.clock, num_classes=self.contract.num_classes
        )
        self.log(
            "training %s on %s: %d images, %d epochs of %d steps, %s, %s parameters%s",
            self.contract.architecture,
            self.contract.encoder,
            len(self.images.source),
            self.config.epochs,
            self.steps_per_epoch,
            numerics,
            f"{self.learner.network.count_params():,}",
            f", in {self.group.count} processes" if self.group.count > 1 else "",
        )

    def restore(self) -> None:
        """Resume from the checkpoint, if there is one."""
        if self.snapshot:
            self.state.restore(self.snapshot, self.learner.variables)
            self.log(
                "going on after step %d of %d, from the checkpoint in %s",
                self.state.step,
                self.planned_steps,
                self.coordinator.place,
            )
            self._report(self.state.history)
        self.group.vary_dropout(self.learner.network)

    def fit(self) -> None:
        """Take the steps of all epochs; those with a frozen encoder come first."""
        frozen, epochs = self.config.freeze_epochs, self.config.epochs
        phases = [0, frozen, epochs] if 0 < frozen < epochs else [0, epochs]
        for first, last in pairwise(phases):
            left = last * self.steps_per_epoch - self.state.step
            if left <= 0:
                continue
            self._begin_phase(first, last)
            batches = self.images.batches(
                first_step=self.state.step,
                group=self.group,
                num_threads=self.loader_threads,
            )
            for images, masks in islice(batches, left):
                if self._is_between_epochs:
                    self.state.begin_epoch()
                self._take_step(images, masks)
                if self._is_between_epochs or self.state.is_over:
                    self._end_epoch()
                if self.state.is_over:
                    return
                ends = self._is_between_epochs
                self.coordinator.save(self.state, self._snapshot, epoch_ends=ends)

    def finish(self, outcome: Snapshot | None = None) -> list[Row]:
        """Give the model its best weights, and write the artifact.

        Args:
            outcome: of the same training, which ended in another process.
        """
        if outcome is None:
            share = self.clock.validation_share
            if share > VALIDATION_SHARE:
                remedy = "; `validate_every: 0` does it less often"
                self.log(
                    "validation took %.0f %% of the time%s",
                    100 * share,
                    remedy if self.config.validate_every else "",
                )
            for remark in remarks(self.state.history, self.majority_miou):
                self.log("%s", remark)
            outcome = self.coordinator.share_outcome(
                partial(self.state.outcome, self._resolved())
            )
        else:
            self.log("trained before; the model is from %s", self.coordinator.place)
            self._report(outcome.facts["history"])
        history: list[Row] = outcome.facts["history"]
        resolved = outcome.facts.get("resolved", {})
        self.best_epoch.finish(outcome.arrays["best"], history, resolved)
        self.coordinator.end()
        return history

    def _resolved(self) -> dict[str, Any]:
        """What the automatic settings came to in this training."""
        config, numerics = self.config, self.state.numerics
        height, width = self.contract.image_size
        weights = self.images.balance.weights(config).tolist()
        return {
            "epochs": len(self.state.history),  # fewer where the time was limited
            "steps_per_epoch": self.steps_per_epoch,
            "accumulate": numerics.parts,
            "precision": numerics.precision,
            "xla": "always" if numerics.xla else "never",
            "class_weights": ",".join(f"{weight:.4g}" for weight in weights),
            "crop_height": config.crop_height or height,
            "crop_width": config.crop_width or width,
        }

    def _numerics(
        self,
        new_learner: Callable[[precision.Numerics], Learner],
        trials: list[Learner],
    ) -> precision.Numerics:
        """Those it was begun with; else process 0 tries which train fastest here.

        Args:
            trials: gets the learner of the trial whose steps were the fastest.
        """
        if self.snapshot:
            given = self.snapshot.facts["numerics"]
            return precision.restored(given, self.group.count)
        allowed = precision.candidates(
            self.config,
            own_layers=self.contract.architecture == CUSTOM,
            processes=self.group.count,
        )
        if not self.group.is_first:
            return allowed[0]

        best_s = float("inf")

        def measure(numerics: precision.Numerics) -> precision.Timing:
            nonlocal best_s
            learner = new_learner(numerics)
            timing = learner.time()
            if timing.step_s < best_s:
                best_s, trials[:] = timing.step_s, [learner]
            return timing

        limit_s = 60 * self.config.max_minutes
        return precision.choose_numerics(
            allowed, measure, self.planned_steps, limit_s=limit_s
        )

    def _begin_phase(self, first: int, last: int) -> None:
        """Freeze or thaw the encoder; what learns gets an optimizer of its own."""
        if self.config.freeze_epochs:
            frozen = first < self.config.freeze_epochs
            self.learner.freeze_encoder(frozen=frozen)
            what = "keeps its weights" if frozen else "learns, too"
            self.log("epochs %d-%d: the encoder %s", first + 1, last, what)
        self.learner.compile()
        if self.snapshot and self.state.step > first * self.steps_per_epoch:
            variables = self.learner.optimizer.variables
            restore(variables, self.snapshot.arrays["optimizer"])
        self.snapshot = None  # it is four times the size of the network
        self._decide()

    @property
    def _is_between_epochs(self) -> bool:
        return self.state.step % self.steps_per_epoch == 0

    @property
    def _total_steps(self) -> int:
        """As configured, or as many as the time still allows."""
        return self.clock.total_steps(self.state.step, self.planned_steps)

    def _take_step(self, images: np.ndarray, masks: np.ndarray) -> None:
        rate = self.state.learning_rate
        self.learner.take_step(images, masks, learning_rate=rate)
        self.state.end_step()
        self._add_results(pending=_AHEAD)
        self.state.is_over = self._decide()
        if self.on_step:
            self.on_step(self.state.step, self._total_steps)

    def _add_results(self, *, pending: int = 0) -> None:
        """Add the outcomes of steps to the state, but those of the newest `pending`."""
        for result in self.learner.results(pending=pending):
            self.state.add_result(result)
            if not np.isfinite(result.loss):
                scored, count = self.state.scored, self.group.count
                told = self.images.divergence(scored, result, processes=count)
                raise DivergedError(told)

    def _decide(self) -> bool:
        """Agree on the next step with the other processes; whether it is over."""
        step, total = self.state.step, self._total_steps
        is_stalled = self.state.is_stalled(self.config.patience)
        return self.coordinator.decide(
            self.state,
            learning_rate=learning_rate_at(step, total, self.config),
            is_over=self.clock.left_s <= 0 or is_stalled,
        )

    def _end_epoch(self) -> None:
        """Validate and report, in process 0; the others wait for it."""
        self._add_results()
        if self.group.is_first:
            state, learner = self.state, self.learner
            epoch, steps = divmod(state.step - 1, self.steps_per_epoch)
            weights = learner.weights
            scores, best = self._validate(epoch + 1, weights), state.best_score
            row = state.end_epoch(epoch + 1, steps + 1, scores)
            score = self.best_epoch.score(scores)
            self.majority_miou = scores.baseline_miou if scores else self.majority_miou
            if score > best or np.isnan(best) or not self.val:
                state.best_score, state.best_weights = score, weights
                state.best_epoch = epoch + 1
                self.best_epoch.save(weights, state.history)
            if self.on_epoch:
                self.on_epoch(row)
            is_best = score > best
            line = state.line(row, epochs=self.config.epochs, is_best=is_best)
            logger.info("%s", line)
        self.state.is_over = self._decide()

    def _validate(self, epoch: int, weights: list[np.ndarray]) -> Scores | None:
        """On the val split, where it is due."""
        is_last = epoch == self.config.epochs or self.state.is_over
        every, total = self.config.validate_every, self._total_steps
        if not (is_last or self.state.is_validation_due(every, total)):
            return None
        with self.clock.validation():
            return self.best_epoch.measure(weights)

    def _snapshot(self) -> Snapshot:
        """All that the training resumes from, after the outcomes of all its steps."""
        self._add_results()
        self.state.numerics = self.learner.numerics
        return self.state.snapshot(self.learner.variables, self.learner.optimizer)

    def _begin(self, stage: str) -> None:
        if self.on_stage:
            self.on_stage(stage)

    def _report(self, history: list[Row]) -> None:
        """Replay the epochs of an interrupted run: `on_epoch` has not seen them."""
        if self.on_epoch:
            for row in history:
                self.on_epoch(row)
