"""What users own stays good: models, checkpoints, exports, rows and settings of before.

`tests/made_before/make.py` made these files with the code of one commit; it says how.
"""

import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

from pipeline.__main__ import app
from seglib.config import Config
from seglib.data.image_io import read_mask, write_image
from seglib.data.manifest import open_dataset
from seglib.models.model import SegmentationModel, load_model
from seglib.registry.champion import Registry
from seglib.tracking.queries import TrackedRuns
from seglib.training.checkpoints import Snapshot, restore
from seglib.training.state import require_state

MADE = Path(__file__).resolve().parent / "made_before"
REPOSITORY = MADE.parent.parent
PLACEHOLDER = b"@HERE@"
MODELS = ("compact_small", "custom", "fcn_8", "pspnet", "segformer", "segnet")
TOLERANCE = 1e-5  # of logits
Command = Callable[..., tuple[int, str]]

pytestmark = pytest.mark.filterwarnings(
    # MLflow's own use of SQLAlchemy.
    "ignore:The ``noload`` loader strategy is deprecated"
)


def unpack(name: str, folder: Path) -> Path:
    """Unpack NAME.tar.xz; its files name the folder wherever they named their own."""
    with tarfile.open(MADE / f"{name}.tar.xz") as archive:
        archive.extractall(folder, filter="data")
    for path in folder.rglob("*"):
        if path.is_file() and PLACEHOLDER in (content := path.read_bytes()):
            path.write_bytes(content.replace(PLACEHOLDER, str(folder).encode()))
    return folder


def require_same_logits(model: SegmentationModel, recorded: Path) -> None:
    with np.load(recorded) as before:
        image, logits, prediction = (
            before[name] for name in ("image", "logits", "prediction")
        )
    now = model.predict_logits(image)
    np.testing.assert_allclose(now[::4, ::4], logits, rtol=0, atol=TOLERANCE)
    assert np.mean(model.predict(image) == prediction) > 0.999  # of equal logits


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return unpack("models", tmp_path_factory.mktemp("made")) / "models"


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    return unpack("dataset", tmp_path) / "dataset"


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of runs with its SQLite store."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    folder = unpack("runs", tmp_path) / "runs"
    with closing(sqlite3.connect(folder / "mlflow.db")) as database:
        database.executescript((folder / "mlflow.sql").read_text())
    return folder


@pytest.fixture
def store(runs: Path) -> Iterator[str]:
    """The address of the store; its connections are closed at the end."""
    uri = f"sqlite:///{runs}/mlflow.db"
    yield uri
    TrackedRuns(uri)._client._tracking_client.store._dispose_engine()


def pipeline(*arguments: object) -> str:
    """Run a command of the pipeline, which must succeed; gives what it printed."""
    done = CliRunner().invoke(app, list(map(str, arguments)))
    assert done.exit_code == 0, f"{done.output} {done.exception!r}"
    return done.output


@pytest.mark.parametrize("name", MODELS)
def test_a_saved_model_answers_as_before(models: Path, name: str) -> None:
    require_same_logits(load_model(models / name), models / f"{name}.npz")


def test_the_saved_models_hold_every_layer(models: Path) -> None:
    found = set()
    for name in MODELS:
        with zipfile.ZipFile(models / name / "model.keras") as network:
            config = network.read("config.json").decode()
        found |= set(re.findall(r"seglib>\w+", config))
    described = json.loads((MADE / "layers.json").read_text())
    known = {one["registered_name"] for one in described}
    assert known - found == {
        "seglib>MeanIoU",  # only compiled
        "seglib>SamplingDropout",  # only in the copies of `predict_uncertainty`
    }


