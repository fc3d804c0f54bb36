"""Scripts for keras_segmentation run with one changed import, and give true results."""

import contextlib
import io
import json
import logging
import subprocess
import sys
from functools import partial
from pathlib import Path

import cv2
import keras
import numpy as np
import pytest
from typer.testing import CliRunner

from seglib.compat import keras_segmentation
from seglib.compat.keras_segmentation.__main__ import app
from seglib.compat.keras_segmentation.data_utils import data_loader
from seglib.compat.keras_segmentation.data_utils.visualize_dataset import (
    visualize_segmentation_dataset,
)
from seglib.compat.keras_segmentation.metrics import get_iou
from seglib.compat.keras_segmentation.model_compression import perform_distilation
from seglib.compat.keras_segmentation.models import model as model_module
from seglib.compat.keras_segmentation.models.model_utils import (
    get_segmentation_model,
    transfer_weights,
)
from seglib.compat.keras_segmentation.models.pspnet import pspnet_50
from seglib.compat.keras_segmentation.models.segnet import mobilenet_segnet
from seglib.compat.keras_segmentation.models.unet import unet_mini, vgg_unet
from seglib.compat.keras_segmentation.predict import (
    evaluate,
    model_from_checkpoint_path,
    predict,
    predict_multiple,
    predict_video,
)
from seglib.compat.keras_segmentation.train import train
from seglib.data.image_io import read_image, write_image
from seglib.data.video import Video
from seglib.errors import DatasetError, SegError, UsageError
from seglib.models.model import load_model
from seglib.steps.train import train as seglib_train
from tests.fakes.dataset_folder import DatasetFolder

SHORT = {"epochs": 1, "steps_per_epoch": 2, "verify_dataset": False}
# What a user of keras_segmentation has; the import alone is another.
SCRIPT = """
from seglib.compat.keras_segmentation.models.unet import unet_mini

model = unet_mini(n_classes=3, input_height=24, input_width=32)
model.train(
    train_images="images_prepped_train/",
    train_annotations="annotations_prepped_train/",
    checkpoints_path="checkpoints/unet_1", epochs=2, steps_per_epoch=2
)
out = model.predict_segmentation(inp="images_prepped_test/d.png", out_fname="out.png")
print(out.shape, sorted(model.evaluate_segmentation(
    inp_images_dir="images_prepped_test/", annotations_dir="annotations_prepped_test/"
)))
print(model.predict_segmentation(inp="images_prepped_test/e.png").shape)
"""


def tiny(n_classes=3, channels=3, size=(24, 32)):
    """A network of two layers."""
    image = keras.Input((*size, channels))
    inner = keras.layers.Conv2D(4, 3, padding="same", activation="relu")(image)
    return get_segmentation_model(image, keras.layers.Conv2D(n_classes, 1)(inner))


def always(class_id, n_classes=5, channels=3):
    """A model that predicts one class."""
    image = keras.Input((24, 32, channels))
    layer = keras.layers.Conv2D(n_classes, 1)
    model = get_segmentation_model(image, layer(image))
    bias = np.eye(n_classes, dtype=np.float32)[class_id]
    layer.set_weights([np.zeros((1, 1, channels, n_classes), np.float32), bias])
    return model


@pytest.fixture(scope="module")
def prepared(tmp_path_factory) -> Path:
    """A dataset in the folders of the README: three classes and void."""
    root = DatasetFolder(tmp_path_factory.mktemp("dataset1")).root
    for split, name in {"train": "train", "val": "test"}.items():
        (root / f"{split}_images").rename(root / f"images_prepped_{name}")
        (root / f"{split}_segmentation").rename(root / f"annotations_prepped_{name}")
    return root


@pytest.fixture
def folders(prepared):
    return {
        "train_images": prepared / "images_prepped_train",
        "train_annotations": prepared / "annotations_prepped_train",
    }


@pytest.fixture(scope="module")
def ran(prepared) -> tuple[str, list[str]]:
    """What the script printed, and the warnings that were logged."""
    told: list[str] = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: told.append(record.getMessage())  # type: ignore[method-assign]
    printed = io.StringIO()
    model_module._tell_once.cache_clear()
    model_module.logger.addHandler(handler)
    try:
        with contextlib.chdir(prepared), contextlib.redirect_stdout(printed):
            exec(SCRIPT, {})
    finally:
        model_module.logger.removeHandler(handler)
    return printed.getvalue(), told


