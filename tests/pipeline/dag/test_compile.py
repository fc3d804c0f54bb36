"""The compiled pipeline: valid, and the same every time."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from typer.testing import CliRunner

from components.finalize import finalize
from pipeline.__main__ import app, main
from pipeline.dag.compile import require_digest
from pipeline.dag.document import read_document
from pipeline.dag.inputs import code_version, find_data
from seglib.config import Config
from seglib.errors import UsageError
from tools.readme_pictures import graph

IMAGE = f"registry.example/seglib@sha256:{'a1' * 32}"
GOLDEN = Path(__file__).parent / "golden" / "training.yaml"
CACHED = ("verify-data", "augment-data", "train-model", "evaluate-model")
GIVEN = {"data_md5", "remote", "code_version"}
TYPES = {str: "STRING", int: "NUMBER_INTEGER", float: "NUMBER_DOUBLE", bool: "BOOLEAN"}
SECRETS = (
    *("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"),
    *("MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN", "KFP_TOKEN"),
    *("MLFLOW_TRACKING_URI", "AWS_ENDPOINT_URL", "GITHUB_TOKEN"),
)
# Compiles in both forms, and says what that has loaded.
SCRIPT = f"""
import sys
from pipeline.__main__ import main
place = sys.argv[1]
for name, form in (("pipeline", []), ("manifest", ["--manifest"])):
    sys.argv = ["pipeline", "compile", "-o", f"{{place}}/{{name}}.yaml", *form]
    sys.argv += ["--image", {IMAGE!r}, "--gpus", "1"]
    try: main()
    except SystemExit as end: assert not end.code, end
heavy = {{"tensorflow", "keras", "mlflow", "kubernetes", "cv2"}}
print("loaded:", *sorted(heavy & set(sys.modules)))
"""


class Compiled(NamedTuple):
    """What is submitted: compiled by the command line, with the shipped defaults."""

    document: Path
    manifest: Path
    printed: str


@pytest.fixture(scope="module")
def compiled(
    tmp_path_factory: pytest.TempPathFactory, repository: Path
) -> list[Compiled]:
    """Twice, with another order of Python's sets, and secrets in the environment."""
    found = []
    for seed in ("1", "2"):
        place = tmp_path_factory.mktemp("compiled")
        secrets = {name: f"c4n4ry-{name.lower()}" for name in SECRETS}
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT, str(place)],
            cwd=repository,
            env={**os.environ, **secrets, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        )
        printed = done.stdout + done.stderr
        paths = place / "pipeline.yaml", place / "manifest.yaml"
        found.append(Compiled(*paths, printed))
    return found


@pytest.fixture(scope="module")
def document(compiled: list[Compiled]) -> Path:
    return compiled[0].document


@pytest.fixture(scope="module")
def spec(document: Path) -> dict[str, Any]:
    return next(yaml.load_all(document.read_text(), yaml.CSafeLoader))


def test_the_readme_shows_the_graph_of_this_pipeline(
    spec: dict[str, Any], repository: Path
) -> None:
    drawn = (repository / "docs" / "pictures" / "dag.svg").read_text(encoding="utf-8")
    assert drawn == graph(spec), "run `make run pictures`"


def test_compiling_loads_no_framework(compiled: list[Compiled]) -> None:
    assert compiled[0].printed.splitlines()[-1] == "loaded:"


def test_compiling_twice_gives_the_same_bytes(compiled: list[Compiled]) -> None:
    one, other = compiled
    assert one.document.read_bytes() == other.document.read_bytes()
    assert one.manifest.read_bytes() == other.manifest.read_bytes()


def test_no_secret_of_the_environment_gets_into_a_document(
    compiled: list[Compiled],
) -> None:
    for one in compiled:
        written = one.document.read_text() + one.manifest.read_text()
        assert "c4n4ry" not in written + one.printed


def test_the_parameters_are_the_fields_of_the_configuration_with_their_defaults(
    spec: dict[str, Any],
) -> None:
    parameters = spec["root"]["inputDefinitions"]["parameters"]
    settings = Config().flat()
    assert parameters.keys() == settings.keys() | GIVEN
    for name, value in settings.items():
        assert parameters[name]["defaultValue"] == value
        assert parameters[name]["parameterType"] == TYPES[type(value)]


