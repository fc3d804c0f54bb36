"""Every defect of a document is found, by its code alone; nothing is found in ours."""

import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.preflight.checkup import examine
from pipeline.preflight.codes import CODES
from pipeline.preflight.findings import Finding
from seglib.errors import UsageError
from tests.pipeline.preflight.compiled import IMAGE, Compiled

Found = Callable[[Compiled], Sequence[Finding]]
_HANDLER = "comp-exit-handler-1"


def _tasks(compiled: Compiled, component: str = _HANDLER) -> Any:
    return compiled.pipeline["components"][component]["dag"]["tasks"]


def _parameter(compiled: Compiled, name: str, kind: str, default: Any) -> None:
    compiled.pipeline["root"]["inputDefinitions"]["parameters"][name] = {
        "parameterType": kind,
        "defaultValue": default,
    }


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
    component = compiled.pipeline["components"]["comp-verify-data"]
    component["executorLabel"] = "exec-gone"
    del compiled.executors["exec-verify-data"]


def _missing_producer(compiled: Compiled) -> None:
    taken = _tasks(compiled)["augment-data"]["inputs"]["artifacts"]["manifest"]
    taken["taskOutputArtifact"]["producerTask"] = "gone"


def _missing_output(compiled: Compiled) -> None:
    taken = _tasks(compiled)["augment-data"]["inputs"]["artifacts"]["manifest"]
    taken["taskOutputArtifact"]["outputArtifactKey"] = "gone"


def _env_password(compiled: Compiled) -> None:
    entry = {"name": "MLFLOW_TRACKING_PASSWORD", "value": "correct horse"}
    compiled.container("train-model").setdefault("env", []).append(entry)


def _default_password(compiled: Compiled) -> None:
    _parameter(compiled, "db_password", "STRING", "correct horse")


def _password_in_a_dict(compiled: Compiled) -> None:
    _parameter(compiled, "database", "STRUCT", {"user": "me", "password": "correct h"})


def _constant_token(compiled: Compiled) -> None:
    given = _tasks(compiled)["gate-model"]["inputs"]["parameters"]
    given["apiToken"] = {"runtimeValue": {"constant": "correct horse"}}


def _password_option(compiled: Compiled) -> None:
    compiled.container("train-model")["args"] += ["--password", "correct horse"]


def _password_in_the_source(compiled: Compiled) -> None:
    source = compiled.container("train-model")["command"]
    source[-1] = source[-1].replace(
        "import os\n", 'import os\n    client_secret = "correct-horse"\n'
    )


def _url_with_password(compiled: Compiled) -> None:
    entry = {"name": "DATABASE", "value": "postgres://me:correct@db.example/x"}
    compiled.container("train-model").setdefault("env", []).append(entry)


def _url_with_password_as_default(compiled: Compiled) -> None:
    declared = compiled.pipeline["root"]["inputDefinitions"]["parameters"]
    declared["remote"]["defaultValue"] = "https://me:correct@data.example/x"


def _access_key(compiled: Compiled) -> None:
    command = compiled.container("train-model")["command"]
    command[-1] += "# AKIA" + "A2B3" * 4 + "\n"


def _github_token(compiled: Compiled) -> None:
    compiled.pods["exec-train-model"]["podMetadata"] = {
        "annotations": {"note": "ghp_" + "a1B2" * 9}
    }


def _private_key(compiled: Compiled) -> None:
    key = "-----BEGIN RSA PRIVATE KEY-----\nMIIB\n-----END RSA PRIVATE KEY-----"
    _parameter(compiled, "identity", "STRING", key)


def _tag(compiled: Compiled) -> None:
    compiled.container("train-model")["image"] = "registry.example/seglib:latest"


def _no_tag(compiled: Compiled) -> None:
    compiled.container("train-model")["image"] = "registry.example:5000/seglib"


def _short_digest(compiled: Compiled) -> None:
    compiled.container("train-model")["image"] = "registry.example/seglib@sha256:12"