def test_the_readmes_script_runs_with_one_changed_import(ran, prepared):
    printed, told = ran
    keys = ["class_wise_IU", "frequency_weighted_IU", "mean_IU"]
    assert printed == f"(24, 32) {keys}\n(24, 32)\n"
    assert read_image(prepared / "out.png").shape == (24, 32, 3)
    # Each once, though it predicts twice.
    assert ["at the image's own size" in line for line in told] == [True, False]
    assert ["without ignored pixels" in line for line in told] == [False, True]


def test_a_model_comes_back_by_its_checkpoints_path(ran, prepared):
    path = prepared / "checkpoints" / "unet_1"
    model = model_from_checkpoint_path(str(path))
    assert model.model_name == "unet_mini"
    assert [row["epoch"] for row in _history(path)] == [1, 2]
    image = prepared / "images_prepped_test" / "d.png"
    ids = predict(inp=str(image), checkpoints_path=str(path))
    assert np.array_equal(ids, model.predict_segmentation(str(image)))
    assert np.array_equal(ids, load_model(path).predict(image))  # it is seglib's
    assert not list(path.parent.glob("*.weights.h5"))
    scores = evaluate(
        checkpoints_path=path,
        inp_images_dir=prepared / "images_prepped_test",
        annotations_dir=prepared / "annotations_prepped_test",
    )
    assert scores["mean_IU"] == pytest.approx(np.nanmean(scores["class_wise_IU"]))


def test_checkpoints_of_keras_segmentation_are_refused_by_their_name(tmp_path):
    (tmp_path / "vgg_unet_1_config.json").write_text("{}")
    with pytest.raises(SegError, match="whose networks are not ours. Train again"):
        model_from_checkpoint_path(tmp_path / "vgg_unet_1")


def test_what_a_keras_model_has_the_model_has_too(tmp_path, capsys):
    model = unet_mini(n_classes=4, input_height=32, input_width=48)
    model.summary()
    assert "Total params" in capsys.readouterr().out
    assert model.layers == model.network.layers
    assert model.name == "unet"
    assert (model.n_classes, model.model_name) == (4, "unet_mini")
    assert (model.input_height, model.input_width) == (32, 48)
    assert (model.output_height, model.output_width) == (32, 48)
    model.save_weights(str(tmp_path / "weights"))  # a name that Keras 3 refuses
    other = unet_mini(n_classes=4, input_height=32, input_width=48)
    other.load_weights(str(tmp_path / "weights"))
    for mine, its in zip(model.get_weights(), other.get_weights(), strict=True):
        assert np.array_equal(mine, its)
    with pytest.raises(AttributeError, match="no_such_thing"):
        model.no_such_thing  # noqa: B018


@pytest.mark.parametrize(
    ("build", "parts"),
    [
        (vgg_unet, ("unet", "vgg16")),
        (mobilenet_segnet, ("segnet_plain", "mobilenet")),
        (pspnet_50, ("pspnet", "resnet50")),
    ],
)
def test_a_constructor_builds_the_architecture_on_its_encoder(build, parts):
    model = build(2, input_height=32, input_width=32, channels=1)  # without weights
    assert (model.contract.architecture, model.contract.encoder) == parts
    assert model.output_shape == (None, None, None, 2)


def test_submodules_are_loaded_when_they_are_used():
    assert keras_segmentation.models.unet.unet_mini is unet_mini
    with pytest.raises(AttributeError, match="no attribute 'model'"):
        keras_segmentation.model  # noqa: B018


def test_another_encoder_level_is_refused():
    with pytest.raises(UsageError, match="`encoder_level` must be 3. Received: 4"):
        vgg_unet(2, encoder_level=4)


# What was wrong in keras_segmentation.


def test_a_perfect_predictor_of_one_class_has_a_mean_iu_of_1(tmp_path):
    write_image(tmp_path / "images" / "a.png", np.zeros((20, 30, 3), np.uint8))
    write_image(tmp_path / "masks" / "a.png", np.full((20, 30), 2, np.uint8))
    scores = always(2).evaluate_segmentation(
        inp_images_dir=tmp_path / "images", annotations_dir=tmp_path / "masks"
    )
    assert scores["mean_IU"] == scores["frequency_weighted_IU"] == 1.0
    assert np.isnan(scores["class_wise_IU"]).tolist() == [1, 1, 0, 1, 1]
    again = always(2).evaluate_segmentation(
        [str(tmp_path / "images" / "a.png")], [str(tmp_path / "masks" / "a.png")]
    )
    assert again["mean_IU"] == 1.0


