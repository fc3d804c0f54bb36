"""Each defect of a document is one finding of its code; ours has none."""

import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.preflight.checkup import examine
from pipeline.preflight.codes import codes
from pipeline.preflight.findings import Finding
from seglib.errors import UsageError
from tests.pipeline.preflight.compiled import IMAGE, Compiled

Found = Callable[[Compiled], Sequence[Finding]]


def _tasks(compiled: Compiled) -> Any:
    return compiled.pipeline["components"]["comp-exit-handler-1"]["dag"]["tasks"]


def _unknown_field(compiled: Compiled) -> None:
    compiled.pipeline["root"]["dag"]["tasks"]["finalize"]["dependsOn"] = ["x"]


def _unknown_field_of_a_container(compiled: Compiled) -> None:
    compiled.container("train-model")["volumes"] = []


def _unknown_platform_field(compiled: Compiled) -> None:
    compiled.platform["platforms"]["kubernetes"]["nodes"] = {}


def _unknown_pod_field(compiled: Compiled) -> None:
    compiled.pods["exec-train-model"]["hostNetwork"] = True


def _pod_field_of_the_wrong_type(compiled: Compiled) -> None:
    compiled.pods["exec-train-model"]["tolerations"] = "all"


def _missing_component(compiled: Compiled) -> None:
    _tasks(compiled)["verify-data"]["componentRef"]["name"] = "comp-gone"


def _missing_executor(compiled: Compiled) -> None:
    del compiled.executors["exec-verify-data"]


def _new_parameter(compiled: Compiled) -> None:
    declared = compiled.pipeline["root"]["inputDefinitions"]["parameters"]
    declared["more"] = {"parameterType": "STRING", "defaultValue": "x"}


def _edited_command(compiled: Compiled) -> None:
    compiled.container("train-model")["command"][-1] += "# edited\n"


def _edited_wiring(compiled: Compiled) -> None:
    del _tasks(compiled)["train-model"]["inputs"]["parameters"]["epochs"]


def _env(compiled: Compiled, name: str, value: str) -> None:
    entry = {"name": name, "value": value}
    compiled.container("train-model").setdefault("env", []).append(entry)


def _password(compiled: Compiled) -> None:
    _env(compiled, "MLFLOW_TRACKING_PASSWORD", "correct horse")


def _url_with_password(compiled: Compiled) -> None:
    _env(compiled, "DATABASE", "postgres://me:correct@db.example/x")


def _access_key(compiled: Compiled) -> None:
    _env(compiled, "NOTE", "AKIA" + "A2B3" * 4)


def _github_token(compiled: Compiled) -> None:
    note = {"note": "ghp_" + "a1B2" * 9}
    compiled.pods["exec-train-model"]["podMetadata"] = {"annotations": note}


def _private_key(compiled: Compiled) -> None:
    declared = compiled.pipeline["root"]["inputDefinitions"]["parameters"]
    key = "-----BEGIN RSA PRIVATE KEY-----\nMIIB\n-----END RSA PRIVATE KEY-----"
    declared["weights"]["defaultValue"] = key


def _tag(compiled: Compiled) -> None:
    compiled.container("train-model")["image"] = "registry.example/seglib:latest"


def _no_tag(compiled: Compiled) -> None:
    compiled.container("train-model")["image"] = "registry.example:5000/seglib"


def _short_digest(compiled: Compiled) -> None:
    compiled.container("train-model")["image"] = "registry.example/seglib@sha256:12"


def _no_limit(compiled: Compiled) -> None:
    del compiled.container("train-model")["resources"]["resourceMemoryLimit"]


def _no_shm(compiled: Compiled) -> None:
    pod = compiled.pods["exec-train-model"]
    pod["emptyDirMounts"] = [
        mount for mount in pod["emptyDirMounts"] if mount["mountPath"] != "/dev/shm"
    ]


def _no_retries(compiled: Compiled) -> None:
    _env(compiled, "SEGLIB_CHECKPOINTS", "s3://bucket/checkpoints")
    del _tasks(compiled)["train-model"]["retryPolicy"]


def _no_timeout(compiled: Compiled) -> None:
    del compiled.pods["exec-train-model"]["activeDeadlineSeconds"]


def _root(compiled: Compiled) -> None:
    compiled.pods["exec-train-model"]["securityContext"] = {"runAsUser": 0}


SEEDED = {
    _unknown_field: "P101",
    _unknown_field_of_a_container: "P101",
    _unknown_platform_field: "P102",
    _unknown_pod_field: "P103",
    _pod_field_of_the_wrong_type: "P103",
    _missing_component: "P105",
    _missing_executor: "P105",
    _new_parameter: "P105",
    _edited_command: "P105",
    _edited_wiring: "P105",
    _password: "P110",
    _url_with_password: "P111",
    _access_key: "P112",
    _github_token: "P112",
    _private_key: "P113",
    _tag: "P120",
    _no_tag: "P120",
    _short_digest: "P120",
    _no_limit: "P160",
    _no_shm: "P161",
    _no_retries: "P162",
    _no_timeout: "P163",
    _root: "P164",
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
    tmp_path: Path, repository: Path, command: list[str]
) -> None:
    path = tmp_path / "p.yaml"
    whole = [sys.executable, "-m", "pipeline", *command, "-o", str(path)]
    subprocess.run(whole, cwd=repository, check=True, capture_output=True)
    diagnosis = examine(path)
    assert diagnosis.findings == ()
    assert diagnosis.checked[0].startswith("document segmentation-")


@pytest.mark.parametrize("seed", SEEDED, ids=lambda seed: seed.__name__.lstrip("_"))
def test_a_seeded_defect_is_exactly_one_finding_at_its_place(
    seed: Callable[[Compiled], None], ours: Compiled, found: Found
) -> None:
    seed(ours)
    findings = found(ours)
    assert [finding.code for finding in findings] == [SEEDED[seed]]
    assert findings[0].where
    assert findings[0].what
    assert "correct" not in repr(findings)
    assert "AKIA" not in repr(findings)


def test_every_code_of_documents_is_seeded_here_or_in_the_test_of_sizes() -> None:
    sized = {"P170", "P171", "P172"}
    of_documents = {code for code in codes() if code.startswith("P")}
    assert of_documents == {*SEEDED.values()} | sized


def test_a_finding_names_the_place(ours: Compiled, found: Found) -> None:
    _edited_wiring(ours)
    _edited_command(ours)
    _password(ours)
    _no_timeout(ours)
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
    _tag(ours)
    manifest = {
        "apiVersion": "pipelines.kubeflow.org/v2beta1",
        "kind": "PipelineVersion",
        "metadata": {"name": "training"},
        "spec": {"pipelineSpec": ours.pipeline, "platformSpec": ours.platform},
    }
    path = tmp_path / "manifest.yaml"
    path.write_text(yaml.safe_dump(manifest))
    assert [finding.code for finding in examine(path).findings] == ["P120"]


def test_codes_that_are_ignored_are_not_reported(
    tmp_path: Path, ours: Compiled
) -> None:
    _tag(ours)
    path = ours.write(tmp_path / "p.yaml")
    assert not examine(path, ignored=["P120"]).findings