def _install(compiled: Compiled) -> None:
    command = compiled.container("train-model")["command"]
    command[-1] = "python3 -m pip install --quiet 'requests>=2' numpy==2.2.0 && true"


def _undeclared_parameter(compiled: Compiled) -> None:
    compiled.container("train-model")["resources"]["resourceCpuLimit"] = (
        "{{$.inputs.parameters['pipelinechannel--cpus']}}"
    )
    given = _tasks(compiled)["train-model"]["inputs"]["parameters"]
    given["pipelinechannel--cpus"] = {
        "componentInputParameter": "pipelinechannel--cpus"
    }


def _undeclared_artifact(compiled: Compiled) -> None:
    component = compiled.pipeline["components"]["comp-condition-2"]
    del component["inputDefinitions"]["artifacts"]["pipelinechannel--train-model-model"]


def _undeclared_in_a_condition(compiled: Compiled) -> None:
    policy = _tasks(compiled)["condition-2"]["triggerPolicy"]
    policy["condition"] += " && inputs.parameter_values['pipelinechannel--x'] == 'y'"


def _undeclared_secret_name(compiled: Compiled) -> None:
    compiled.pods["exec-train-model"]["secretAsEnv"] = [
        {
            "secretNameParameter": {"componentInputParameter": "pipelinechannel--s"},
            "keyToEnv": [{"secretKey": "k", "envVar": "V"}],
        }
    ]


def _required_input(compiled: Compiled) -> None:
    del _tasks(compiled)["train-model"]["inputs"]["parameters"]["epochs"]


def _named_output(compiled: Compiled) -> None:
    outputs = compiled.pipeline["components"]["comp-gate-model"]["outputDefinitions"]
    outputs["parameters"]["verdict"] = outputs["parameters"].pop("Output")
    task = _tasks(compiled)["condition-2"]["inputs"]["parameters"]
    output = task["pipelinechannel--gate-model-Output"]["taskOutputParameter"]
    output["outputParameterKey"] = "verdict"


def _name_of_a_loop(compiled: Compiled) -> None:
    task = compiled.pipeline["root"]["dag"]["tasks"]["exit-handler-1"]
    task["parameterIterator"] = {
        "itemInput": "pipelinechannel--split",
        "items": {"raw": '["val"]'},
    }
    del task["inputs"]["parameters"]["pipelinechannel--split"]
    given = _tasks(compiled)["evaluate-model"]["inputs"]["parameters"]
    given["split"] = {"runtimeValue": {"constant": "split"}}


def _whole_numbers(compiled: Compiled) -> None:
    _parameter(compiled, "sizes", "LIST", [512.0, 512.0])


def _whole_numbers_in_a_constant(compiled: Compiled) -> None:
    given = _tasks(compiled)["gate-model"]["inputs"]["parameters"]
    given["more"] = {"runtimeValue": {"constant": {"size": [1.5, 512]}}}


def _placeholder_in_env(compiled: Compiled) -> None:
    entry = {"name": "RUN", "value": "{{$.pipeline_job_uuid}}"}
    compiled.container("train-model").setdefault("env", []).append(entry)


def _placeholder_in_a_text(compiled: Compiled) -> None:
    compiled.container("train-model")["resources"]["resourceMemoryLimit"] = (
        "{{$.inputs.parameters['epochs']}}Gi"
    )


def _nested(compiled: Compiled) -> None:
    components = compiled.pipeline["components"]
    components["comp-inner"] = components.pop("comp-condition-2")
    _tasks(compiled)["condition-2"]["componentRef"]["name"] = "comp-inner"


def _run_id_as_input(compiled: Compiled) -> None:
    given = _tasks(compiled)["train-model"]["inputs"]["parameters"]
    given["precision"] = {"runtimeValue": {"constant": "{{$.pipeline_job_uuid}}"}}


def _run_id_in_a_command(compiled: Compiled) -> None:
    compiled.container("train-model")["args"].append(
        "--run={{$.pipeline_job_resource_name}}"
    )