def test_void_is_scored_nowhere(prepared):
    scores = always(1, n_classes=3).evaluate_segmentation(
        inp_images_dir=prepared / "images_prepped_test",
        annotations_dir=prepared / "annotations_prepped_test",
    )
    # Road is 388 of the 704 pixels that are not void, see `DatasetFolder`.
    assert scores["class_wise_IU"] == pytest.approx([0, 388 / 704, 0])


def test_a_grey_model_predicts_grey_and_coloured_files_and_arrays(tmp_path):
    model = always(1, channels=1)
    write_image(tmp_path / "grey.png", np.zeros((20, 30), np.uint8))
    write_image(tmp_path / "rgb.png", np.zeros((20, 30, 3), np.uint8))
    for inp in (
        str(tmp_path / "grey.png"),
        str(tmp_path / "rgb.png"),
        cv2.imread(str(tmp_path / "grey.png"), 0),
    ):
        assert (model.predict_segmentation(inp, read_image_type=0) == 1).all()
    model.save(tmp_path / "model")
    again = model_from_checkpoint_path(tmp_path / "model")
    assert (again.predict_segmentation(tmp_path / "grey.png") == 1).all()


def test_the_last_class_keeps_its_colour(tmp_path):
    picture = tmp_path / "out.png"
    array = np.zeros((20, 30, 3), np.uint8)
    always(4).predict_segmentation(array, str(picture))
    last = data_loader.class_colors[4]
    assert (cv2.imread(str(picture)) == last).all()  # both are blue, green, red
    own = [(1, 2, 3)] * 4 + [(9, 8, 7)]
    always(4).predict_segmentation(array, picture, colors=own)
    assert (cv2.imread(str(picture)) == (9, 8, 7)).all()


def test_an_array_is_blue_green_red_as_opencv_reads_it(tmp_path):
    image = keras.Input((16, 16, 3))
    layer = keras.layers.Conv2D(3, 1, use_bias=False)
    model = get_segmentation_model(image, layer(image))
    layer.set_weights([np.eye(3, dtype=np.float32)[None, None]])  # class: largest
    red = np.zeros((16, 16, 3), np.uint8)
    red[..., 0] = 255
    write_image(tmp_path / "red.png", red)
    array = cv2.imread(str(tmp_path / "red.png"))
    assert (model.predict_segmentation(array) == 0).all()
    assert (model.predict_segmentation(tmp_path / "red.png") == 0).all()


def test_training_on_a_bad_dataset_raises_and_says_why(tmp_path):
    write_image(tmp_path / "images" / "a.png", np.zeros((24, 32, 3), np.uint8))
    write_image(tmp_path / "masks" / "a.png", np.full((24, 32), 9, np.uint8))
    with pytest.raises(DatasetError, match=r"a\.png: ids outside 0 … 2: 9") as caught:
        tiny().train(tmp_path / "images", tmp_path / "masks")
    assert f"`ignore_index: ID` in {tmp_path / 'dataset.yaml'}" in str(caught.value)
    with pytest.raises(DatasetError, match="nowhere: no such folder"):
        tiny().train(tmp_path / "images", tmp_path / "nowhere")


def test_verification_tells_good_from_bad(folders, tmp_path, caplog):
    good = folders["train_images"], folders["train_annotations"]
    assert data_loader.verify_segmentation_dataset(*good, n_classes=3)
    assert not data_loader.verify_segmentation_dataset(*good, n_classes=2)
    assert "ids outside 0 … 1: 2" in caplog.text
    assert not data_loader.verify_segmentation_dataset(good[0], tmp_path / "no", 3)
    write_image(tmp_path / "lonely.png", np.zeros((24, 32, 3), np.uint8))
    with pytest.raises(DatasetError, match="image without mask"):
        data_loader.get_pairs_from_paths(tmp_path, good[1])
    assert len(data_loader.get_pairs_from_paths(*good)) == 3


