"""A training's place: its model, the state beside it, and its first weights."""

import json
from collections.abc import Callable
from pathlib import Path

from seglib.errors import UsageError
from seglib.models.model import SegmentationModel, load_model
from seglib.models.transfer import transfer_weights
from seglib.models.weights import is_model
from seglib.training.checkpoints import Checkpoints
from seglib.training.state import Row

WEIGHTS = ".weights.h5"  # the suffix without which Keras writes no weights


def require_place(place: Path) -> None:
    """Check that a model may be written there.

    Raises:
        UsageError: other things are there.
    """
    is_free = not place.exists() or (place.is_dir() and not any(place.iterdir()))
    if not is_free and not is_model(place):
        raise UsageError(
            f"{place}: `checkpoints_path` must be a new folder, or that of a model to "
            "replace. It holds other things."
        )


def train_at(
    place: Path,
    model: SegmentationModel,
    learn: Callable[..., list[Row]],
    epochs: int,
    *,
    resume: bool,
) -> list[Row]:
    """Train into a folder, the state of the training beside it meanwhile.

    The first weights are there, too: a training is resumed from the same ones alone.

    Args:
        learn: trains, with the arguments `out` and `checkpoints`.
        resume: go on with an interrupted training. Without one, a model that is there
            is the outcome, if it had as many epochs, else where training begins.
    """
    first = place.with_name(place.name + ".first" + WEIGHTS)
    if resume and first.exists():
        model.network.load_weights(first)
    else:
        if resume and is_model(place):
            take_weights(place, model)
            history: list[Row] = json.loads((place / "history.json").read_text())
            if len(history) >= epochs:
                return history
        first.parent.mkdir(parents=True, exist_ok=True)
        model.network.save_weights(first)
    state = Checkpoints(place.with_name(place.name + ".checkpoints"), resume=resume)
    rows = learn(out=place, checkpoints=state)
    first.unlink(missing_ok=True)
    return rows


def take_weights(folder: str | Path, model: SegmentationModel) -> None:
    """Copy the weights of a saved model; of one of other layers those that fit."""
    source = load_model(folder)
    given = source.network.get_weights()
    shapes = [weight.shape for weight in model.network.get_weights()]
    if [weight.shape for weight in given] == shapes:
        model.network.set_weights(given)
    else:
        transfer_weights(source, model)
