import dataclasses
import os
import struct
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from seglib import hardware as memory
from seglib.cli.main import app
from seglib.data.image_io import read_image, read_mask, write_image
from seglib.data.video import Video, VideoFile
from seglib.errors import SegError, UsageError
from seglib.inference.predictor import Predictor
from seglib.models import build_model
from seglib.models.model import SegmentationModel
from seglib.steps.export import export
from seglib.steps.predict import predict


def test_a_folder_gives_ids_colours_overlays_and_a_legend(
    trained, tiny_dataset, tiny_root, tmp_path
):
    predictions = predict(
        trained.folder, tiny_root / "test_images", tmp_path, save="ids,color,overlay"
    )
    assert not predictions.problems
    assert [path.name for path in predictions.written] == [
        "test_0.png",
        "test_1.png",
        "test_2.png",
    ]
    ids = read_mask(tmp_path / "ids" / "test_0.png")
    image = read_image(tiny_root / "test_images" / "test_0.png")
    assert (ids == trained.model.predict(image)).all()
    color = read_image(tmp_path / "color" / "test_0.png")
    palette = np.array(trained.model.contract.palette)
    assert (color == palette[ids]).all()
    assert read_image(tmp_path / "overlay" / "test_0.png").shape == image.shape
    assert read_image(tmp_path / "legend.png").shape[0] > 8


def test_a_file_and_a_list_of_files_are_taken(trained, tiny_root, tmp_path):
    files = sorted((tiny_root / "val_images").iterdir())
    assert (
        len(predict(trained.model, str(files[0]), str(tmp_path / "one")).written) == 1
    )
    assert len(predict(trained.model, files[:2], tmp_path / "two").written) == 2


def test_two_images_of_one_stem_do_not_overwrite_each_other(trained, tmp_path):
    for name in ("a.png", "a.jpg"):
        write_image(tmp_path / name, np.zeros((32, 32, 3), np.uint8))
    with pytest.raises(UsageError, match="would both be written as a.png"):
        predict(trained.model, tmp_path, tmp_path / "out")


def test_a_folder_without_images_is_refused(trained, tmp_path):
    with pytest.raises(UsageError, match="No image found. Expected files that end in"):
        predict(trained.model, tmp_path, tmp_path / "out")
    with pytest.raises(UsageError, match="no such file or folder"):
        predict(trained.model, tmp_path / "missing.png", tmp_path / "out")


def test_grey_images_are_predicted_by_a_grey_model(tmp_path):
    write_image(tmp_path / "a.png", np.full((40, 50, 1), 90, np.uint8))
    model = build_model("compact", num_classes=2, image_size=(32, 32), channels=1)
    predictions = predict(model, tmp_path / "a.png", tmp_path / "out")
    assert read_mask(predictions.written[0]).shape == (40, 50)


@pytest.fixture(scope="module")
def small():
    """A network that has learnt nothing."""
    return build_model("compact_small", num_classes=3, image_size=(32, 32))