# Arguments of `train`.


@pytest.fixture
def seen(monkeypatch):
    """What reaches `seglib.train`, which does not train then."""
    found = {}

    def look(model, data, **options):
        found.update(options, model=model, data=data)
        return []

    monkeypatch.setattr(model_module, "train", look)
    return found


def test_each_argument_reaches_seglibs_configuration(folders, prepared, seen):
    model = tiny()
    model.train(
        **folders,
        epochs=7,
        batch_size=3,
        steps_per_epoch=9,
        validate=True,
        val_images=prepared / "images_prepped_test",
        val_annotations=prepared / "annotations_prepped_test",
        optimizer_name=keras.optimizers.SGD(0.02, momentum=0.5),
        do_augment=True,
        augmentation_name="aug_geometric",
        callbacks=[
            keras.callbacks.EarlyStopping(patience=4),
            keras.callbacks.TensorBoard("logs"),
        ],
    )
    config = seen["config"]
    assert (config.epochs, config.batch_size, config.steps_per_epoch) == (7, 3, 9)
    assert (config.optimizer, config.learning_rate, config.momentum) == (
        "sgd",
        0.02,
        0.5,
    )
    assert (config.min_scale, config.max_scale, config.flip) == (1, 1, False)
    assert (config.patience, seen["tensorboard"]) == (4, "logs")
    assert seen["policy"] == "aug_geometric"
    splits = {name: len(pairs) for name, pairs in seen["data"].splits.items()}
    assert splits == {"train": 3, "val": 2}
    assert seen["data"].ignore_index == 255  # of dataset.yaml beside the images
    model.train(**folders, ignore_zero_class=True, verify_dataset=False)
    assert (seen["config"].optimizer, seen["config"].learning_rate) == ("adamw", 0.001)
    assert seen["config"].weight_decay == 0
    assert (seen["policy"], seen["data"].ignore_index) == (None, 0)


class Imgaug:
    """A transform of imgaug, as far as it can be told from others."""

    def augment_image(self, image):
        return image


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"preprocessing": lambda x: x + 1}, "normalisation is part of the network"),
        ({"optimizer_name": "adadelta"}, "Unknown `optimizer_name`: `adadelta`"),
        ({"optimizer_name": None}, "Expected one of: adam, adamw, sgd"),
        ({"read_image_type": 0}, "Build the model with channels=1"),
        ({"n_classes": 5}, "`n_classes` is the model's, 3. Received: n_classes=5"),
        ({"validate": True}, "needs val_images and val_annotations"),
        ({"callbacks": [keras.callbacks.EarlyStopping()]}, "with validate=True"),
        ({"callbacks": [keras.callbacks.CSVLogger("x")]}, "Received: CSVLogger"),
        ({"custom_augmentation": dict}, "needs do_augment=True"),
        ({"custom_augmentation": Imgaug, "do_augment": True}, "albumentations.Compose"),
        ({"other_inputs_paths": ["depth"]}, "the model has 0. Received: 1"),
        ({"augmentation_name": "aug_al", "do_augment": True}, "Did you mean `aug_all"),
    ],
)
def test_an_argument_that_is_not_followed_is_refused(folders, arguments, message):
    with pytest.raises(UsageError, match=message):
        tiny().train(**folders, **{**SHORT, **arguments})


def test_a_transform_of_albumentations_is_the_policy(folders, seen):
    import albumentations

    flip = albumentations.Compose([albumentations.HorizontalFlip(p=0.5)])
    for given in (flip, lambda: flip):  # it is a function, by the README
        tiny().train(**folders, do_augment=True, custom_augmentation=given)
        assert seen.pop("policy") is flip


def test_further_inputs_come_from_their_folders(folders, tmp_path):
    for image in folders["train_images"].iterdir():
        write_image(tmp_path / image.name, np.zeros((24, 32), np.uint8))
    write_image(tmp_path / "of_another_split.png", np.zeros((24, 32), np.uint8))
    inputs = [keras.Input((24, 32, 3)), keras.Input((24, 32, 1), name="depth")]
    joined = keras.layers.Concatenate()(inputs)
    model = get_segmentation_model(inputs, keras.layers.Conv2D(3, 1)(joined))
    arguments = {**SHORT, "verify_dataset": True}
    assert model.train(**folders, **arguments, other_inputs_paths=[tmp_path])