def test_layers_are_found_by_their_registered_names(models: Path) -> None:
    import seglib.evaluation.metrics
    import seglib.inference.uncertainty  # noqa: F401

    load_model(models / "custom")  # registers the layers
    text = (MADE / "layers.json").read_text()
    elsewhere = re.sub(r'"module": "seglib[.\w]*"', '"module": "moved"', text)
    pairs = zip(json.loads(text), json.loads(elsewhere), strict=True)
    for before, described in pairs:
        layer = keras.saving.deserialize_keras_object(described)
        name = keras.saving.get_registered_name(type(layer))
        assert name == before["registered_name"]
        now = keras.saving.serialize_keras_object(layer)["config"]
        assert (
            _without_modules(now).items() >= _without_modules(before["config"]).items()
        )


def test_a_new_process_predicts_with_a_model_of_own_layers(
    models: Path, tmp_path: Path
) -> None:
    with np.load(models / "custom.npz") as before:
        image, prediction = before["image"], before["prediction"]
    write_image(tmp_path / "image.png", image[..., :3])
    write_image(tmp_path / "depth" / "image.png", image[..., 3])
    command = [sys.executable, "-m", "seglib.cli", "predict", models / "custom"]
    command += [tmp_path / "image.png", "--input", f"depth={tmp_path / 'depth'}"]
    subprocess.run(
        [*map(str, command), "--out", str(tmp_path / "out")],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        check=True,
        capture_output=True,
    )
    mask = read_mask(tmp_path / "out" / "ids" / "image.png")
    assert np.mean(mask == prediction) > 0.999


def test_the_checkpoint_of_an_interrupted_training_can_be_read(tmp_path: Path) -> None:
    folder = unpack("training", tmp_path) / "training"
    (path,) = folder.glob("model.checkpoints/*/*.checkpoint")
    snapshot = Snapshot.from_bytes(path.read_bytes())
    assert snapshot.facts["key"] == path.parent.name
    assert [row["epoch"] for row in snapshot.facts["history"]] == [1, 2, 3]
    assert 6 <= snapshot.facts["step"] < 24  # of 2 an epoch
    model = load_model(folder / "model.unfinished")
    with pytest.raises(ValueError, match="earlier version, which cannot be resumed"):
        require_state(snapshot, model.network)
    restore(model.network.weights, [0 * w for w in snapshot.arrays["best"]])
    restore(model.network.weights, snapshot.arrays["best"])
    require_same_logits(model, folder / "model.unfinished.npz")


def test_a_training_beside_the_checkpoint_of_other_code_starts_anew_and_says_so(
    seglib: Command, dataset: Path
) -> None:
    """The code is a part of a checkpoint's key, so none is resumed by other code."""
    folder = unpack("training", dataset.parent) / "training"
    (path,) = folder.glob("model.checkpoints/*/*.checkpoint")
    before = path.read_bytes()
    options = ["--config", dataset.parent / "settings.yaml", "--epochs", 12]
    code, said = seglib("train", dataset, *options, "--out", folder / "model")
    assert code == 0, said
    assert "going on after" not in said
    assert "holds other trainings, which were interrupted." in said
    assert path.read_bytes() == before
    history = json.loads((folder / "model" / "history.json").read_text())
    assert [row["epoch"] for row in history] == list(range(1, 13))
    assert load_model(folder / "model").contract.architecture == "compact_small"


def test_a_publication_is_fetched_and_followed(
    seglib: Command, models: Path, tmp_path: Path
) -> None:
    import tensorflow as tf

    remote = unpack("publication", tmp_path) / "remote"
    code, said = seglib("fetch", remote, "streets", "--out", tmp_path / "fetched")
    assert code == 0, said
    contract = (tmp_path / "fetched" / "contract.json").read_text()
    assert contract == (models / "compact_small" / "contract.json").read_text()
    served = tmp_path / "served"
    code, said = seglib("follow", remote, "streets", served, "--every", 0)
    assert code == 0, said
    (version,) = served.iterdir()
    answer = tf.saved_model.load(str(version)).signatures["logits"]
    with np.load(models / "compact_small.npz") as before:
        (logits,) = answer(tf.constant(before["image"][None])).values()
        now, then = logits.numpy()[0, ::4, ::4], before["logits"]
    np.testing.assert_allclose(now, then, rtol=0, atol=1e-3)  # as an export may differ


