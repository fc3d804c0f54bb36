import numpy as np
import pytest

from seglib.config import TrainConfig
from seglib.data.dataset import scan_dataset
from seglib.data.image_io import write_image
from seglib.errors import SegError
from seglib.models.contract import Contract
from seglib.training.training_data import TrainingData


def test_masks_of_void_alone_are_refused_before_the_training(folder):
    for path in (folder.root / "train_segmentation").iterdir():
        write_image(path, np.full((24, 32), 255, np.uint8))
    dataset = scan_dataset(folder.root).dataset
    contract = Contract(
        architecture="compact",
        encoder="compact",
        num_classes=3,
        image_size=(24, 32),
        inputs={"image": 3},
        mean=(0.0, 0.0, 0.0),
        scale=(1.0, 1.0, 1.0),
        channel_order="rgb",
        class_names=dataset.class_names,
        palette=dataset.palette,
        ignore_index=255,
    )
    with pytest.raises(SegError, match=r"is ignored \(ignore_index=255\)"):
        TrainingData.open(dataset, None, contract, TrainConfig(), str)
