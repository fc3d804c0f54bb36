"""A compiled sweep keeps the settings that it was compiled with."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from pipeline import __main__ as command_line
from pipeline.dag.cluster_config import ClusterConfig
from pipeline.dag.compile import compile_pipeline
from pipeline.dag.document import Document, read_document
from pipeline.dag.sweep import plan_sweep
from pipeline.kfp.order import Order, make_order, settings_of
from seglib.config import Config
from seglib.data.image_io import write_bytes
from seglib.errors import UsageError
from tests.fakes.kfp_api import KfpApi
from tests.fakes.pushing import push
from tests.pipeline.kfp.conftest import DATA, IMAGE


def _compile(path: Path, *changes: str) -> Document:
    compile_pipeline(
        path, image=IMAGE, cluster=ClusterConfig(), plan=plan_sweep(None, changes)
    )
    return read_document(path)


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Document:
    path = tmp_path_factory.mktemp("sweep") / "sweep.yaml"
    changes = ("learning_rate=0.001,0.003", "epochs=7", "publish_name=streets")
    return _compile(path, *changes)


def test_a_sweeps_settings_are_those_it_was_compiled_with(sweep: Document) -> None:
    settings = settings_of(sweep, None)
    assert settings.flat() == Config().flat() | {"epochs": 7, "publish_name": "streets"}


def test_a_setting_can_be_changed_when_a_sweep_is_submitted(sweep: Document) -> None:
    settings = settings_of(sweep, None, ["epochs=9", "batch_size=2"])
    assert (settings.train.epochs, settings.train.batch_size) == (9, 2)
    assert settings.flat()["publish_name"] == "streets"


@pytest.mark.parametrize("text", ["train: {epochs: 30}", "train: {batch_size: 2}"])
def test_a_file_that_says_something_else_than_a_sweep_is_refused(
    sweep: Document, tmp_path: Path, text: str
) -> None:
    file = tmp_path / "my.yaml"
    file.write_text(text)
    message = r"sweep.yaml was compiled with other settings.*epochs=7 \(.*my.yaml: \d+"
    with pytest.raises(UsageError, match=message):
        settings_of(sweep, file)


def test_a_file_that_agrees_with_a_sweep_is_taken(
    sweep: Document, tmp_path: Path
) -> None:
    file = tmp_path / "my.yaml"
    file.write_text(
        "train: {epochs: 7, batch_size: 2}\nexport: {publish_name: streets}"
    )
    assert settings_of(sweep, file).train.batch_size == 2


def test_what_a_sweep_tries_cannot_be_set(sweep: Document) -> None:
    with pytest.raises(UsageError, match="tries several values of learning_rate"):
        settings_of(sweep, None, ["learning_rate=0.1"])


def test_a_sweep_is_another_run_than_a_training_and_than_other_trials(
    sweep: Document, order: Order, tmp_path: Path
) -> None:
    other = _compile(tmp_path / "sweep.yaml", "learning_rate=0.001,0.01")
    config = Config()
    keys = {
        order.key,
        make_order(sweep, DATA, config).key,
        make_order(other, DATA, config).key,
    }
    assert len(keys) == 3


def test_a_submitted_sweep_trains_as_it_was_compiled(
    api: KfpApi, sweep: Document
) -> None:
    words = ["submit", "--pipeline", str(sweep.path), "--host", api.url]
    words += ["--data-md5", DATA.data_md5, "--remote", DATA.remote, "--no-push-check"]
    done = CliRunner().invoke(command_line.app, words)
    assert done.exit_code == 0, done.output
    parameters = api.run()["runtime_config"]["parameters"]
    assert (parameters["epochs"], parameters["publish_name"]) == (7, "streets")


def test_data_by_which_a_sweep_cannot_choose_are_not_sent(
    api: KfpApi, sweep: Document, tmp_path: Path
) -> None:
    for split in ("train", "test"):
        write_bytes(tmp_path / "data" / f"{split}_images" / "a.png", b"a")
    data_md5 = push(tmp_path / "data", tmp_path / "remote")
    words = ["submit", "--pipeline", str(sweep.path), "--host", api.url]
    words += ["--data-md5", data_md5, "--remote", str(tmp_path / "remote")]
    done = CliRunner().invoke(command_line.app, words)
    assert "no val split, by which a sweep chooses" in str(done.exception)
    assert not api.sent