def test_the_rows_of_before_are_compared(runs: Path, store: str) -> None:
    table = runs / "table.json"
    pipeline("compare", "latest", "--runs", runs, "-o", table)
    compared = json.loads(table.read_text())
    (row,) = compared["runs"]
    assert row["name"].endswith("-tracked")
    values = {line["name"]: line["values"][0] for line in compared["lines"]}
    assert values["status"] == "FINISHED"
    assert values["verdict"] == "promote"
    metrics = runs.glob("mlflow-artifacts/*/artifacts/evaluation/metrics.json")
    assert values["miou"] == json.loads(next(metrics).read_text())["miou"]
    assert TrackedRuns(store).find(row["name"]).parameters["epochs"] == "2"
    names = [line["name"] for line in compared["lines"] if line["section"] == "IoU"]
    assert "iou/road" in names
    assert values["duration_s/train"] > 0
    assert "val_miou" not in values, "the last point of a curve is no score"


def test_the_registered_champion_answers_as_before(
    seglib: Command, runs: Path, store: str, tmp_path: Path
) -> None:
    registry = Registry(store)
    champion = registry.champion("streets")
    assert champion
    assert (champion.number, champion.state) == (1, "champion")
    (recorded,) = runs.glob("*-tracked/steps/*/train-model/model.npz")
    folder = registry.download(champion, tmp_path / "champion")
    require_same_logits(load_model(folder), recorded)
    pipeline("publish", "streets", "--to", tmp_path / "remote", "--runs", runs)
    code, said = seglib(
        "fetch", tmp_path / "remote", "model", "--out", tmp_path / "out"
    )
    assert code == 0, said
    assert (tmp_path / "out" / "saved_model" / "saved_model.pb").is_file()


def test_unsent_events_are_delivered(
    runs: Path, store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder,) = runs.glob("*-unsent")
    waiting = (folder / "untracked.jsonl").read_text().count("\n")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store)
    said = pipeline("track", folder)
    assert f"{waiting} event(s) sent, 0 left" in said
    assert not (folder / "untracked.jsonl").exists()
    row = TrackedRuns(store).find(folder.name)
    assert row.status == "FINISHED"
    assert row.parameters["epochs"] == "1"
    (scores,) = folder.glob("steps/*/evaluate-model/evaluation/metrics.json")
    assert row.metrics["miou"] == json.loads(scores.read_text())["miou"]
    assert TrackedRuns(store).newest(2)[0].name == folder.name


def test_a_dataset_is_verified_as_before(
    seglib: Command, dataset: Path, tmp_path: Path
) -> None:
    verified = tmp_path / "verified"
    found = open_dataset(verified)
    assert {name: len(pairs) for name, pairs in found.splits.items()} == {
        "train": 4,
        "val": 2,
        "test": 2,
    }
    assert found.ignore_index == 255
    before = json.loads((verified / "manifest.json").read_text())
    shutil.rmtree(verified)
    code, said = seglib("verify", dataset, "--out", verified)
    assert code == 0, said
    now = json.loads((verified / "manifest.json").read_text())
    # Not the palette: default colours became ones that everybody can tell apart.
    for key in ("splits", "class_names", "num_classes", "root"):
        assert now[key] == before[key], key


def test_every_setting_of_before_is_read(tmp_path: Path) -> None:
    path = MADE / "config.yaml"
    sections = yaml.safe_load(path.read_text())
    before = {k: v for section in sections.values() for k, v in section.items()}
    now, default = Config.load(path).flat(), Config().flat()
    assert {key: now[key] for key in before} == before
    assert all(default[key] != value for key, value in before.items())


def _without_modules(config: dict[str, Any]) -> dict[str, Any]:
    text = re.sub(r'"module": "[.\w]*"', '"module": ""', json.dumps(config))
    return json.loads(text)
