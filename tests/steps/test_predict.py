import numpy as np
import pytest

from seglib.data.images import read_image, read_mask, write_image
from seglib.errors import UsageError
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
    assert len(predict(trained.model, files[0], tmp_path / "one").written) == 1
    assert len(predict(trained.model, files[:2], tmp_path / "two").written) == 2


def test_a_damaged_file_is_reported_and_does_not_stop_the_others(
    trained, tiny_root, tmp_path
):
    folder = tmp_path / "images"
    folder.mkdir()
    (folder / "a.png").write_bytes(b"\x89PNG damaged")
    good = (tiny_root / "val_images" / "val_0.png").read_bytes()
    (folder / "b.png").write_bytes(good)
    predictions = predict(trained.model, folder, tmp_path / "out")
    assert [path.stem for path in predictions.written] == ["b"]
    assert len(predictions.problems) == 1
    assert "a.png" in predictions.problems[0]


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
