"""Prediction and evaluation by a model, or by the path of its checkpoints."""

import inspect
from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import Any

from seglib.compat.keras_segmentation.data_utils.data_loader import (
    Place,
    class_colors,
)
from seglib.compat.keras_segmentation.models.model import KerasSegmentationModel
from seglib.compat.keras_segmentation.pictures import draw
from seglib.data.video import Video, VideoFile
from seglib.errors import SegError, UsageError
from seglib.models.model import load_model

_NO_MODEL = "Expected a model, or checkpoints_path, its folder. Received neither."


def model_from_checkpoint_path(checkpoints_path: Place) -> KerasSegmentationModel:
    """The model that `train(checkpoints_path=…)` wrote.

    Raises:
        SegError: there is none, or one of keras_segmentation.
    """
    path = Path(checkpoints_path)
    if path.with_name(path.name + "_config.json").exists():
        raise SegError(
            f"{path}: checkpoints of keras_segmentation, whose networks are not ours. "
            "Train again."
        )
    return KerasSegmentationModel.of(load_model(path))


def _by_checkpoints(method: Callable[..., Any]) -> Callable[..., Any]:
    """A method as a function of a model, or of the path of one."""

    @wraps(method)
    def call(model: Any = None, *args: Any, **options: Any) -> Any:
        given = inspect.signature(method).bind(model, *args, **options).arguments
        place = given.pop("checkpoints_path", None)
        if model is None:
            if place is None:
                raise UsageError(_NO_MODEL)
            given["self"] = model_from_checkpoint_path(place)
        return method(**given)

    return call


predict = _by_checkpoints(KerasSegmentationModel.predict_segmentation)
predict_multiple = _by_checkpoints(KerasSegmentationModel.predict_multiple)
evaluate = _by_checkpoints(KerasSegmentationModel.evaluate_segmentation)


def predict_video(
    model: KerasSegmentationModel | None = None,
    inp: Place | None = None,
    output: Place | None = None,
    checkpoints_path: Place | None = None,
    display: bool = False,
    overlay_img: bool = True,
    class_names: Sequence[str] | None = None,
    show_legends: bool = False,
    colors: Sequence[tuple[int, int, int]] = class_colors,
    prediction_width: int | None = None,
    prediction_height: int | None = None,
) -> None:
    """Predict the frames of a video file into an MP4 file; arguments as of `predict`.

    Raises:
        UsageError: a camera, a window, or no output.
        SegError: the video cannot be read, or its output cannot be written.
    """
    if not isinstance(inp, str | Path) or output is None or display:
        raise UsageError(
            "`predict_video` reads a file and writes one: it opens no camera and no "
            f"window. Received: inp={inp!r}, output={output!r}, display={display}."
        )
    if model is None:
        if checkpoints_path is None:
            raise UsageError(_NO_MODEL)
        model = model_from_checkpoint_path(checkpoints_path)
    video = Video(Path(inp))
    names = (class_names or model.contract.class_names) if show_legends else ()
    with VideoFile(Path(output), video.frames_a_second) as file:
        for frame in video.frames(channels=model.contract.channels):
            picture = draw(
                model.predict(frame),
                frame,
                colors,
                overlay_img=overlay_img,
                legend_names=names,
                size=(prediction_height, prediction_width),
            )
            file.write(picture)