def test_the_required_parameters_come_first_and_then_section_by_section(
    compiled: list[Compiled], spec: dict[str, Any]
) -> None:
    parameters = spec["root"]["inputDefinitions"]["parameters"]
    order = ["data_md5", "remote", "code_version", *Config().flat()]
    assert list(parameters) == order
    required = [k for k, one in parameters.items() if "defaultValue" not in one]
    assert required == ["data_md5", "remote"]
    version = list(_load(compiled[0].manifest.read_text()))[1]
    inputs = version["spec"]["pipelineSpec"]["root"]["inputDefinitions"]
    assert list(inputs["parameters"]) == order
    head = compiled[0].document.read_text().partition("\ncomponents:")[0]
    assert re.findall(r"^#    (\w+): ", head, re.MULTILINE) == order


def test_a_parameters_description_begins_with_its_section(
    document: Path, spec: dict[str, Any]
) -> None:
    parameters = spec["root"]["inputDefinitions"]["parameters"]
    text = parameters["epochs"]["description"]
    assert text.startswith("train: passes over the training split")
    described = [k for k, one in parameters.items() if ": " in one["description"]]
    sections = {parameters[k]["description"].partition(":")[0] for k in described}
    assert sections >= {field.name for field in fields(Config)}
    line = next(x for x in document.read_text().splitlines() if "epochs: int" in x)
    assert line.endswith(text), "as the comment at the beginning says"


def test_the_sample_values_of_the_form_run_as_they_are(
    tmp_path: Path, repository: Path
) -> None:
    path, sample = tmp_path / "p.yaml", repository / "configs" / "sample.yaml"
    _compile(path, "--config", str(sample), "--remote", "s3://seglib/dvc")
    document = read_document(path)
    data = find_data(None)
    assert document.defaults["data_md5"] == data.data_md5
    assert document.defaults["remote"] == "s3://seglib/dvc"
    assert document.defaults["code_version"] == code_version()
    document.check_parameters({})
    given = {k: document.defaults[k] for k in Config().flat()}
    assert Config.from_flat(given) == Config.load(sample)


def test_pages_are_artifacts_that_kubeflow_shows(spec: dict[str, Any]) -> None:
    shown = {
        (step, name): one["artifactType"]["schemaTitle"]
        for step, component in spec["components"].items()
        if "executorLabel" in component
        for name, one in component.get("outputDefinitions", {})
        .get("artifacts", {})
        .items()
        if one["artifactType"]["schemaTitle"] in ("system.HTML", "system.Markdown")
    }
    assert shown == {
        ("comp-verify-data", "report"): "system.HTML",
        ("comp-augment-data", "preview"): "system.HTML",
        ("comp-evaluate-model", "report"): "system.HTML",
        ("comp-gate-model", "report"): "system.HTML",
        ("comp-gate-model", "summary"): "system.Markdown",
    }


def test_every_parameter_is_described_and_the_pipeline_has_a_name_to_show(
    spec: dict[str, Any],
) -> None:
    assert spec["pipelineInfo"]["displayName"] == "Segmentation training"
    assert "export what passes the gate" in spec["pipelineInfo"]["description"]
    steps = {k: v for k, v in spec["components"].items() if "executorLabel" in v}
    silent = [
        f"{place}: {name}"
        for place, component in {"root": spec["root"], **steps}.items()
        for name, parameter in component["inputDefinitions"]["parameters"].items()
        if not parameter.get("description") and name != "status"
    ]
    assert not silent


def test_every_field_of_the_configuration_reaches_a_step(
    spec: dict[str, Any],
) -> None:
    reached = set()
    for name, component in spec["components"].items():
        if "executorLabel" in component and name != "comp-finalize":
            reached |= component["inputDefinitions"]["parameters"].keys()
    assert reached - {"trial"} == Config().flat().keys() | GIVEN, "that is a sweep's"
    assert finalize.component_spec.inputs.keys() == {"status", *GIVEN}


