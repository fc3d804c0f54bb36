"""Masks that contradict a model are ranked first, and shown."""

import json

import keras
import numpy as np
import pytest
from typer.testing import CliRunner

from seglib.cli.main import app
from seglib.data.image_io import write_image
from seglib.evaluation.label_quality import doubts, soft_minimum
from seglib.models import build_custom
from tests.fakes.dataset_folder import DatasetFolder


@pytest.fixture(scope="module")
def by_colour():
    """A model that takes the brightest of red, green and blue for the class."""
    image = keras.Input((None, None, 3))
    weights = np.eye(3).reshape(1, 1, 3, 3) / 20
    logits = keras.layers.Conv2D(
        3, 1, use_bias=False, kernel_initializer=keras.initializers.Constant(weights)
    )(image)
    return build_custom(image, logits, image_size=(24, 32), ignore_index=255)


@pytest.fixture
def painted(folder):
    """Twelve training images in the colours of their masks, and two in val."""
    for split, stems in {"train": "abcfghijklmn", "val": "de"}.items():
        for stem in stems:
            mask = folder.ids()
            colours = 20 + 150 * np.eye(3)[np.minimum(mask, 2)]
            write_image(folder.image(split, stem), colours.astype(np.uint8))
            write_image(folder.mask(split, stem), mask)
    return folder


def shift(folder: DatasetFolder, stem: str) -> None:
    """Move the mask down by 3 rows: 3·32 pixels of sky for road, 2 · 3·10 of a car."""
    write_image(folder.mask("train", stem), np.roll(folder.ids(), 3, axis=0))


def test_the_soft_minimum_weighs_small_values_most():
    # Weights 1 and exp(-10): (0 · 1 + 1 · 4.54e-5) / (1 + 4.54e-5).
    assert soft_minimum(np.array([0.0, 1.0])) == pytest.approx(4.54e-5, rel=1e-3)
    assert soft_minimum(np.full(9, 0.3)) == pytest.approx(0.3)
    assert soft_minimum(np.array([])) == 1


def test_only_the_pixels_that_were_moved_are_contradicted(by_colour, painted):
    from seglib.data.verification.loading import load_dataset

    shift(painted, "g")
    dataset = load_dataset(painted.root)
    for doubt in doubts(by_colour, dataset.splits, ignore_index=255):
        wrong = doubt.contradicted != doubt.mask
        truth = np.minimum(painted.ids(), 2)
        expected = (doubt.mask != 255) & (doubt.mask != truth)
        if doubt.pair.stem != "g":
            assert not wrong.any()
            assert doubt.quality > 0.9
        else:
            np.testing.assert_array_equal(wrong, expected)
            np.testing.assert_array_equal(doubt.contradicted[wrong], truth[wrong])
            assert doubt.quality < 0.1


@pytest.fixture
def run(by_colour, painted, tmp_path):
    by_colour.save(tmp_path / "model")

    def run(*arguments: str) -> tuple[int, str]:
        command = ["verify", painted.root, "--model", tmp_path / "model", *arguments]
        for kind in ("duplicate", "leakage"):  # the images are alike
            command += ["--ignore", kind]
        result = CliRunner().invoke(app, list(map(str, command)))
        return result.exit_code, result.output

    return run


def test_a_wrong_mask_is_a_note_and_first_in_list_and_page(run, painted, tmp_path):
    shift(painted, "g")
    code, printed = run("--out", tmp_path / "out")
    assert code == 0
    assert "1 of 14 masks look suspicious to the model" in printed
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    (note,) = (n for n in manifest["notes"] if n["kind"] == "suspicious-label")
    assert note["path"] == "train_segmentation/g.png"
    assert "0 (sky), for which it sees 1 (road)" in note["reason"]
    ranked = json.loads((tmp_path / "out" / "label_quality.json").read_text())
    assert len(ranked["masks"]) == 14
    assert ranked["masks"][0]["mask"] == "train_segmentation/g.png"
    assert ranked["contradicted_pixels"][0][1] == 3 * 32
    page = (tmp_path / "out" / "report.html").read_text()
    assert "Masks that the model doubts" in page
    assert "train · g" in page
    assert run("--fail-on", "note")[0] == 1


def test_masks_that_a_model_agrees_with_are_not_noted(run):
    code, printed = run("--fail-on", "note")
    assert code == 0
    assert "0 of 14 masks" in printed


def test_the_severity_of_doubts_is_taken_from_the_description(run, painted):
    shift(painted, "g")
    description = painted.root / "dataset.yaml"
    text = description.read_text()
    painted.describe(f"{text}severities: {{suspicious-label: warning}}\n")
    assert run("--fail-on", "warning")[0] == 1
    painted.describe(f"{text}severities: {{suspicious-label: ignore}}\n")
    assert run("--fail-on", "warning")[0] == 0


def test_a_dataset_with_problems_is_not_shown_to_the_model(run, painted):
    painted.mask("val", "d").unlink()
    code, printed = run()
    assert code == 1
    assert "mend the problems first" in printed