class StoppedError(Exception):
    pass


def test_an_interrupted_training_is_resumed_exactly(folders, tmp_path, monkeypatch):
    def stop(step, _total):
        if step == 3:  # of the second epoch
            raise StoppedError

    arguments = {**folders, **SHORT, "epochs": 3}
    place = tmp_path / "unet_1"
    model = tiny()
    model.save_weights(tmp_path / "first")
    with monkeypatch.context() as patch:
        patch.setattr(model_module, "train", partial(seglib_train, progress=stop))
        with pytest.raises(StoppedError):
            model.train(**arguments, checkpoints_path=place)
    assert not place.exists()
    model = tiny()  # of other random weights
    rows = model.train(**arguments, checkpoints_path=place, auto_resume_checkpoint=True)
    at_once = tiny()
    whole = at_once.train(**arguments, load_weights=tmp_path / "first")
    assert [r["loss"] for r in rows] == [r["loss"] for r in whole]
    for mine, its in zip(model.get_weights(), at_once.get_weights(), strict=True):
        assert np.array_equal(mine, its)
    # A finished one of as many epochs is taken over; a shorter one is where it begins.
    again = tiny()
    same = again.train(**arguments, checkpoints_path=place, auto_resume_checkpoint=True)
    assert [r["loss"] for r in same] == [r["loss"] for r in rows]
    assert np.array_equal(again.get_weights()[0], model.get_weights()[0])
    arguments["epochs"] = 4
    more = tiny().train(
        **arguments, checkpoints_path=place, auto_resume_checkpoint=True
    )
    assert len(more) == 4
    assert more[0]["loss"] != rows[0]["loss"]


def test_a_place_that_holds_other_things_is_refused_before_training(folders, tmp_path):
    (tmp_path / "notes.txt").touch()
    with pytest.raises(UsageError, match="It holds other things"):
        tiny().train(**folders, **SHORT, checkpoints_path=tmp_path)


def test_a_model_is_trained_by_its_name(folders, seen):
    with pytest.raises(UsageError, match="Did you mean `unet_mini`"):
        train("unet_min", **folders)
    with pytest.raises(UsageError, match="needs n_classes"):
        train("unet_mini", **folders)
    size = {"input_height": 16, "input_width": 16}
    train("unet_mini", n_classes=3, **folders, **size, **SHORT)
    contract = seen["model"].contract
    assert (contract.encoder, contract.image_size) == ("mini", (16, 16))


# The other functions.


def test_pictures_of_many_images_are_png_files_of_their_names(prepared, tmp_path):
    model = always(2)
    found = predict_multiple(
        model,
        inp_dir=prepared / "images_prepped_test",
        out_dir=tmp_path / "out",
        overlay_img=True,
        show_legends=True,
        class_names=["a", "b", "c", "d", "e"],
        prediction_width=64,
        prediction_height=48,
    )
    assert [ids.shape for ids in found] == [(24, 32)] * 2
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["d.png", "e.png"]
    height, width, _ = read_image(tmp_path / "out" / "d.png").shape
    assert height >= 48
    assert width > 64  # the legend is beside it
    arrays = [np.zeros((24, 32, 3), np.uint8)] * 2
    model.predict_multiple(arrays, out_dir=tmp_path / "arrays")
    assert sorted(p.name for p in (tmp_path / "arrays").iterdir()) == ["0.png", "1.png"]


def test_a_video_is_predicted_frame_by_frame(tmp_path):
    writer = cv2.VideoWriter(
        str(tmp_path / "in.avi"), cv2.VideoWriter.fourcc(*"XVID"), 5, (32, 24)
    )
    for _ in range(3):
        writer.write(np.zeros((24, 32, 3), np.uint8))
    writer.release()
    predict_video(always(1), tmp_path / "in.avi", tmp_path / "out.mp4")
    assert len(list(Video(tmp_path / "out.mp4").frames())) == 3
    for camera in ({"inp": 0}, {"inp": "in.avi", "display": True}):
        with pytest.raises(UsageError, match="opens no camera and no window"):
            predict_video(always(1), output=tmp_path / "out.mp4", **camera)