def _commit(compiled: Compiled) -> None:
    _parameter(compiled, "git_commit", "STRING", "")
    inputs = compiled.pipeline["root"]["dag"]["tasks"]["exit-handler-1"]["inputs"]
    inputs["parameters"]["pipelinechannel--precision"] = {
        "componentInputParameter": "git_commit"
    }


def _dated_name(compiled: Compiled) -> None:
    compiled.pipeline["pipelineInfo"]["name"] = "training-2026-11-22"


def _no_limit(compiled: Compiled) -> None:
    del compiled.container("train-model")["resources"]["resourceMemoryLimit"]
    compiled.container("train-model")["resources"].pop("memoryLimit", None)


def _no_shm(compiled: Compiled) -> None:
    pod = compiled.pods["exec-train-model"]
    pod["emptyDirMounts"] = [
        mount for mount in pod["emptyDirMounts"] if mount["mountPath"] != "/dev/shm"
    ]


def _no_retries(compiled: Compiled) -> None:
    entry = {"name": "SEGLIB_CHECKPOINTS", "value": "s3://bucket/checkpoints"}
    compiled.container("train-model").setdefault("env", []).append(entry)
    _tasks(compiled)["train-model"].pop("retryPolicy", None)


def _no_timeout(compiled: Compiled) -> None:
    del compiled.pods["exec-train-model"]["activeDeadlineSeconds"]


def _deadline_of_the_sdk(compiled: Compiled) -> None:
    policy = _tasks(compiled)["train-model"]["retryPolicy"]
    policy["backoffMaxDuration"] = "3600s"


def _deadline_without_a_pause(compiled: Compiled) -> None:
    policy = _tasks(compiled)["train-model"]["retryPolicy"]
    policy["backoffMaxDuration"] = f"{6 * 86400 + 30 + 60 + 120 + 240 + 480 - 1}s"


def _root(compiled: Compiled) -> None:
    compiled.pods["exec-train-model"]["securityContext"] = {"runAsUser": 0}


def _any_user(compiled: Compiled) -> None:
    del compiled.pods["exec-train-model"]["securityContext"]


SEEDED = {
    _unknown_field: "P101",
    _unknown_field_of_a_container: "P101",
    _unknown_platform_field: "P102",
    _unknown_pod_field: "P103",
    _pod_field_of_the_wrong_type: "P103",
    _missing_component: "P104",
    _missing_executor: "P104",
    _missing_producer: "P104",
    _missing_output: "P104",
    _env_password: "P110",
    _default_password: "P110",
    _password_in_a_dict: "P110",
    _constant_token: "P110",
    _password_option: "P110",
    _password_in_the_source: "P110",
    _url_with_password: "P111",
    _url_with_password_as_default: "P111",
    _access_key: "P112",
    _github_token: "P112",
    _private_key: "P113",
    _tag: "P120",
    _no_tag: "P120",
    _short_digest: "P120",
    _install: "P121",
    _undeclared_parameter: "P130",
    _undeclared_artifact: "P130",
    _undeclared_in_a_condition: "P130",
    _undeclared_secret_name: "P130",
    _required_input: "P131",
    _named_output: "P140",
    _name_of_a_loop: "P142",
    _whole_numbers: "P143",
    _whole_numbers_in_a_constant: "P143",
    _placeholder_in_env: "P144",
    _placeholder_in_a_text: "P145",
    _nested: "P146",
    _run_id_as_input: "P150",
    _run_id_in_a_command: "P150",
    _commit: "P151",
    _dated_name: "P152",
    _no_limit: "P160",
    _no_shm: "P161",
    _no_retries: "P162",
    _no_timeout: "P163",
    _deadline_of_the_sdk: "P166",
    _deadline_without_a_pause: "P166",
    _root: "P164",
    _any_user: "P165",
}


