"""Whether a checkpoint is the state of a training of a certain network."""

from collections.abc import Iterable, Mapping
from typing import Any

import keras

from seglib.config import PRECISIONS
from seglib.training.checkpoints.snapshot import Snapshot

_ROW = {"epoch", "loss", "train_miou", "val_miou", "learning_rate", "duration_s"}
_CLOCK = {"elapsed_s", "epoch_s", "timed_s", "untimed_steps"}

Shapes = list[tuple[int, ...]]


def require_state(snapshot: Snapshot, network: keras.Model) -> None:
    """Check the facts of a snapshot, and the shapes of its arrays.

    (A checksum proves that a file is as it was written, not that a training wrote it.)

    Args:
        network: of the model, in any number format.

    Raises:
        ValueError: it is not the state of a training of this network.
    """
    if "metrics" in snapshot.arrays:
        raise ValueError("made by an earlier version, which cannot be resumed")
    facts = snapshot.facts
    history = facts.get("history")
    fits = {"history": isinstance(history, list) and _are_rows(history)}
    if not snapshot.is_outcome:
        fits |= {
            "numerics": _are_numerics(facts.get("numerics")),
            "loss_sum": _is_number(facts.get("loss_sum")),
            "best_miou": _is_number(facts.get("best_miou")),
            "clock": _are_numbers(facts.get("clock"), _CLOCK),
        }
    for name, ok in fits.items():
        if not ok:
            raise ValueError(f"malformed: no `{name}` as a training writes it")
    for name, ok in _shapes_fit(snapshot, network).items():
        if not ok:
            raise ValueError(f"malformed: `{name}` has the shapes of another network")


def _shapes_fit(snapshot: Snapshot, network: keras.Model) -> dict[str, bool]:
    given = {name: _shapes(arrays) for name, arrays in snapshot.arrays.items()}
    best = given.get("best")
    if snapshot.is_outcome:
        return {"best": best == _shapes(network.weights)}
    moments = given.get("optimizer", [])[2:]  # after iterations and learning rate
    trainable = iter(_shapes(network.trainable_variables))
    classes = network.output_shape[-1]
    return {
        "network": given.get("network") == _shapes(network.variables),
        "best": best in ([], _shapes(network.weights)),  # none before the first epoch
        "confusion": given.get("confusion") == [(classes, classes)],
        # Two for each variable that learns; a frozen encoder has none.
        "optimizer": bool(moments)
        and moments[::2] == moments[1::2]
        and all(shape in trainable for shape in moments[::2]),
    }


def _shapes(arrays: Iterable[Any]) -> Shapes:
    return [tuple(array.shape) for array in arrays]


def _are_numerics(values: Any) -> bool:
    return (
        isinstance(values, Mapping)
        and values.keys() == {"precision", "xla"}
        and values["precision"] in PRECISIONS
        and isinstance(values["xla"], bool)
    )


def _are_rows(history: list[Any]) -> bool:
    return all(_are_numbers(row, _ROW) for row in history)


def _are_numbers(values: Any, names: set[str]) -> bool:
    return (
        isinstance(values, Mapping)
        and values.keys() >= names
        and all(map(_is_number, values.values()))
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float)