def test_a_cached_step_has_a_parameter_for_whatever_changes_its_result(
    spec: dict[str, Any],
) -> None:
    cached = {
        name
        for name, task in _tasks(spec)
        if task.get("cachingOptions", {}).get("enableCache")
    }
    assert cached == set(CACHED), "gate, export and finalize never are"
    for step in CACHED:
        inputs = spec["components"][f"comp-{step}"]["inputDefinitions"]
        assert "code_version" in inputs["parameters"], step


def test_the_steps_install_nothing(spec: dict[str, Any]) -> None:
    for executor in _executors(spec).values():
        assert "pip install" not in json.dumps(executor["container"]["command"][:3])


def test_what_a_sub_dag_uses_it_declares(spec: dict[str, Any]) -> None:
    """Resources by channels would not be: KFP compiles them all the same."""
    dags = {"root": spec["root"], **spec["components"]}
    undeclared = [
        f"{place}: {task}: {name}"
        for place, component in dags.items()
        if "dag" in component
        for task, details in component["dag"]["tasks"].items()
        for kind, source in (("parameters", "Parameter"), ("artifacts", "Artifact"))
        for name, origin in details.get("inputs", {}).get(kind, {}).items()
        if (wanted := origin.get(f"componentInput{source}"))
        and wanted not in component["inputDefinitions"].get(kind, {})
    ]
    assert not undeclared
    assert "{{$" not in json.dumps(
        [e["container"]["resources"] for e in _executors(spec).values()]
    )


def test_the_document_is_the_golden_one(document: Path, tmp_path: Path) -> None:
    shape = yaml.safe_dump(_shape(*_load(document.read_text())), width=88)
    (tmp_path / "training.yaml").write_text(shape)
    accept = f"If that is meant: cp {tmp_path}/training.yaml {GOLDEN}"
    assert shape == GOLDEN.read_text(), accept


def test_what_pods_need_is_no_part_of_the_caches_key(
    document: Path, tmp_path: Path
) -> None:
    (tmp_path / "cluster.yaml").write_text(
        "namespace: vision\n"
        "image_pull_policy: Always\n"
        "image_pull_secrets: [registry]\n"
        "security: {run_as_user: 1001}\n"
        "config_maps: [{name: tracking, keys: [MLFLOW_TRACKING_URI]}]\n"
        "secrets: [{name: minio, variables: {AWS_ACCESS_KEY_ID: accesskey}}]\n"
        "defaults:\n"
        "  {cpu_limit: 16, memory_limit: 64Gi, ephemeral_storage: 1Ti, retries: 0}\n"
        "steps: {train: {timeout: 3d, node_selector: {disk: ssd}, shm: 8Gi}}\n"
    )
    other = tmp_path / "p.yaml"
    _compile(other, "--cluster", str(tmp_path / "cluster.yaml"), "--gpus", "4")
    keys = [_cache_keys(path) for path in (document, other)]
    assert keys[0].keys() == set(CACHED)
    assert keys[0] == keys[1]
    assert other.read_bytes() != document.read_bytes()