def test_what_cannot_be_read_does_not_stop_the_others(small, tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    os.mkfifo(folder / "a.png")
    (folder / "b.png").symlink_to("nowhere")
    (folder / "c.png").symlink_to("/dev/zero")
    header = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + struct.pack(">IIBB", 20000, 20000, 8, 2)
    (folder / "d.png").write_bytes(header)
    (folder / "e.tif").write_bytes(b"II*\0")
    write_image(folder / "f.png", np.zeros((20, 30, 3), np.uint8))
    options = [
        "predict",
        str(small.save(tmp_path / "model")),
        str(folder),
        "--out",
        str(tmp_path / "o"),
    ]
    result = CliRunner().invoke(app, options)
    assert "1 images" in result.output
    problems = str(result.exception).splitlines()
    for problem, name, reason in zip(
        problems,
        "abcde",
        ["it is a FIFO", "a link to nowhere", "a device", "too large", "not an image"],
        strict=True,
    ):
        assert f"/{name}." in problem
        assert reason in problem
    assert [path.name for path in (tmp_path / "o" / "ids").iterdir()] == ["f.png"]


def test_names_in_two_normal_forms_are_a_clash(small, tmp_path):
    for form in ("NFC", "NFD"):
        name = unicodedata.normalize(form, "café.png")
        write_image(tmp_path / name, np.zeros((32, 32, 3), np.uint8))
    with pytest.raises(UsageError, match=r"only Unicode normalization \(NFC, NFD\)"):
        predict(small, tmp_path, tmp_path / "out")


def test_an_image_that_memory_cannot_hold_is_refused(monkeypatch):
    monkeypatch.setattr(memory, "_MEMORY", Path("/nowhere"))
    assert memory.free_bytes() is None
    memory.require_memory((1, 10**6, 10**6, 3), 100)  # nothing is known of the machine
    monkeypatch.undo()
    with pytest.raises(SegError, match=r"1,000,000×1,000,000 pixels and 100 classes"):
        memory.require_memory((1, 10**6, 10**6, 3), 100)
    memory.require_memory((1, 100, 100, 3), 100)


def _images(folder, names, size=(20, 30)):
    for number, name in enumerate(names):
        write_image(folder / name, np.full((*size, 3), 5 * number, np.uint8))
    return folder


def test_a_rerun_predicts_only_what_is_new_or_changed(small, tmp_path):
    model = small.save(tmp_path / "model")
    folder = _images(tmp_path / "images", ["a b.png", "ü.png", "c.png"])
    out = tmp_path / "out"
    assert len(predict(model, folder, out).written) == 3
    assert predict(model, folder, out).written == ()
    write_image(folder / "c.png", np.full((40, 30, 3), 7, np.uint8))
    (out / "ids" / "ü.png").unlink()
    with (out / "predictions.jsonl").open("a") as record:
        record.write('{"name": "a b", "sta')  # a process was killed here
    again = predict(model, folder, out)
    assert [path.stem for path in again.written] == ["c", "ü"]
    assert [path.stem for path in again.skipped] == ["a b"]
    assert read_mask(out / "ids" / "c.png").shape == (40, 30)
    assert len(predict(model, folder, out, overwrite=True).written) == 3
    assert len(predict(model, folder, out, tta="flip").written) == 3  # other settings


def test_an_interrupted_run_keeps_what_is_done(small, tmp_path):
    model = small.save(tmp_path / "model")
    folder = _images(tmp_path / "images", [f"{i:02}.png" for i in range(40)])

    def interrupt(done, total):
        if done >= 16:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        predict(model, folder, tmp_path / "out", progress=interrupt)
    there = {path.stem for path in (tmp_path / "out" / "ids").iterdir()}
    again = predict(model, folder, tmp_path / "out")
    assert {path.stem for path in again.skipped} == there
    assert 8 <= len(there) < 40
    assert len(again.written) == 40 - len(there)


def test_a_glob_and_every_kind_of_output_are_taken(small, tmp_path):
    folder = _images(tmp_path / "images", ["a1.png", "a2.jpg", "b.png"])
    kinds = ("ids", "color", "overlay", "probability", "uncertainty")
    found = predict(small, f"{folder}/a*", tmp_path / "out", save=kinds, opacity=0)
    assert [path.stem for path in found.written] == ["a1", "a2"]
    for kind in kinds:
        assert read_image(tmp_path / "out" / kind / "a1.png").shape == (20, 30, 3)
    expected = small.predict_probabilities(folder / "a1.png").max(-1)
    grey = read_mask(tmp_path / "out" / "probability" / "a1.png")
    assert np.abs(grey / 255 - expected).max() < 1 / 255
    shown = read_image(tmp_path / "out" / "overlay" / "a1.png")
    assert (shown == read_image(folder / "a1.png")).all()  # opacity 0


def test_unknown_outputs_and_opacities_are_refused(small, tmp_path):
    folder = _images(tmp_path / "images", ["a.png"])
    with pytest.raises(UsageError, match="Unknown output: `colour`. Did you mean `col"):
        predict(small, folder, tmp_path / "out", save="ids,colour")
    with pytest.raises(UsageError, match="expects some of ids"):
        predict(small, folder, tmp_path / "out", save="")
    with pytest.raises(UsageError, match="`opacity` must be 0 … 1"):
        predict(small, folder, tmp_path / "out", opacity=1.5)
    with pytest.raises(UsageError, match="No image found"):
        predict(small, f"{folder}/*.tif", tmp_path / "out")
    (tmp_path / "file").write_text("")
    with pytest.raises(SegError, match="cannot be written"):
        predict(small, folder, tmp_path / "file" / "out")


def _video(path, count):
    with VideoFile(path, 12.0) as file:
        for number in range(count):
            file.write(np.full((48, 64, 3), 10 * number, np.uint8))
    return path


def test_a_video_gives_a_folder_of_ids_and_an_overlay(small, tmp_path):
    path = _video(tmp_path / "drive ü.mp4", 11)
    (tmp_path / "bad.mp4").write_bytes(b"no video")
    seen = []
    found = predict(
        small,
        [path, tmp_path / "bad.mp4"],
        tmp_path / "out",
        save="ids,overlay",
        progress=lambda done, total: seen.append((done, total)),
    )
    assert "bad.mp4: not a video that OpenCV can read" in found.problems[0]
    (folder,) = found.written
    frames = sorted(folder.iterdir())
    assert [frame.name for frame in frames] == [f"{i:06}.png" for i in range(11)]
    originals = list(Video(path).frames())
    for frame, original in zip(frames, originals, strict=True):
        assert (read_mask(frame) == small.predict(original)).all()
    overlay = Video(tmp_path / "out" / "overlay" / "drive ü.mp4")
    assert (overlay.length, overlay.frames_a_second) == (11, 12.0)
    assert seen[-1] == (12, 12)  # 11 frames and a file that cannot be read


def test_images_much_larger_than_those_of_the_training_are_tiled_and_told(
    small, tmp_path, caplog
):
    caplog.set_level("INFO", "seglib")
    folder = tmp_path / "images"
    noise = np.random.default_rng(0).integers(0, 256, (2, 65, 20, 3)).astype(np.uint8)
    for name, image in zip(("a.png", "b.png"), noise, strict=True):
        write_image(folder / name, image)
    found = predict(small, folder, tmp_path / "tiled")
    assert "Images such as one of 65×20 pixels" in caplog.text
    assert caplog.text.count("are predicted in tiles") == 1
    tiled = Predictor(small, tile=True).predict(folder / "a.png")
    assert (read_mask(found.written[0]) == tiled).all()
    caplog.clear()
    found = predict(small, folder, tmp_path / "shrunk", tile=False)
    assert "2 of the files, such as" in caplog.text
    assert "Without `--no-tile` they are predicted in tiles" in caplog.text
    shrunk = small.predict(folder / "a.png")
    assert (read_mask(found.written[0]) == shrunk).all()
    caplog.clear()
    predict(small, folder, tmp_path / "out", tile=True)
    assert not caplog.text
    words = [str(small.save(tmp_path / "model")), str(folder), "--no-tile", "--out"]
    done = CliRunner().invoke(app, ["predict", *words, str(tmp_path / "command")])
    assert done.exit_code == 0, done.output
    assert (read_mask(tmp_path / "command" / "ids" / "a.png") == shrunk).all()


def test_tiles_show_objects_at_the_scale_of_the_training(small, tmp_path):
    """A network that saw images of 60×60 at 30×30 sees an image of 120×120 so, too."""
    contract = dataclasses.replace(small.contract, trained_size=(64, 64))
    model = SegmentationModel(small.network, contract)
    large = np.random.default_rng(0).integers(0, 256, (64, 128 + 1, 3)).astype(np.uint8)
    assert not Predictor(model).tiles((128, 128, 3))
    assert Predictor(model).tiles(large.shape)
    probabilities = Predictor(model, overlap=0.0)
    left = model.predict(np.ascontiguousarray(large[:, :64]))
    assert (probabilities.predict(large)[:, :32] == left[:, :32]).all()


def test_an_export_predicts_files_like_its_model(small, tmp_path):
    folder = _images(tmp_path / "images", ["a.png", "b.png"])
    export(small.save(tmp_path / "model"), tmp_path / "export")
    with pytest.raises(UsageError, match="Choose its format with --format: saved_mode"):
        predict(tmp_path / "export", folder, tmp_path / "out")
    chosen = {"export_format": "saved_model"}
    found = predict(tmp_path / "export", folder, tmp_path / "out", **chosen)
    assert (read_mask(found.written[1]) == small.predict(folder / "b.png")).all()
    assert predict(tmp_path / "export", folder, tmp_path / "out", **chosen).skipped


def test_any_encoding_that_the_contract_takes_is_predicted_upright(small, tmp_path):
    rng = np.random.default_rng(0)
    picture = Image.fromarray(rng.integers(0, 256, (20, 30, 3)).astype(np.uint8))
    folder = tmp_path / "images"
    folder.mkdir()
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees
    picture.save(folder / "turned.jpg", exif=exif)
    picture.convert("L").save(folder / "grey.png")
    picture.convert("RGBA").save(folder / "alpha.png")
    deep = rng.integers(0, 2**16, (20, 30)).astype(np.uint16)
    Image.fromarray(deep).save(folder / "deep.png")
    picture.crop((0, 0, 1, 1)).save(folder / "pixel.png")
    found = predict(small, folder, tmp_path / "out")
    shapes = {path.stem: read_mask(path).shape for path in found.written}
    assert shapes == {
        "alpha": (20, 30),
        "deep": (20, 30),
        "grey": (20, 30),
        "pixel": (1, 1),
        "turned": (30, 20),
    }
