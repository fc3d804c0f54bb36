import os
import struct
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from seglib import hardware as memory
from seglib.cli.main import app
from seglib.data.image_io import read_image, read_mask, write_image
from seglib.errors import SegError, UsageError
from seglib.models import build_model
from seglib.steps.predict import predict


def test_a_folder_gives_ids_colours_overlays_and_a_legend(
    trained, tiny_dataset, tiny_root, tmp_path
):
    predictions = predict(trained.folder, tiny_root / "test_images", tmp_path)
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