def test_nothing_is_found_in_our_own_pipeline(compiled_file: Path) -> None:
    diagnosis = examine(compiled_file)
    assert diagnosis.findings == ()
    assert diagnosis.checked == (
        "document segmentation-training: 9 tasks, 7 executors",
    )


def test_nothing_is_found_in_a_manifest_with_another_place_for_checkpoints(
    tmp_path: Path, repository: Path
) -> None:
    path = tmp_path / "manifest.yaml"
    command = [sys.executable, "-m", "pipeline", "compile", "-o", str(path)]
    command += ["--image", IMAGE, "--manifest", "--checkpoints", "s3://bucket/x"]
    subprocess.run(command, cwd=repository, check=True, capture_output=True)
    diagnosis = examine(path)
    assert diagnosis.findings == ()
    assert "7 executors" in diagnosis.checked[0]


@pytest.mark.parametrize("seed", SEEDED, ids=lambda seed: seed.__name__.lstrip("_"))
def test_a_seeded_defect_is_exactly_one_finding_at_its_place(
    seed: Callable[[Compiled], None], ours: Compiled, found: Found
) -> None:
    seed(ours)
    findings = found(ours)
    assert [finding.code for finding in findings] == [SEEDED[seed]]
    (finding,) = findings
    assert finding.where
    assert finding.what
    assert "correct" not in repr(finding)
    assert "AKIA" not in repr(finding)


def test_every_code_of_documents_is_seeded_here_or_compiled_by_kfp() -> None:
    compiled = {"P141", "P147"}  # see test_compiled.py
    sized = {"P170", "P171", "P172"}  # see test_sizing.py
    of_documents = {code for code in CODES if code.startswith("P")}
    assert of_documents == {*SEEDED.values()} | compiled | sized


def test_attempts_without_a_timeout_must_not_end_by_the_default_of_the_sdk(
    ours: Compiled, found: Found
) -> None:
    _no_timeout(ours)
    _deadline_of_the_sdk(ours)
    told = {finding.code: finding.what for finding in found(ours)}
    assert told.keys() == {"P163", "P166"}
    assert told["P166"] == "all attempts end 3600 s after the start of the first one"


@pytest.mark.parametrize("factor", [1.0, 1.5, 1e300])
def test_the_deadline_of_any_number_of_attempts_is_weighed_at_once(
    ours: Compiled, found: Found, factor: float
) -> None:
    policy = _tasks(ours)["train-model"]["retryPolicy"]
    policy |= {"maxRetryCount": 2**31 - 1, "backoffFactor": factor}
    assert [finding.code for finding in found(ours)] == ["P166"]


def test_places_say_where_to_look(ours: Compiled, found: Found) -> None:
    _env_password(ours)
    _run_id_as_input(ours)
    _no_timeout(ours)
    assert [finding.where for finding in found(ours)] == [
        "exec-train-model / env / MLFLOW_TRACKING_PASSWORD",
        "task comp-exit-handler-1/train-model",
        "executor exec-train-model",
    ]


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("a: [1\n", "it is not YAML"),
        ("password: 'correct horse\n", "it is not YAML"),
        ("- 1\n- 2\n", "it holds no pipeline"),
        ("apiVersion: argoproj.io/v1alpha1\nkind: Workflow\n", "an Argo workflow"),
        ("", "it holds no pipeline"),
        ("root: [1]\n", "the wrong type"),
    ],
)
def test_what_is_no_compiled_pipeline_is_one_finding(
    tmp_path: Path, text: str, what: str
) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(text)
    (finding,) = examine(path).findings
    assert finding.code == "P101"
    assert what in finding.what
    assert "correct" not in finding.what


def test_a_file_that_cannot_be_read_is_wrong_use(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"none\.yaml: cannot be read .No such file"):
        examine(tmp_path / "none.yaml")


def test_the_kubernetes_manifest_of_a_pipeline_is_read_as_well(
    tmp_path: Path, ours: Compiled
) -> None:
    ours.container("train-model")["image"] = "seglib:latest"
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
