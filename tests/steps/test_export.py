import hashlib
import shutil

import numpy as np
import pytest

from seglib.config import ExportConfig
from seglib.data.image_io import read_image
from seglib.errors import SegError
from seglib.models import build_model
from seglib.models.contract import Contract
from seglib.models.model import load_model
from seglib.steps.export import export
from tests.fakes.stored import through_a_store


@pytest.fixture(scope="module")
def exported(trained, tmp_path_factory):
    out = tmp_path_factory.mktemp("exported") / "export"
    return out, export(str(trained.folder), str(out))


def test_the_saved_model_answers_like_the_model_on_real_images(
    exported, trained, tiny_dataset
):
    import tensorflow as tf

    served = tf.saved_model.load(str(exported[0] / "saved_model"))
    images = [read_image(pair.image) for pair in tiny_dataset.pairs("test")]
    images.append(images[0][:51, :77])  # an odd size
    for image in images:
        mask = np.asarray(served.serve(image[None]))[0]
        assert mask.dtype == np.uint8
        assert (mask == trained.model.predict(image)).all()
        logits = np.asarray(served.logits(image[None]))[0]
        assert np.abs(logits - trained.model.predict_logits(image)).max() < 1e-4


def test_the_comparison_and_the_contract_lie_beside_it(exported, trained):
    out, comparison = exported
    assert comparison["formats"]["saved_model"]["equal_pixels"] > 0.999
    assert comparison["formats"]["saved_model"]["max_logit_difference"] < 1e-3
    contract = Contract.from_json((out / "contract.json").read_text())
    assert contract == load_model(trained.folder).contract


def test_the_export_answers_after_an_artifact_store_lost_its_empty_folders(
    exported, tmp_path
):
    import tensorflow as tf

    export = tmp_path / "export"
    shutil.copytree(exported[0], export)
    assert (export / "saved_model/assets").is_dir()
    through_a_store(export)
    assert not (export / "saved_model/assets").exists()
    served = tf.saved_model.load(str(export / "saved_model"))
    assert served.serve(np.zeros((1, 48, 64, 3), np.uint8)).shape == (1, 48, 64)


def test_every_weight_is_stored_once(exported, trained):
    data = exported[0] / "saved_model/variables/variables.data-00000-of-00001"
    assert data.stat().st_size < 4 * trained.model.network.count_params() * 1.05


def test_every_checksum_is_right(exported):
    out, _ = exported
    lines = (out / "SHA256SUMS").read_text().splitlines()
    assert len(lines) >= 5
    for line in lines:
        digest, name = line.split("  ")
        assert hashlib.sha256((out / name).read_bytes()).hexdigest() == digest


@pytest.fixture
def small():
    """A network that has learnt nothing."""
    return build_model("compact_small", num_classes=3, image_size=(32, 32))


def test_an_export_that_differs_is_not_kept(small, tmp_path):
    strict = ExportConfig(max_logit_difference=1e-30, min_equal_pixels=1.0)
    # The served graph is traced with these weights; then the model moves away.
    predict_logits = small.predict_logits
    small.predict_logits = lambda image: predict_logits(image) + 0.5
    with pytest.raises(SegError, match="does not answer like the Keras model"):
        export(small, tmp_path / "export", config=strict)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_with_something_else_in_it_is_left_alone(small, tmp_path):
    out = tmp_path / "thesis"
    out.mkdir()
    (out / "chapter1.tex").write_text("years of work")
    with pytest.raises(SegError, match="holds no export; choose another"):
        export(small, out)
    assert (out / "chapter1.tex").read_text() == "years of work"
