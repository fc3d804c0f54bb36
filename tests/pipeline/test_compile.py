"""The compiled pipeline: valid, the same every time, and quick to make."""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from google.protobuf import json_format
from kfp import dsl, kubernetes
from kfp.kubernetes import kubernetes_executor_config_pb2
from kfp.pipeline_spec import pipeline_spec_pb2

from components.base import on_kubernetes
from components.finalize import finalize
from seglib.config import Config

COMPILE = [sys.executable, "-m", "pipeline", "compile"]
GIVEN = {"data_md5", "remote", "code_version"}
TYPES = {str: "STRING", int: "NUMBER_INTEGER", float: "NUMBER_DOUBLE", bool: "BOOLEAN"}


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> Path:
    path = tmp_path_factory.mktemp("compiled") / "pipeline.yaml"
    command = [
        *COMPILE,
        "-o",
        str(path),
        "--image",
        "registry/seglib@sha256:0",
        "--gpus",
    ]
    subprocess.run([*command, "1"], cwd=repository, check=True)
    return path


@pytest.fixture(scope="module")
def spec(document: Path) -> dict[str, Any]:
    return next(yaml.safe_load_all(document.read_text()))


def test_compiling_takes_under_three_seconds_and_loads_no_framework(
    tmp_path: Path, repository: Path
) -> None:
    script = (
        "import sys; from pipeline.__main__ import main\n"
        f"sys.argv = ['pipeline', 'compile', '-o', {str(tmp_path / 'p.yaml')!r}]\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code, end\n"
        "heavy = {'tensorflow', 'keras', 'mlflow', 'kubernetes', 'cv2'}\n"
        "print('loaded:', *sorted(heavy & set(sys.modules)))"
    )
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=repository,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == "loaded:"
    # Its own time, not that of a busy machine's queue: processor seconds would do,
    # were it not for the disk.
    assert time.monotonic() - started < 3 or _cpu_seconds(repository, tmp_path) < 3


def test_compiling_twice_gives_the_same_bytes(
    document: Path, tmp_path: Path, repository: Path
) -> None:
    again = tmp_path / "again.yaml"
    command = [*COMPILE, "-o", str(again), "--image", "registry/seglib@sha256:0"]
    subprocess.run([*command, "--gpus", "1"], cwd=repository, check=True)
    assert again.read_bytes() == document.read_bytes()


def test_the_document_is_a_pipeline_spec_and_a_platform_spec_without_unknown_fields(
    document: Path,
) -> None:
    pipeline, platform = yaml.safe_load_all(document.read_text())
    json_format.ParseDict(pipeline, pipeline_spec_pb2.PipelineSpec())
    json_format.ParseDict(platform, pipeline_spec_pb2.PlatformSpec())
    executors = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    assert len(executors) == 7
    for settings in executors.values():
        json_format.ParseDict(
            settings, kubernetes_executor_config_pb2.KubernetesExecutorConfig()
        )


def test_the_parameters_are_the_fields_of_the_configuration_with_their_defaults(
    spec: dict[str, Any],
) -> None:
    parameters = spec["root"]["inputDefinitions"]["parameters"]
    settings = Config().flat()
    assert parameters.keys() == settings.keys() | GIVEN
    for name, value in settings.items():
        assert parameters[name]["defaultValue"] == value
        assert parameters[name]["parameterType"] == TYPES[type(value)]


def test_every_field_of_the_configuration_reaches_a_step_and_the_exit_task(
    spec: dict[str, Any],
) -> None:
    reached = set()
    for name, component in spec["components"].items():
        if "executorLabel" in component and name != "comp-finalize":
            reached |= component["inputDefinitions"]["parameters"].keys()
    assert reached == Config().flat().keys() | GIVEN
    closing = finalize.component_spec.inputs.keys() - {"status"}
    assert closing == Config().flat().keys() | GIVEN


def test_the_dag_is_flat_and_export_waits_for_the_gates_word(
    spec: dict[str, Any],
) -> None:
    body = spec["components"]["comp-exit-handler-1"]["dag"]["tasks"]
    assert {
        name: sorted(task.get("dependentTasks", [])) for name, task in body.items()
    } == {
        "verify-data": [],
        "augment-data": ["verify-data"],
        "train-model": ["augment-data", "verify-data"],
        "evaluate-model": ["train-model", "verify-data"],
        "gate-model": ["evaluate-model", "train-model", "verify-data"],
        "condition-2": [
            "evaluate-model",
            "gate-model",
            "train-model",
            "verify-data",
        ],
    }
    condition = body["condition-2"]["triggerPolicy"]["condition"]
    assert condition.endswith("['pipelinechannel--gate-model-Output'] == 'promote'")
    assert list(spec["components"]["comp-condition-2"]["dag"]["tasks"]) == [
        "export-model"
    ]
    nested = [c for c in spec["components"].values() if "dag" in c]
    assert len(nested) == 2, "the exit handler's body and the condition, nothing else"
    finalize_task = spec["root"]["dag"]["tasks"]["finalize"]
    assert finalize_task["triggerPolicy"]["strategy"] == "ALL_UPSTREAM_TASKS_COMPLETED"


