"""Training: random views, AdamW, cosine decay; the best epoch by val mIoU is kept."""

import json
import logging
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np

from seglib.artifact import SegmentationModel
from seglib.config import TrainConfig
from seglib.data.format import Dataset
from seglib.data.pairs import Pair
from seglib.device import keep_freed_memory, prefers_xla
from seglib.distillation import Distillation, Distiller
from seglib.errors import SegError
from seglib.input_pipeline import (
    PairSource,
    ShardSource,
    crop_size,
    training_batches,
)
from seglib.losses import CrossEntropy, class_weights
from seglib.metrics import MeanIoU, Scores
from seglib.models import copy_network
from seglib.optimizer import build_optimizer, encoder_of, learning_rate_at
from seglib.precision import choose_precision
from seglib.report import curves_png
from seglib.scoring import score_pairs

logger = logging.getLogger(__name__)

Row = dict[str, float]  # of the history: one an epoch


def train(
    model: SegmentationModel,
    data: Dataset,
    *,
    config: TrainConfig | None = None,
    shards: Path | None = None,
    distillation: Distillation | None = None,
    out: Path | None = None,
    on_epoch: Callable[[Row], None] | None = None,
    on_step: Callable[[int, int], None] | None = None,
) -> list[Row]:
    """Train a model in place; it ends with the weights of its best epoch.

    Args:
        data: its train split is learnt from (unless `shards` is given), its val split
            decides which epoch is best. Without a val split the last epoch is kept.
        shards: folder that `seglib augment` wrote, in place of the train split.
        distillation: a teacher from which the model learns, beside the masks.
        out: where the artifact goes once training is through: network, contract,
            history.json and curves.png. Until then the best epoch so far lies beside
            it, as `NAME.unfinished`, and survives an interruption.
        on_epoch: called with each row of the history.
        on_step: called after each step with (steps done, steps in all).

    Returns:
        One row an epoch: epoch, loss, train_miou (on the random views), val_miou (at
        the original size; NaN where it was not measured), learning_rate, duration_s.

    Raises:
        SegError: the data do not fit the model, or the loss is no longer finite.
    """
    config = config or TrainConfig()
    started = time.monotonic()
    model.adopt_classes(data)
    contract = model.contract
    keep_freed_memory()
    keras.utils.set_random_seed(config.train_seed)
    source = (
        ShardSource(shards, inputs=contract.inputs)
        if shards
        else PairSource(data.pairs("train"), inputs=contract.inputs)
    )
    one_pass = max(1, len(source) // config.batch_size)
    steps_per_epoch = config.steps_per_epoch or one_pass
    total_steps = steps_per_epoch * config.epochs
    pixels = _class_pixels(source, contract.num_classes, contract.ignore_index)
    precision = choose_precision(
        config.precision,
        contract,
        (config.batch_size, *crop_size(contract.image_size, config)),
        total_steps,
    )
    network = copy_network(model, precision=precision)
    weights = class_weights(pixels, config.class_weight_power).tolist()
    trainee = Distiller(network, distillation) if distillation else network
    logger.info(
        "training %s on %s: %d images, %d epochs of %d steps, %s, %s parameters",
        contract.architecture,
        contract.encoder,
        len(source),
        config.epochs,
        steps_per_epoch,
        precision,
        f"{network.count_params():,}",
    )
    watch = _Watch(
        model, network, data.splits.get("val", ()), config, out, on_epoch, on_step
    )
    watch.started = started
    for first, last in _phases(config):
        if config.freeze_epochs:
            encoder_of(network).trainable = first >= config.freeze_epochs
            logger.info(
                "epochs %d-%d: the encoder %s",
                first + 1,
                last,
                "learns, too" if first else "keeps its weights",
            )
        trainee.compile(
            optimizer=build_optimizer(config, network),
            loss=CrossEntropy(
                ignore_index=contract.ignore_index, class_weights=weights
            ),
            metrics=[MeanIoU(contract.num_classes, contract.ignore_index)],
            jit_compile=prefers_xla(),
        )
        trainee.fit(
            training_batches(
                source,
                image_size=contract.image_size,
                ignore_index=contract.ignore_index,
                config=config,
                first_step=first * steps_per_epoch,
            ),
            initial_epoch=first,
            epochs=last,
            steps_per_epoch=steps_per_epoch,
            callbacks=[watch],
            shuffle=False,  # the batches are shuffled already
            verbose=0,
        )
        if watch.is_over:
            break
    return watch.finish()


def _phases(config: TrainConfig) -> list[tuple[int, int]]:
    """First epoch, and the one after the last, of each phase."""
    if not config.freeze_epochs:
        return [(0, config.epochs)]
    frozen = min(config.freeze_epochs, config.epochs)
    return [(0, frozen), (frozen, config.epochs)][: 1 + (frozen < config.epochs)]


class _Watch(keras.callbacks.Callback):
    """Validates, keeps the best weights, and writes and reports the history."""

    def __init__(
        self,
        model: SegmentationModel,
        network: keras.Model,
        val: tuple[Pair, ...],
        config: TrainConfig,
        out: Path | None,
        on_epoch: Callable[[Row], None] | None,
        on_step: Callable[[int, int], None] | None,
    ):
        super().__init__()
        self._best, self._val, self._config, self._out = model, val, config, out
        self._network = network  # that learns; `model` holds its best weights
        self._on_epoch, self._on_step = on_epoch, on_step
        self._unfinished = out and out.with_name(f"{out.name}.unfinished")
        self._best_weights: list[np.ndarray] = []
        self._best_miou = -1.0
        self._steps = 0
        self.started = self._epoch_started = time.monotonic()
        self._first_step_ended = 0.0
        self.is_over = False
        self.history: list[Row] = []

    @property
    def _total_steps(self) -> int:
        """As configured, or as many as the time still allows at the present pace."""
        total = int(self.params["steps"] * self._config.epochs)
        if not self._config.max_minutes or self._steps < 2:
            return total
        pace = (time.monotonic() - self._first_step_ended) / (self._steps - 1)
        return min(total, self._steps + max(1, round(self._seconds_left / pace)))

    @property
    def _seconds_left(self) -> float:
        """Infinite without a limit."""
        limit = 60 * self._config.max_minutes or float("inf")
        return self.started + limit - time.monotonic()

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._epoch_started = time.monotonic()

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        # A schedule object would be traced anew for each of the network's weights.
        rate = learning_rate_at(self._steps, self._total_steps, self._config)
        self.model.optimizer.learning_rate = rate

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self._steps += 1
        if self._steps == 1:
            self._first_step_ended = time.monotonic()
        if self._seconds_left <= 0:
            self.is_over = self.model.stop_training = True
        if not np.isfinite(logs["loss"]):
            raise SegError(
                f"The loss is {logs['loss']} at step {self._steps}: training diverged. "
                f"Lower `learning_rate` (now {self._config.learning_rate})."
            )
        if self._on_step:
            self._on_step(self._steps, self._total_steps)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        val_miou = self._validate(epoch)
        row: Row = {
            "epoch": epoch + 1,
            "loss": float(logs["loss"]),
            "train_miou": float(logs["miou"]),
            "val_miou": val_miou,
            "learning_rate": float(np.asarray(self.model.optimizer.learning_rate)),
            "duration_s": time.monotonic() - self._epoch_started,
        }
        self.history.append(row)
        is_best = val_miou > self._best_miou
        if is_best or np.isnan(self._best_miou) or not self._val:
            self._keep(val_miou)
        logger.info("%s", self._line(row, is_best))
        if self._on_epoch:
            self._on_epoch(row)

    def finish(self) -> list[Row]:
        """Give the model its best weights and write the artifact."""
        self._best.network.set_weights(self._best_weights)
        if self._out and self._unfinished:
            self._best.save(self._out, extra_files=_history_files(self.history))
            shutil.rmtree(self._unfinished, ignore_errors=True)
        return self.history

    def _validate(self, epoch: int) -> float:
        last = epoch + 1 == self._config.epochs or self.is_over
        if not self._val or ((epoch + 1) % self._config.validate_every and not last):
            return float("nan")
        self._best.network.set_weights(self._network.get_weights())
        counts = sum(image.confusion for image in score_pairs(self._best, self._val))
        return Scores(np.asarray(counts)).miou

    def _keep(self, val_miou: float) -> None:
        self._best_miou = val_miou
        self._best_weights = self._network.get_weights()
        if self._unfinished:
            self._best.network.set_weights(self._best_weights)
            self._best.save(self._unfinished, extra_files=_history_files(self.history))

    def _line(self, row: Row, is_best: bool) -> str:
        done = len(self.history) / self._config.epochs
        left = (time.monotonic() - self.started) * (1 - done) / done
        left = max(0.0, min(left, self._seconds_left))
        val = "" if np.isnan(row["val_miou"]) else f"  val mIoU {row['val_miou']:.4f}"
        return (
            f"epoch {len(self.history)}/{self._config.epochs}  loss {row['loss']:.4f}"
            f"{val}{' (best)' if is_best else ''}  {row['duration_s']:.1f} s  "
            f"{int(left // 60)}:{int(left % 60):02d} left"
        )


def _history_files(history: list[Row]) -> dict[str, bytes]:
    rows = [
        {key: None if np.isnan(value) else value for key, value in row.items()}
        for row in history
    ]
    return {
        "history.json": (json.dumps(rows, indent=1) + "\n").encode(),
        "curves.png": curves_png(rows),
    }


def _class_pixels(
    source: PairSource, num_classes: int, ignore_index: int | None
) -> np.ndarray:
    """Counted pixels of each class; fills the source's cache on the way."""
    pixels = np.zeros(num_classes, np.int64)
    for index in range(len(source)):
        counts = np.bincount(source[index][1].reshape(-1))
        if ignore_index is not None and ignore_index < counts.size:
            counts[ignore_index] = 0
        wrong = np.flatnonzero(counts[num_classes:])
        if wrong.size:
            raise SegError(
                f"A training mask holds the id {num_classes + int(wrong[0])}. "
                f"Expected: ids below num_classes={num_classes}, or "
                f"ignore_index={ignore_index}. "
                "Run `seglib verify`, which names the file."
            )
        pixels[: min(num_classes, counts.size)] += counts[:num_classes]
    return pixels