def test_without_a_model_and_its_path_prediction_says_what_it_needs():
    for function in (predict, predict_multiple, evaluate):
        with pytest.raises(UsageError, match="Expected a model, or checkpoints_path"):
            function()


def test_a_dataset_is_drawn_into_a_picture(folders, tmp_path):
    two = folders["train_images"], folders["train_annotations"]
    picture = visualize_segmentation_dataset(*two, n_classes=3)
    assert picture.width > 32
    place = visualize_segmentation_dataset(
        *two, n_classes=3, do_augment=True, image_size=(48, 32), out=tmp_path / "x.png"
    )
    assert place == tmp_path / "x.png"
    assert place.exists()


def test_weights_go_from_one_model_to_another():
    source, target = unet_mini(3, 32, 32), unet_mini(4, 32, 32)
    done = transfer_weights(source, target)
    assert all("logits" in name or "head" in name for name in done.left), done.left
    assert np.array_equal(source.get_weights()[0], target.get_weights()[0])


def test_a_student_learns_from_images_without_annotations(prepared, tmp_path):
    student = always(1, n_classes=3)
    rows = perform_distilation(
        always(2, n_classes=3),
        student,
        prepared / "images_prepped_train",
        checkpoints_path=tmp_path / "student",
        batch_size=2,
        epochs=1,
        steps_per_epoch=60,
    )
    assert len(rows) == 1
    found = model_from_checkpoint_path(tmp_path / "student").predict_segmentation(
        prepared / "images_prepped_test" / "d.png"
    )
    assert (found == 2).mean() > 0.9
    with pytest.raises(UsageError, match="Unknown `distilation_loss`: `l1`"):
        perform_distilation(always(3), student, prepared, distilation_loss="l1")


def test_the_generator_gives_images_and_the_classes_of_their_pixels(folders):
    images, classes = next(
        data_loader.image_segmentation_generator(
            folders["train_images"], folders["train_annotations"], 2, 3, 24, 32, 12, 16
        )
    )
    assert (images.shape, classes.shape) == ((2, 24, 32, 3), (2, 12 * 16, 3))
    # Rows 0 … 3 of 12 are sky, the last is void.
    grid = classes[0].reshape(12, 16, 3)
    assert (grid[:4] == (1, 0, 0)).all()
    assert not grid[-1].any()


def test_the_iou_of_a_mask_leaves_absent_classes_out():
    found = get_iou(np.array([[0, 0, 1]]), np.array([[0, 1, 1]]), 3)
    assert found == pytest.approx([0.5, 0.5, np.nan], nan_ok=True)


def test_trained_models_of_keras_segmentation_are_refused_with_ours():
    for name in ("pspnet_50_ADE_20K", "pspnet_101_cityscapes", "pspnet_101_voc12"):
        with pytest.raises(UsageError, match='build_model."segformer"'):
            getattr(keras_segmentation.pretrained, name)()


# The command line.


def test_the_commands_answer_with_an_exit_status(ran, prepared, tmp_path):
    two = (
        f"--images_path={prepared / 'images_prepped_test'}",
        f"--segs_path={prepared / 'annotations_prepped_test'}",
    )
    module = "seglib.compat.keras_segmentation"
    bad = subprocess.run(
        [sys.executable, "-m", module, "verify_dataset", *two, "--n_classes=2"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert bad.returncode == 1
    assert "the dataset cannot be used" in bad.stderr

    def run(*words):
        done = CliRunner().invoke(app, words, catch_exceptions=False)
        assert done.exit_code == 0
        return done.output

    run("verify_dataset", *two, "--n_classes=3")
    model = f"--checkpoints_path={prepared / 'checkpoints' / 'unet_1'}"
    folder, out = prepared / "images_prepped_test", tmp_path / "out"
    run("predict", model, f"--input_path={folder}", f"--output_path={out}")
    assert sorted(path.name for path in out.iterdir()) == ["d.png", "e.png"]
    one = tmp_path / "one.png"
    run("predict", model, f"--input_path={folder / 'd.png'}", f"--output_path={one}")
    assert one.read_bytes() == (out / "d.png").read_bytes()
    run("evaluate_model", model, *two)
    picture = tmp_path / "dataset.png"
    run("visualize_dataset", *two, "--n_classes=3", f"--out={picture}")
    assert picture.exists()


def _history(path):
    return json.loads((path / "history.json").read_text())
