"""A model that was really trained, briefly, on the tiny scenes."""

from pathlib import Path
from typing import Any, NamedTuple

import pytest

from seglib.config import TrainConfig


class Trained(NamedTuple):
    model: Any
    history: list[dict[str, float]]
    folder: Path
    epochs: list[dict[str, float]]  # as on_epoch got them


@pytest.fixture(scope="session")
def trained(tiny_dataset: Any, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    from seglib.models import build_model
    from seglib.steps.train import train

    model = build_model(
        "compact",
        num_classes=tiny_dataset.num_classes,
        image_size=(96, 128),
        class_names=tiny_dataset.class_names,
        ignore_index=tiny_dataset.ignore_index,
    )
    folder = tmp_path_factory.mktemp("trained") / "model"
    epochs: list[dict[str, float]] = []
    history = train(
        model,
        tiny_dataset,
        config=TrainConfig(epochs=30, batch_size=4, learning_rate=3e-3),
        out=folder,
        on_epoch=epochs.append,
    )
    return Trained(model, history, folder, epochs)
