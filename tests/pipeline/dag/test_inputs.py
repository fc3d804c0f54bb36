"""What a run computes on: data, settings and code."""

import json
import shutil
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from pipeline.dag import inputs
from pipeline.dag.inputs import (
    Data,
    check_publication,
    code_version,
    find_data,
    find_settings,
    require_splits,
    step_code_version,
)
from pipeline.dag.training import training_pipeline
from pipeline.local.execution import execute
from seglib.config import Config, EvaluateConfig
from seglib.errors import DatasetError, SegError, UsageError
from seglib.storage.hashes import hash_folder
from tests.fakes.pushing import push


def test_the_default_data_are_what_the_repository_pins(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    data = find_data(None)
    assert data.data_md5 in (repository / "data.dvc").read_text() + ".dir"
    assert data.data_md5.endswith(".dir")
    assert Path(data.remote) == repository / "dvc-remote"


def test_a_folder_is_its_own_remote_under_the_hash_that_dvc_gives_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "scenes" / "train_images").mkdir(parents=True)
    (tmp_path / "scenes" / "train_images" / "a.png").write_bytes(b"a")
    monkeypatch.chdir(tmp_path)
    data = find_data(Path("scenes"))
    assert data.data_md5 == hash_folder(tmp_path / "scenes")
    assert data.remote == str(tmp_path / "scenes")
    assert data.title == "scenes"


def test_a_folder_that_is_missing_or_empty_is_no_dataset(tmp_path: Path) -> None:
    with pytest.raises(SegError, match="no such folder. Expected one that holds train"):
        find_data(tmp_path / "none")
    with pytest.raises(SegError, match="the folder is empty"):
        find_data(tmp_path)


@pytest.fixture(params=["folder", "remote"])
def data(request: Any, tmp_path: Path) -> Callable[..., Data]:
    """A dataset with these splits, as a folder or as what a remote holds."""

    def make(*splits: str) -> Data:
        for split in splits:
            (tmp_path / "data" / f"{split}_images").mkdir(parents=True)
            (tmp_path / "data" / f"{split}_images" / "a.png").write_bytes(b"a")
        (tmp_path / "data" / "test_images").mkdir(exist_ok=True)  # and nothing in it
        if request.param == "folder":
            return find_data(tmp_path / "data")
        remote = tmp_path / "remote"
        data_md5 = push(tmp_path / "data", remote)
        return Data(data_md5=data_md5, remote=str(remote), title="as pinned")

    return make


@pytest.mark.parametrize(
    ("splits", "split", "sweep", "message"),
    [
        ("train val", "auto", False, ""),
        ("train test", "auto", False, ""),
        ("train", "train", False, ""),
        ("train val test", "val", True, ""),
        ("train", "auto", False, "no val split.*scored on.*Received: train. Add"),
        ("train val", "test", False, "no test split.*`split: test`.*train, val"),
        ("val", "auto", False, "no train split, which models learn from"),
        ("train test", "auto", True, "no val split, by which a sweep"),
        ("train", "train", True, "no val split, by which a sweep"),
    ],
)
def test_a_split_that_a_run_will_need_is_missed_before_it_starts(
    data: Callable[..., Data], splits: str, split: str, sweep: bool, message: str
) -> None:
    config = Config(evaluate=EvaluateConfig(split=split))
    given = data(*splits.split())
    missed = pytest.raises(DatasetError, match=message) if message else nullcontext()
    with missed:
        require_splits(given, config, sweep=sweep)


def test_a_run_that_lacks_a_split_leaves_no_folder(
    data: Callable[..., Data], tmp_path: Path
) -> None:
    runs, console = tmp_path / "runs", Console(quiet=True)
    with pytest.raises(DatasetError, match="no val split"):
        execute(Config(), data("train"), runs=runs, console=console)
    assert not runs.exists()


def test_data_that_cannot_be_listed_from_here_are_left_to_the_run(
    tmp_path: Path,
) -> None:
    remote = str(tmp_path / "away")
    data = Data(data_md5="0" * 32 + ".dir", remote=remote, title="away")
    require_splits(data, Config())