def test_options_beat_the_file(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("steps: {train: {gpus: 4, gpu_type: amd.com/gpu}}")
    path = tmp_path / "p.yaml"
    options = ["--gpus", "2", "--checkpoints", "s3://bucket/checkpoints"]
    _compile(path, "--cluster", str(tmp_path / "c.yaml"), *options)
    spec, platform = _load(path.read_text())
    train = _executors(spec)["exec-train-model"]["container"]
    accelerator = train["resources"]["accelerator"]
    assert accelerator["resourceType"] == "amd.com/gpu"
    assert accelerator["resourceCount"] == "2"
    place = {"name": "SEGLIB_CHECKPOINTS", "value": "s3://bucket/checkpoints"}
    assert place in train["env"]
    pods = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    assert "SEGLIB_CHECKPOINTS" not in json.dumps(pods["exec-train-model"])
    assert "SEGLIB_CHECKPOINTS" in json.dumps(pods["exec-gate-model"])
    assert place not in _executors(spec)["exec-gate-model"]["container"]["env"]


def test_the_manifest_form_is_of_the_same_pipeline(compiled: list[Compiled]) -> None:
    document, path, printed = compiled[0]
    pipeline, version = _load(path.read_text())
    assert (pipeline["kind"], version["kind"]) == ("Pipeline", "PipelineVersion")
    for resource in (pipeline, version):
        assert resource["apiVersion"] == "pipelines.kubeflow.org/v2beta1"
        assert resource["metadata"]["namespace"] == "kubeflow"
    assert version["metadata"]["name"] in printed
    assert version["metadata"]["name"].startswith("segmentation-training-")
    assert pipeline["spec"]["displayName"] == "Segmentation training"
    assert version["spec"]["pipelineName"] == pipeline["metadata"]["name"]
    spec, platform = _load(document.read_text())
    assert version["spec"]["pipelineSpec"] == spec
    assert version["spec"]["platformSpec"] == platform


@pytest.mark.parametrize(
    ("image", "message"),
    [
        ("", "seglib:cpu: an image is named by its digest"),
        ("registry/seglib:1.0", "docker image inspect -f"),
        ("registry/seglib", "For a trial: --allow-tag."),
        ("registry/seglib@sha256:0", "expected NAME@sha256: and 64 digits"),
        (f"registry/seglib@sha256:{'A' * 64}", "of 0-9 and a-f"),
    ],
)
def test_an_image_without_its_digest_is_refused_with_the_remedy(
    tmp_path: Path, image: str, message: str
) -> None:
    with pytest.raises(UsageError) as caught:
        require_digest(image or "seglib:cpu")
    assert message in str(caught.value)
    require_digest(image or "seglib:cpu", allow_tag=True)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["-o", "p.txt"], "p.txt: expected a name that ends in .yaml"),
        (["-o", "/proc/none/p.yaml"], "/proc/none/p.yaml: cannot be written"),
        (["-o", "p.yaml", "--image", "seglib:1"], "seglib:1: an image is named by"),
        (["-o", "p.yaml", "--cluster", "c.yaml"], "c.yaml: cannot be read"),
    ],
)
def test_an_output_that_cannot_be_is_one_line_and_a_status(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SEGLIB_IMAGE", IMAGE)
    monkeypatch.setattr(sys, "argv", ["pipeline", "compile", *options])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == (2 if len(options) > 2 else 1)
    said = capsys.readouterr().err
    assert message in said
    assert len(said.splitlines()) == 1
    assert not list(tmp_path.iterdir())


def _compile(path: Path, *options: str) -> None:
    words = ["compile", "-o", str(path), "--image", IMAGE, *options]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output


def _load(text: str) -> Iterator[Any]:
    return yaml.load_all(text, yaml.CSafeLoader)


def _executors(spec: dict[str, Any]) -> dict[str, Any]:
    executors: dict[str, Any] = spec["deploymentSpec"]["executors"]
    return executors


def _tasks(spec: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for component in (spec["root"], *spec["components"].values()):
        yield from component.get("dag", {}).get("tasks", {}).items()


def _shape(spec: dict[str, Any], platform: dict[str, Any]) -> dict[str, Any]:
    """A document without what other tests hold: parameters, and components' sources."""
    for _, task in _tasks(spec):
        task.get("inputs", {}).pop("parameters", None)
    containers = {}
    for name, executor in _executors(spec).items():
        container = executor["container"]
        containers[name] = {
            "image": container["image"],
            "env": container["env"],
            "resources": container["resources"],
        }
    pods: dict[str, list[str]] = {}
    executors = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    for name, settings in executors.items():
        pods.setdefault(json.dumps(settings), []).append(name)
    return {
        "tasks": dict(_tasks(spec)),
        "containers": containers,
        "pods": {", ".join(names): json.loads(pod) for pod, names in pods.items()},
    }


def _cache_keys(document: Path) -> dict[str, Any]:
    """Of each cached step, what KFP 2.18 makes its cache key of, besides the inputs."""
    spec, platform = _load(document.read_text())
    pods = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    keys = {}
    for name, task in _tasks(spec):
        if not task.get("cachingOptions", {}).get("enableCache"):
            continue
        component = spec["components"][task["componentRef"]["name"]]
        if "dag" in component:
            continue
        label = component["executorLabel"]
        container = {**_executors(spec)[label]["container"]}
        container.pop("resources")
        claims = [mount["constant"] for mount in pods[label].get("pvcMount", [])]
        interface = [component[f"{side}Definitions"] for side in ("input", "output")]
        keys[name] = (task["inputs"], container, interface, claims)
    return keys
