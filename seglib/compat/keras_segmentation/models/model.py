"""The model that the constructors give: seglib's, with keras_segmentation's methods."""

import functools
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import cv2
import numpy as np

from seglib.catalogue import NAMES
from seglib.compat.keras_segmentation.checkpoints import (
    WEIGHTS,
    require_place,
    take_weights,
    train_at,
)
from seglib.compat.keras_segmentation.data_utils.data_loader import (
    FolderTree,
    Place,
    class_colors,
    open_folders,
    pair_up,
)
from seglib.compat.keras_segmentation.pictures import draw
from seglib.compat.keras_segmentation.settings import (
    UNALTERED,
    callback_settings,
    optimizer_settings,
    policy_of,
    require_supported,
)
from seglib.config import EvaluateConfig, TrainConfig
from seglib.data.image_io import write_image
from seglib.data.pairs import IMAGE, split
from seglib.data.samples import read_sample
from seglib.errors import UsageError
from seglib.inference.sources import find_sources
from seglib.models.model import SegmentationModel
from seglib.models.weights import is_model
from seglib.steps.evaluate import evaluate
from seglib.steps.train import train
from seglib.training.state import Row

logger = logging.getLogger(__name__)


class KerasSegmentationModel(SegmentationModel):
    """A model of seglib with the methods of keras_segmentation's models.

    Every function of seglib takes it. What it lacks, such as `summary`, `layers` and
    `name`, is that of its Keras model, `network`.
    """

    @classmethod
    def of(cls, model: SegmentationModel) -> Self:
        return cls(model.network, model.contract)

    def __getattr__(self, name: str) -> Any:
        if name == "network" or name.startswith("__"):  # before it is there
            raise AttributeError(name)
        return getattr(self.network, name)

    @property
    def n_classes(self) -> int:
        return self.contract.num_classes

    @property
    def input_height(self) -> int:
        return self.contract.image_size[0]

    @property
    def input_width(self) -> int:
        return self.contract.image_size[1]

    output_height, output_width = input_height, input_width  # they are the same

    @property
    def model_name(self) -> str:
        """keras_segmentation's name of the architecture on its encoder."""
        parts = self.contract.architecture, self.contract.encoder
        return next((name for name, of in NAMES.items() if of == parts), parts[0])

    def save_weights(self, filepath: Place, overwrite: bool = True) -> None:
        """Write the weights; Keras's suffix `.weights.h5` is added where it lacks."""
        self.network.save_weights(_weights_file(filepath), overwrite=overwrite)

    def load_weights(self, filepath: Place) -> None:
        """Read weights that `save_weights` wrote, or those of a model's folder."""
        if is_model(filepath):
            take_weights(filepath, self)
        else:
            self.network.load_weights(_weights_file(filepath))

    def train(
        self,
        train_images: Place,
        train_annotations: Place,
        input_height: int | None = None,
        input_width: int | None = None,
        n_classes: int | None = None,
        verify_dataset: bool = True,
        checkpoints_path: Place | None = None,
        epochs: int = 5,
        batch_size: int = 2,
        validate: bool = False,
        val_images: Place | None = None,
        val_annotations: Place | None = None,
        val_batch_size: int = 2,
        auto_resume_checkpoint: bool = False,
        load_weights: Place | None = None,
        steps_per_epoch: int = 512,
        val_steps_per_epoch: int = 512,
        gen_use_multiprocessing: bool = False,
        ignore_zero_class: bool = False,
        optimizer_name: Any = "adam",
        do_augment: bool = False,
        augmentation_name: str = "aug_all",
        callbacks: Sequence[Any] | None = None,
        custom_augmentation: Any = None,
        other_inputs_paths: Sequence[Place] | None = None,
        preprocessing: Any = None,
        read_image_type: int = 1,
    ) -> list[Row]:
        """Train on folders of images and annotations, by `seglib.train`.

        Args:
            checkpoints_path: folder that gets the model, which every command of seglib
                takes. The state of the training lies beside it meanwhile.
            validate: keep the epoch of the best mIoU on the val folders.
            auto_resume_checkpoint: resume an interrupted training that lies there,
                exactly; take over a finished one of as many epochs, and begin with
                the weights of a shorter one.
            load_weights: see the method of this name.
            ignore_zero_class: class 0 is neither learnt nor scored.
            optimizer_name: adam, adamw or sgd, or one of these of Keras, whose
                learning rate, weight decay and momentum are taken.
            val_batch_size, val_steps_per_epoch, gen_use_multiprocessing: without
                effect: the whole val split is scored, and threads read.

        Returns:
            The history, as `seglib.train`.

        Raises:
            DatasetError: the dataset has problems.
            UsageError: an argument that seglib does not follow; it says what to use.
        """
        self._require_own(
            n_classes=n_classes, input_height=input_height, input_width=input_width
        )
        first = self.contract.inputs[IMAGE]
        require_supported(preprocessing, read_image_type, first)
        if custom_augmentation is not None and not do_augment:
            raise UsageError("`custom_augmentation` needs do_augment=True.")
        patience, tensorboard = callback_settings(
            callbacks, validate=validate, checkpoints_path=checkpoints_path
        )
        config = TrainConfig(
            epochs=epochs,
            batch_size=batch_size,
            steps_per_epoch=steps_per_epoch,
            patience=patience,
            **UNALTERED,
            **optimizer_settings(optimizer_name),
        )
        policy = policy_of(augmentation_name, custom_augmentation)
        if checkpoints_path is not None:
            require_place(Path(checkpoints_path))
        splits = {"train": (train_images, train_annotations)}
        if validate:
            if val_images is None or val_annotations is None:
                raise UsageError("`validate` needs val_images and val_annotations.")
            splits["val"] = val_images, val_annotations
        others = self._others(other_inputs_paths or ())
        inputs = {name: self.contract.inputs[name] for name in others}
        data = open_folders(
            FolderTree(splits, others, inputs),
            self.n_classes,
            ignore_index=0 if ignore_zero_class else None,
            splits=splits,
            verify=verify_dataset,
        )
        learn = functools.partial(
            train,
            self,
            data,
            config=config,
            policy=policy if do_augment else None,
            tensorboard=tensorboard,
        )
        if load_weights:
            self.load_weights(load_weights)
        if checkpoints_path is None:
            return learn()
        return train_at(
            Path(checkpoints_path), self, learn, epochs, resume=auto_resume_checkpoint
        )

    def predict_segmentation(
        self,
        inp: Any = None,
        out_fname: Place | None = None,
        checkpoints_path: Place | None = None,
        overlay_img: bool = False,
        class_names: Sequence[str] | None = None,
        show_legends: bool = False,
        colors: Sequence[tuple[int, int, int]] = class_colors,
        prediction_width: int | None = None,
        prediction_height: int | None = None,
        read_image_type: int = 1,
    ) -> np.ndarray:
        """Class ids (H, W) of an image, at its own size.

        Args:
            inp: the path of an image, or an array as `cv2.imread` gives it (blue,
                green, red); a list of these for a model of several inputs.
            out_fname: file of a picture in the classes' colours, PNG or JPEG.
            checkpoints_path, read_image_type: without effect: the model is this one,
                and its channels decide how a file is read.
            overlay_img: draw the colours over the image.
            class_names: of the legend. Default: the model's.
            colors: (blue, green, red) by class id.
            prediction_width, prediction_height: pixels of the picture. Default: the
                image's.
        """
        _tell_once(
            "Predictions are class ids at the image's own size; keras_segmentation "
            "gave the size of the network's output."
        )
        image = read_sample(_as_rgb(inp), self.contract.inputs)
        ids = self.predict(image)
        if out_fname is not None:
            picture = draw(
                ids,
                split(image, self.contract.inputs)[0],
                colors,
                overlay_img=overlay_img,
                legend_names=(class_names or self.contract.class_names)
                if show_legends
                else (),
                size=(prediction_height, prediction_width),
            )
            write_image(Path(out_fname), picture)
        return ids

    def predict_multiple(
        self,
        inps: Sequence[Any] | None = None,
        inp_dir: Place | None = None,
        out_dir: Place | None = None,
        checkpoints_path: Place | None = None,
        overlay_img: bool = False,
        class_names: Sequence[str] | None = None,
        show_legends: bool = False,
        colors: Sequence[tuple[int, int, int]] = class_colors,
        prediction_width: int | None = None,
        prediction_height: int | None = None,
        read_image_type: int = 1,
    ) -> list[np.ndarray]:
        """Class ids of each image; see `predict_segmentation`.

        Args:
            inps: images; or `inp_dir`, a folder of them, in the order of their names.
            out_dir: folder of the pictures: NAME.png of a file, else 0.png and so on.
        """
        if inps is None:
            if inp_dir is None:
                raise UsageError("`predict_multiple` needs inps or inp_dir.")
            inps = [
                source.files[0] for source in find_sources([inp_dir], {IMAGE: 3}, {})
            ]
        found = []
        for index, inp in enumerate(inps):
            name = Path(inp).stem if isinstance(inp, str | Path) else str(index)
            ids = self.predict_segmentation(
                inp,
                Path(out_dir) / f"{name}.png" if out_dir is not None else None,
                overlay_img=overlay_img,
                class_names=class_names,
                show_legends=show_legends,
                colors=colors,
                prediction_width=prediction_width,
                prediction_height=prediction_height,
            )
            found.append(ids)
        return found

    def evaluate_segmentation(
        self,
        inp_images: Sequence[Place] | None = None,
        annotations: Sequence[Place] | None = None,
        inp_images_dir: Place | None = None,
        annotations_dir: Place | None = None,
        checkpoints_path: Place | None = None,
        read_image_type: int = 1,
    ) -> dict[str, Any]:
        """The scores of `seglib.evaluate`, under keras_segmentation's three names.

        Args:
            inp_images, annotations: paths, pair by pair; or the folders of both.
            checkpoints_path, read_image_type: as those of `predict_segmentation`.
        """
        _tell_once(
            "Scores are of the images' own size, without ignored pixels, and without "
            "the classes that do not occur (NaN); keras_segmentation scored masks of "
            "the network's output size, and absent classes as 0."
        )
        if inp_images is not None:
            data = pair_up(inp_images, annotations or (), self.contract)
        elif inp_images_dir is None or annotations_dir is None:
            raise UsageError(
                "`evaluate_segmentation` needs inp_images_dir and annotations_dir, or "
                "inp_images and annotations."
            )
        else:
            data = open_folders(
                FolderTree({"val": (inp_images_dir, annotations_dir)}),
                self.n_classes,
                ignore_index=self.contract.ignore_index,
                splits=("val",),
            )
        self.adopt_classes(data)  # the ignored id, of a model that has none
        evaluation = evaluate(self, data, config=EvaluateConfig(split="val"))
        return evaluation.keras_segmentation

    def _require_own(self, **given: int | None) -> None:
        """Refuse another number of classes or size than this model's."""
        for name, value in given.items():
            if value not in (None, own := getattr(self, name)):
                raise UsageError(
                    f"`{name}` is the model's, {own}. Received: {name}={value}. Build "
                    "the model with it."
                )

    def _others(self, folders: Sequence[Place]) -> dict[str, Place]:
        """The folders of the model's further inputs, by their names."""
        names = [name for name in self.contract.inputs if name != IMAGE]
        if len(names) != len(folders):
            raise UsageError(
                f"`other_inputs_paths` must be a folder for each input beyond the "
                f"image; the model has {len(names)}. Received: {len(folders)}. Build "
                "it with others={'depth': 1}, name and channels of each."
            )
        return dict(zip(names, folders, strict=True))


def _weights_file(path: Place) -> Path:
    path = Path(path)
    return path if path.name.endswith(WEIGHTS) else path.with_name(path.name + WEIGHTS)


def _as_rgb(inp: Any) -> Any:
    """An image, or several, of which arrays have OpenCV's order of channels."""
    if isinstance(inp, list | tuple):
        return [_as_rgb(one) for one in inp]
    if isinstance(inp, np.ndarray) and inp.ndim == 3 and inp.shape[2] == 3:
        return np.ascontiguousarray(inp[..., ::-1])
    if isinstance(inp, np.ndarray) and inp.ndim == 3 and inp.shape[2] == 4:
        return cv2.cvtColor(inp, cv2.COLOR_BGRA2RGBA)
    return inp


@functools.cache
def _tell_once(sentence: str) -> None:
    logger.warning("%s", sentence)
