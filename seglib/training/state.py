"""The state of a training between two steps: its snapshot, and its check."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Self

import keras
import numpy as np

from seglib.config import PRECISIONS
from seglib.evaluation.metrics import Scores
from seglib.training.checkpoints import Snapshot, restore, values
from seglib.training.clock import CLOCK_FACTS, Clock
from seglib.training.precision import Numerics
from seglib.training.step import StepResult

Row = dict[str, float]

_ROW = {"epoch", "loss", "train_miou", "val_miou", "learning_rate", "duration_s"}
_MOST_SLOTS = 4  # of AdamW with an average, which accumulates gradients
_LEAST_VALIDATED = 5  # epochs of a training, at even distances after the first


@dataclass(kw_only=True)
class TrainingState:
    """Everything that changes during a training, beside Keras's variables.

    numerics: the precision and compiler it was begun with.
    confusion: int64 (num_classes, num_classes), pixels of this epoch's steps so far.
    step: steps done.
    scored: steps whose outcomes are in `confusion` and `loss_sum`.
    loss_sum: of the losses of this epoch's steps so far.
    learning_rate: of the next step.
    last_rate: of the newest step in `loss_sum`.
    history: a row for each epoch done.
    best_score: on the val split; NaN if the best epoch was not validated.
    best_epoch: from 1; 0 before the first.
    best_weights: of the network after the best epoch; none before the first.
    is_over: the time limit is reached, or nothing gets better any more.
    is_terminating: SIGTERM has reached a process of the group.
    """

    numerics: Numerics
    clock: Clock
    confusion: np.ndarray
    step: int = 0
    scored: int = 0
    loss_sum: float = 0.0
    learning_rate: float = 0.0
    last_rate: float = 0.0
    history: list[Row] = field(default_factory=list)
    best_score: float = -1.0
    best_epoch: int = 0
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

    def end_step(self) -> None:
        self.step += 1
        self.clock.end_step()

    def add_result(self, result: StepResult) -> None:
        """Add the outcome of the next step that has none yet."""
        self.scored += 1
        self.loss_sum += result.loss
        self.confusion += result.confusion
        self.last_rate = result.learning_rate

    def end_epoch(self, epoch: int, steps: int, scores: Scores | None) -> Row:
        """Add a row to the history.

        Args:
            epoch: its number, from 1.
            steps: that it took.
            scores: on the val split, if it was validated.
        """
        row = {
            "epoch": epoch,
            "loss": self.loss_sum / steps,
            "train_miou": Scores(self.confusion).miou,
            "val_miou": scores.miou if scores else float("nan"),
            "learning_rate": self.last_rate,
            "duration_s": self.clock.epoch_s,
        }
        self.history.append(row)
        return row

    def is_validation_due(self, every: int, total_steps: int) -> bool:
        """Whether to validate after this epoch, if it is not the last one.

        Args:
            every: so many epochs; 0: as is affordable, and a few times in any case.
            total_steps: of the training, as far as is known.
        """
        if every:
            return (len(self.history) + 1) % every == 0
        least = _LEAST_VALIDATED * self.step // total_steps
        return self.clock.can_afford_validation() or _validations(self.history) < least

    def is_stalled(self, patience: int) -> bool:
        """Whether so many validations in a row were no better than the best; 0: no."""
        return 0 < patience <= _validations(self.history[self.best_epoch :])

    def line(self, row: Row, *, epochs: int, is_best: bool) -> str:
        """What the log says of an epoch, and of the time that is left for `epochs`."""
        left_s = self.clock.elapsed_s * (epochs / row["epoch"] - 1)
        left_s = max(0.0, min(left_s, self.clock.left_s))
        miou = row["val_miou"]
        val = "" if math.isnan(miou) else f"  val mIoU {miou:.4f}"
        return (
            f"epoch {row['epoch']}/{epochs}  loss {row['loss']:.4f}"
            f"{val}{' (best)' if is_best else ''}  {row['duration_s']:.1f} s  "
            f"{int(left_s // 60)}:{int(left_s % 60):02d} left"
        )

    def snapshot(
        self,
        variables: Sequence[keras.Variable],
        optimizer: keras.optimizers.Optimizer,
    ) -> Snapshot:
        """Copies of all that a training resumes from."""
        return Snapshot(
            facts={
                "step": self.step,
                "numerics": asdict(self.numerics),
                "loss_sum": self.loss_sum,
                "best_miou": self.best_score,
                "best_epoch": self.best_epoch,
                "history": list(self.history),
                "clock": self.clock.facts(),
            },
            arrays={
                "network": values(variables),
                "optimizer": values(optimizer.variables),
                "confusion": [self.confusion.copy()],
                "best": self.best_weights,
            },
        )

    def outcome(self, resolved: Mapping[str, Any]) -> Snapshot:
        """What is left to write once a training is through: weights and history.

        Args:
            resolved: what automatic settings came to.
        """
        return Snapshot(
            facts={
                "step": self.step,
                "is_outcome": True,
                "history": self.history,
                "resolved": dict(resolved),
            },
            arrays={"best": self.best_weights},
        )

    def restore(self, snapshot: Snapshot, variables: Sequence[keras.Variable]) -> None:
        """Take over a snapshot; its optimizer is restored where that is compiled."""
        facts, arrays = snapshot.facts, snapshot.arrays
        restore(variables, arrays["network"])
        self.step, self.history = facts["step"], facts["history"]
        self.loss_sum, self.best_score = facts["loss_sum"], facts["best_miou"]
        self.scored, self.best_epoch = self.step, facts.get("best_epoch", 0)
        self.confusion = arrays["confusion"][0].copy()
        self.best_weights = [array.copy() for array in arrays["best"]]
        self.clock.resume(facts["clock"])


def require_state(snapshot: Snapshot, network: keras.Model) -> None:
    """Check that a snapshot is the state or the outcome of a training of this network.

    (A checksum proves that a file is as it was written, not that a training wrote it.)

    Args:
        network: of the model, in any number format.

    Raises:
        ValueError: it is not.
    """
    if "metrics" in snapshot.arrays:
        raise ValueError("made by an earlier version, which cannot be resumed")
    facts = snapshot.facts
    history = facts.get("history")
    rows_fit = isinstance(history, list) and all(_are_numbers(r, _ROW) for r in history)
    fits = {"history": rows_fit}
    if not snapshot.is_outcome:
        fits["numerics"] = _are_numerics(facts.get("numerics"))
        fits["clock"] = _are_numbers(facts.get("clock"), CLOCK_FACTS)
        for name in ("loss_sum", "best_miou"):
            fits[name] = isinstance(facts.get(name), int | float)
    for name, ok in fits.items():
        if not ok:
            raise ValueError(f"malformed: no `{name}` as a training writes it")
    for name, ok in _shapes_fit(snapshot, network).items():
        if not ok:
            raise ValueError(f"malformed: `{name}` has the shapes of another network")


def _validations(rows: Iterable[Row]) -> int:
    """How many of these epochs were validated."""
    return sum(not math.isnan(row["val_miou"]) for row in rows)


def _shapes_fit(snapshot: Snapshot, network: keras.Model) -> dict[str, bool]:
    given = {name: _shapes(arrays) for name, arrays in snapshot.arrays.items()}
    best, weights = given.get("best"), _shapes(network.weights)
    if snapshot.is_outcome:
        return {"best": best == weights}
    classes, own = network.output_shape[-1], _shapes(network.variables)
    learnt = given.get("network", [])
    auxiliary = learnt[len(own) :]  # heads of the training alone
    return {
        "network": learnt[: len(own)] == own,
        "best": best in ([], weights),  # none before the first epoch
        "confusion": given.get("confusion") == [(classes, classes)],
        "optimizer": _is_optimizer(
            given.get("optimizer", []),
            [*_shapes(network.trainable_variables), *auxiliary],
        ),
    }


def _is_optimizer(
    given: list[tuple[int, ...]], trainable: list[tuple[int, ...]]
) -> bool:
    """Whether an optimizer of these variables can have variables of these shapes.

    Beside its counters and rates it has as many of each variable that learns as the
    settings say: moments, an average, a sum. A frozen encoder has none.
    """
    counts, known = Counter(filter(None, given)), Counter(trainable)
    return len(given) >= 2 and any(
        all(n % each == 0 and n // each <= known[shape] for shape, n in counts.items())
        for each in range(1, _MOST_SLOTS + 1)
    )


def _shapes(arrays: Iterable[Any]) -> list[tuple[int, ...]]:
    return [tuple(array.shape) for array in arrays]


def _are_numerics(given: Any) -> bool:
    return (
        isinstance(given, Mapping)
        and {"precision", "xla"} <= given.keys() <= {"precision", "xla", "parts"}
        and given["precision"] in PRECISIONS
        and isinstance(given.get("parts", 1), int)
        and isinstance(given["xla"], bool)
    )


def _are_numbers(given: Any, names: set[str]) -> bool:
    return (
        isinstance(given, Mapping)
        and given.keys() >= names
        and all(isinstance(value, int | float) for value in given.values())
    )