def test_gate_export_and_finalize_are_never_cached(spec: dict[str, Any]) -> None:
    tasks = {
        **spec["root"]["dag"]["tasks"],
        **spec["components"]["comp-exit-handler-1"]["dag"]["tasks"],
        **spec["components"]["comp-condition-2"]["dag"]["tasks"],
    }
    cached = {
        name
        for name, task in tasks.items()
        if task.get("cachingOptions", {}).get("enableCache")
    }
    assert cached == {"verify-data", "augment-data", "train-model", "evaluate-model"}


def test_what_changes_a_result_is_a_parameter_of_every_cached_step(
    spec: dict[str, Any],
) -> None:
    for step in ("verify-data", "augment-data", "train-model", "evaluate-model"):
        parameters = spec["components"][f"comp-{step}"]["inputDefinitions"][
            "parameters"
        ]
        assert "code_version" in parameters, step


def test_every_step_runs_in_the_pinned_image_and_installs_nothing(
    spec: dict[str, Any],
) -> None:
    executors = spec["deploymentSpec"]["executors"]
    for executor in executors.values():
        assert executor["container"]["image"] == "registry/seglib@sha256:0"
        assert "pip install" not in json.dumps(executor["container"]["command"][:3])
    gpu = executors["exec-train-model"]["container"]["resources"]["accelerator"]
    assert gpu["resourceType"] == "nvidia.com/gpu"
    assert gpu["resourceCount"] == "1"


def test_the_settings_of_a_pod_are_those_that_kfps_own_helpers_would_write() -> None:
    @dsl.component(base_image="python:3.11")
    def nothing() -> None:
        pass

    settings = []

    @dsl.pipeline
    def pipeline() -> None:
        ours, theirs = nothing(), nothing()
        on_kubernetes(ours, image="seglib:gpu", gpus=2)
        kubernetes.use_field_path_as_env(
            theirs, "KFP_RUN_ID", "metadata.labels['pipeline/runid']"
        )
        kubernetes.empty_dir_mount(
            theirs, volume_name="shm", mount_path="/dev/shm", medium="Memory"
        )
        settings.extend([ours.platform_config, theirs.platform_config])

    assert settings[0] == settings[1]


def test_where_checkpoints_lie_is_no_parameter_and_lets_a_lost_pod_be_retried(
    document: Path, tmp_path: Path, repository: Path
) -> None:
    path = tmp_path / "p.yaml"
    place = "s3://bucket/checkpoints"
    command = [*COMPILE, "-o", str(path), "--image", "registry/seglib@sha256:0"]
    command += ["--gpus", "1", "--checkpoints", place]
    subprocess.run(command, cwd=repository, check=True)
    with_place, without = (
        next(yaml.safe_load_all(p.read_text())) for p in (path, document)
    )
    container = with_place["deploymentSpec"]["executors"]["exec-train-model"][
        "container"
    ]
    container["env"].remove({"name": "SEGLIB_CHECKPOINTS", "value": place})
    tasks = with_place["components"]["comp-exit-handler-1"]["dag"]["tasks"]
    assert tasks["train-model"].pop("retryPolicy")["maxRetryCount"] == 5
    assert with_place == without, "nothing else, and so nothing of the cache's key"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["-o", "p.txt"], "p.txt: expected a name that ends in .yaml"),
        (["-o", "/proc/none/p.yaml"], "/proc/none/p.yaml: cannot be written"),
    ],
)
def test_an_output_that_cannot_be_is_one_line_and_a_status(
    repository: Path, tmp_path: Path, options: list[str], message: str
) -> None:
    done = subprocess.run(
        [*COMPILE, *options],
        cwd=tmp_path,
        env={"PYTHONPATH": str(repository), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1


def _cpu_seconds(repository: Path, folder: Path) -> float:
    import resource

    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([*COMPILE, "-o", str(folder / "q.yaml")], cwd=repository, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