def test_settings_are_the_file_and_then_the_changes(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("train: {epochs: 7, batch_size: 3}\n")
    settings = find_settings(
        file,
        ["epochs=2", "learning_rate=1e-4", "flip=no", "encoder=", "class_names=1,2"],
    )
    assert settings.train.batch_size == 3
    assert settings.train.epochs == 2
    assert settings.train.learning_rate == 1e-4
    assert settings.train.flip is False
    assert settings.model.encoder == ""
    assert settings.data.class_names == "1,2"
    assert find_settings(None) == Config()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("epocs=2", "Did you mean `epochs`"),
        ("epochs", "Expected name=value"),
        ("epochs=many", "`train.epochs` must be of type int. Received: 'many'"),
        ("epochs=0", "`train.epochs` must be ≥ 1"),
        ("learning_rate=fast", "`train.learning_rate` must be of type float"),
    ],
)
def test_a_change_that_cannot_be_is_wrong_use(change: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        find_settings(None, [change])


@pytest.mark.parametrize(
    "value", ["{{$}}", "{{$.inputs.parameters['remote']}}", "a {{workflow.name}} b"]
)
@pytest.mark.parametrize("name", ["publish_to", "class_names"])
def test_a_placeholder_in_a_setting_is_refused_by_its_name(
    tmp_path: Path, name: str, value: str
) -> None:
    section = "data" if name == "class_names" else "export"
    file = tmp_path / "config.yaml"
    file.write_text(json.dumps({section: {name: value}}))
    message = f"`{name}` must be a text without {{{{"
    with pytest.raises(UsageError, match=message):
        find_settings(file)
    with pytest.raises(UsageError, match=message):
        find_settings(None, [f"{name}={value}"])
    with pytest.raises(UsageError, match="`remote` must be a text without"):
        Data(data_md5="", remote=value, title="")


@pytest.fixture
def sources(tmp_path: Path, repository: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of what computes, which `code_version` reads."""
    for package in ("seglib", "components"):
        shutil.copytree(repository / package, tmp_path / package)
    monkeypatch.setattr(inputs, "REPOSITORY", tmp_path)
    return tmp_path


def test_the_code_version_changes_with_any_code_of_a_step(
    sources: Path, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    same = code_version()
    monkeypatch.setattr(inputs, "REPOSITORY", repository)
    assert code_version() == same, "the place does not matter"
    monkeypatch.setattr(inputs, "REPOSITORY", sources)
    changed = {same}
    for count, name in enumerate(("seglib/steps/train.py", "components/gate_model.py")):
        with (sources / name).open("a") as file:
            file.write("# words change nothing\n")
        assert code_version() in changed
        with (sources / name).open("a") as file:
            file.write("CHANGED = 1\n")
        changed.add(code_version())
        assert len(changed) == count + 2


def test_a_page_runs_the_evaluation_again_and_no_training(sources: Path) -> None:
    def versions() -> list[str]:
        names = {"train": "train_model", "evaluate": "evaluate_model"}
        return [
            step_code_version(f"components.{name}", step=step)
            for step, name in names.items()
        ]

    train, evaluate = versions()
    with (sources / "seglib" / "report" / "pages.py").open("a") as file:
        file.write("GREEN = 1\n")
    assert versions()[0] == train
    assert versions()[1] != evaluate


def test_a_local_run_caches_each_step_by_its_own_code() -> None:
    def versions(pipeline: Any) -> dict[str, Any]:
        spec = pipeline.pipeline_spec
        inner = spec.components["comp-exit-handler-1"].dag.tasks
        return {
            name: task.inputs.parameters["code_version"]
            for name, task in (*spec.root.dag.tasks.items(), *inner.items())
            if "code_version" in task.inputs.parameters
        }

    local = versions(training_pipeline(code_by_step=True))
    expected = step_code_version("components.train_model", step="train")
    constant = local["train-model"].runtime_value.constant.string_value
    assert constant == expected
    submitted = versions(training_pipeline())
    assert submitted.keys() == local.keys()
    assert all(not v.runtime_value.ListFields() for v in submitted.values())


def test_a_place_of_publication_that_is_none_is_told_before_a_run(
    tmp_path: Path,
) -> None:
    (tmp_path / "file").touch()
    config = find_settings(None, [f"publish_to={tmp_path}/file/x"])
    with pytest.raises(SegError, match="file/x: cannot be created"):
        execute(
            config,
            Data(data_md5="", remote="", title=""),
            runs=tmp_path / "runs",
            console=Console(),
        )
    assert not (tmp_path / "runs").exists()
    check_publication(config, elsewhere=True)  # a folder of the pods' own
    with pytest.raises(SegError, match="which a container does not see"):
        check_publication(config, docker=True)
