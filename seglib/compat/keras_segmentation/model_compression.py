"""Distillation on images without annotations."""

from pathlib import Path
from tempfile import TemporaryDirectory

from seglib.compat.keras_segmentation.checkpoints import require_place
from seglib.compat.keras_segmentation.data_utils.data_loader import (
    FolderTree,
    Place,
    open_folders,
)
from seglib.compat.keras_segmentation.models.model import KerasSegmentationModel
from seglib.compat.keras_segmentation.settings import UNALTERED
from seglib.config import TrainConfig
from seglib.errors import unknown
from seglib.models.model import SegmentationModel
from seglib.steps.predict import predict
from seglib.steps.train import train
from seglib.training.distillation import Distillation
from seglib.training.state import Row


def perform_distilation(
    teacher_model: SegmentationModel,
    student_model: KerasSegmentationModel,
    data_path: Place,
    distilation_loss: str = "kl",
    batch_size: int = 6,
    checkpoints_path: Place | None = None,
    epochs: int = 32,
    steps_per_epoch: int = 512,
    feats_distilation_loss: str | None = None,
    feats_distilation_loss_w: float = 0.1,
) -> list[Row]:
    """Train a student on what a teacher answers to the images of a folder.

    It learns from the teacher's predicted ids as masks, and from its probabilities by
    `seglib.Distillation`.

    Args:
        distilation_loss: kl.
        feats_distilation_loss: pa, or None.

    Returns:
        The history, as `seglib.train`.

    Raises:
        UsageError: another loss; or models of different classes or channels.
    """
    if distilation_loss != "kl":
        raise unknown("`distilation_loss`", str(distilation_loss), ["kl"])
    if feats_distilation_loss not in (None, "pa"):
        raise unknown("`feats_distilation_loss`", str(feats_distilation_loss), ["pa"])
    if checkpoints_path is not None:
        require_place(Path(checkpoints_path))
    with TemporaryDirectory() as folder:
        predict(teacher_model, data_path, folder)
        data = open_folders(
            FolderTree({"train": (data_path, Path(folder) / "ids")}),
            student_model.n_classes,
            splits=("train",),
            verify=False,
        )
        weight = feats_distilation_loss_w if feats_distilation_loss else 0.0
        return train(
            student_model,
            data,
            config=TrainConfig(
                epochs=epochs,
                batch_size=batch_size,
                steps_per_epoch=steps_per_epoch,
                weight_decay=0.0,
                **UNALTERED,
            ),
            distillation=Distillation(teacher=teacher_model, pairwise_weight=weight),
            out=checkpoints_path,
        )
