"""Each defect of a document is one finding of its code; ours has none."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from pipeline.__main__ import app
from pipeline.preflight.checkup import examine
from pipeline.preflight.findings import Finding, codes
from seglib.errors import UsageError
from tests.pipeline.preflight.compiled import IMAGE, Compiled

Found = Callable[[Compiled], Sequence[Finding]]


def _tasks(compiled: Compiled) -> Any:
    return compiled.pipeline["components"]["comp-exit-handler-1"]["dag"]["tasks"]


def _parameters(compiled: Compiled) -> Any:
    return compiled.pipeline["root"]["inputDefinitions"]["parameters"]


def _train(compiled: Compiled) -> Any:
    """The container of the training."""
    return compiled.container("train-model")


def _pod(compiled: Compiled) -> Any:
    """Its settings for Kubernetes."""
    return compiled.pods["exec-train-model"]


def _env(compiled: Compiled, name: str, value: str) -> None:
    _train(compiled).setdefault("env", []).append({"name": name, "value": value})


def _no_shm(compiled: Compiled) -> None:
    mounts = _pod(compiled)["emptyDirMounts"]
    mounts[:] = [mount for mount in mounts if mount["mountPath"] != "/dev/shm"]


def _no_retries(compiled: Compiled) -> None:
    _env(compiled, "SEGLIB_CHECKPOINTS", "s3://bucket/checkpoints")
    del _tasks(compiled)["train-model"]["retryPolicy"]


def _edited_command(compiled: Compiled) -> None:
    _train(compiled)["command"][-1] += "# edited\n"


_NOTE = {"annotations": {"note": "ghp_" + "a1B2" * 9}}
_KEY = "-----BEGIN RSA PRIVATE KEY-----\nMIIB\n-----END RSA PRIVATE KEY-----"
_MORE = {"parameterType": "STRING", "defaultValue": "x"}
# Defect: its code, and what makes it.
SEEDED: dict[str, tuple[str, Callable[[Compiled], object]]] = {
    "unknown field": (
        "P101",
        lambda c: c.pipeline["root"]["dag"]["tasks"]["finalize"].update(dependsOn=[]),
    ),
    "unknown field of a container": ("P101", lambda c: _train(c).update(volumes=[])),
    "unknown field of the platform": (
        "P102",
        lambda c: c.platform["platforms"]["kubernetes"].update(nodes={}),
    ),
    "unknown field of a pod": ("P103", lambda c: _pod(c).update(hostNetwork=True)),
    "wrong type": ("P103", lambda c: _pod(c).update(tolerations="all")),
    "missing component": (
        "P105",
        lambda c: _tasks(c)["verify-data"]["componentRef"].update(name="comp-gone"),
    ),
    "missing executor": ("P105", lambda c: c.executors.pop("exec-verify-data")),
    "new parameter": ("P105", lambda c: _parameters(c).update(more=_MORE)),
    "edited command": ("P105", _edited_command),
    "edited wiring": (
        "P105",
        lambda c: _tasks(c)["train-model"]["inputs"]["parameters"].pop("epochs"),
    ),
    "password": (
        "P110",
        lambda c: _env(c, "MLFLOW_TRACKING_PASSWORD", "correct horse"),
    ),
    "password in a URL": (
        "P111",
        lambda c: _env(c, "DATABASE", "postgres://me:correct@db.example/x"),
    ),
    "access key": ("P112", lambda c: _env(c, "NOTE", "AKIA" + "A2B3" * 4)),
    "GitHub token": ("P112", lambda c: _pod(c).update(podMetadata=_NOTE)),
    "private key": (
        "P113",
        lambda c: _parameters(c)["weights"].update(defaultValue=_KEY),
    ),
    "tag": ("P120", lambda c: _train(c).update(image="registry.example/seglib:latest")),
    "no tag": (
        "P120",
        lambda c: _train(c).update(image="registry.example:5000/seglib"),
    ),
    "short digest": (
        "P120",
        lambda c: _train(c).update(image="registry.example/seglib@sha256:12"),
    ),
    "no limit": ("P160", lambda c: _train(c)["resources"].pop("resourceMemoryLimit")),
    "no shm": ("P161", _no_shm),
    "no retries": ("P162", _no_retries),
    "no timeout": ("P163", lambda c: _pod(c).pop("activeDeadlineSeconds")),
    "root": ("P164", lambda c: _pod(c).update(securityContext={"runAsUser": 0})),
}


@pytest.mark.parametrize(
    "command",
    [
        ["compile", "--image", IMAGE],
        ["compile", "--image", IMAGE, "--manifest", "--checkpoints", "s3://bucket/x"],
        ["sweep", "--image", IMAGE, "--set", "epochs=1,2", "--parallel", "7"],
    ],
    ids=["compile", "manifest", "sweep"],
)
def test_nothing_is_found_in_our_own_pipelines(
    tmp_path: Path, command: list[str]
) -> None:
    path = tmp_path / "p.yaml"
    done = CliRunner().invoke(app, [*command, "-o", str(path)])
    assert done.exit_code == 0, done.output
    diagnosis = examine(path)
    assert diagnosis.findings == ()
    assert diagnosis.checked[0].startswith("document segmentation-")


@pytest.mark.parametrize("seed", SEEDED)
def test_a_seeded_defect_is_exactly_one_finding_at_its_place(
    seed: str, ours: Compiled, found: Found
) -> None:
    code, break_it = SEEDED[seed]
    break_it(ours)
    (finding,) = found(ours)
    assert finding.code == code
    assert finding.where
    assert finding.what
    assert "correct" not in repr(finding)
    assert "AKIA" not in repr(finding)


def test_every_code_of_documents_is_seeded_here_or_in_the_test_of_sizes() -> None:
    sized = {"P170", "P171", "P172"}
    of_documents = {code for code in codes() if code.startswith("P")}
    assert of_documents == {code for code, _ in SEEDED.values()} | sized


def test_a_finding_names_the_place(ours: Compiled, found: Found) -> None:
    for seed in ("edited wiring", "edited command", "password", "no timeout"):
        SEEDED[seed][1](ours)
    assert [finding.where for finding in found(ours)] == [
        "component comp-exit-handler-1, executor exec-train-model",
        "executor exec-train-model, env MLFLOW_TRACKING_PASSWORD",
        "executor exec-train-model",
    ]


def test_the_pipeline_of_another_project_is_refused_with_one_sentence(
    tmp_path: Path, ours: Compiled
) -> None:
    ours.pipeline["pipelineInfo"]["name"] = "asks"
    message = (
        r"p\.yaml: the pipeline 'asks' is not one of this project\. Expected "
        r"segmentation-sweep or segmentation-training\. `doctor` examines what"
    )
    with pytest.raises(UsageError, match=message) as caught:
        examine(ours.write(tmp_path / "p.yaml"))
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("a: [1\n", "not valid YAML"),
        ("password: 'correct horse\n", "not valid YAML"),
        ("- 1\n- 2\n", "not a compiled pipeline"),
        ("kind: Workflow\n", "not a compiled pipeline"),
        ("", "not a compiled pipeline"),
        ("pipelineInfo: {name: x}\nroot: [1]\n", "not a compiled pipeline"),
        ("pipelineInfo: {name: x}\nroot: {dag: {}}\n", "a pipeline without steps"),
    ],
)
def test_a_file_that_is_no_compiled_pipeline_is_wrong_use(
    tmp_path: Path, text: str, what: str
) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(text)
    with pytest.raises(UsageError, match=what) as caught:
        examine(path)
    assert "correct" not in str(caught.value)
    assert "python -m pipeline compile -o" in str(caught.value)


def test_a_file_that_cannot_be_read_is_wrong_use(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"none\.yaml: cannot be read .No such file"):
        examine(tmp_path / "none.yaml")
    (tmp_path / "odd.yaml").write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="it is not text"):
        examine(tmp_path / "odd.yaml")


def test_the_kubernetes_manifest_of_a_pipeline_is_examined_as_well(
    tmp_path: Path, ours: Compiled
) -> None:
    SEEDED["tag"][1](ours)
    manifest = {
        "apiVersion": "pipelines.kubeflow.org/v2beta1",
        "kind": "PipelineVersion",
        "metadata": {"name": "training"},
        "spec": {"pipelineSpec": ours.pipeline, "platformSpec": ours.platform},
    }
    path = tmp_path / "manifest.yaml"
    path.write_text(yaml.safe_dump(manifest))
    assert [finding.code for finding in examine(path).findings] == ["P120"]
