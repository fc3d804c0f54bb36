"""What the comparisons share: CamVid, training for some minutes, and scoring."""

import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from seglib.config import Config, TrainConfig
from seglib.data.dataset import Dataset, config_options
from seglib.data.image_io import read_mask
from seglib.data.verification.loading import load_dataset
from seglib.evaluation.metrics import Scores, confusion_matrix
from seglib.evaluation.scoring import score_pairs
from seglib.models.model import SegmentationModel
from seglib.steps.train import train


@dataclass(frozen=True)
class Trained:
    """What some minutes of training gave."""

    minutes: float
    steps: int
    seconds_a_step: float
    miou: float  # of the val split, at the original size


def open_camvid(folder: Path, config: Path) -> tuple[Dataset, Config]:
    """The dataset with the classes that a config names."""
    settings = Config.load(config)
    return load_dataset(folder, **config_options(settings.data)), settings


def train_for(
    model: SegmentationModel, data: Dataset, config: TrainConfig, minutes: float
) -> Trained:
    """Train for so long, start-up included; the rate falls to the end of it."""
    quiet = replace(data, splits={"train": data.splits["train"]})
    marks: list[float] = []
    started = time.monotonic()
    train(
        model,
        quiet,
        config=replace(config, epochs=1000, max_minutes=minutes),
        progress=lambda *_: marks.append(time.monotonic()),
    )
    half = len(marks) // 2
    step = (marks[-1] - marks[half]) / (len(marks) - 1 - half)
    spent = (marks[-1] - started) / 60
    return Trained(spent, len(marks), step, miou(model, data))


def miou(model: SegmentationModel, data: Dataset) -> float:
    """Of the val split, at the original size."""
    counts = sum(image.confusion for image in score_pairs(model, data.splits["val"]))
    return Scores(np.asarray(counts)).miou


def miou_of_files(folder: Path, data: Dataset) -> float:
    """The same of predictions that another library wrote, as class-id PNGs."""
    counts = sum(
        confusion_matrix(
            read_mask(pair.mask),
            read_mask(folder / f"{pair.image.stem}.png"),
            num_classes=data.num_classes,
            ignore_index=data.ignore_index,
        )
        for pair in data.splits["val"]
    )
    return Scores(np.asarray(counts)).miou
