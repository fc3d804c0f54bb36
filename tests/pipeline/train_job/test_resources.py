"""The resources of a training in several pods: valid, restricted, and who is who."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

from pipeline.dag.cluster_config import (
    Cache,
    ClusterConfig,
    Security,
    Source,
    Toleration,
)
from pipeline.train_job.plan import Training, require_job_name
from pipeline.train_job.resources import default_name, documents, write_training
from seglib.errors import SegError, UsageError

GOLDEN = Path(__file__).parent / "golden" / "train-job.yaml"
SCHEMAS = json.loads((Path(__file__).parent / "training_schemas.json").read_text())
VERSIONS = ("1.33", "1.37")  # of Kubernetes
IMAGE = f"registry.example/seglib@sha256:{'a1' * 32}"
PARAMETERS = {"data_md5": f"{'0123456789' * 3}01.dir", "batch_size": 8, "epochs": 3}
RICH = ClusterConfig(
    namespace="vision",
    service_account="trainer",
    image_pull_policy="Always",
    image_pull_secrets=("registry",),
    environment={"SEGLIB_TRACKING": "required", "PROMPT": "$(PWD) costs $5"},
    config_maps=(
        Source(name="places", keys=("SEGLIB_CHECKPOINTS", "B"), optional=True),
    ),
    secrets=(Source(name="store", variables={"C": "c.key"}),),
    cache=Cache(claim="fetched", mount_path="/fetched"),
    security=Security(run_as_user=1001, run_as_group=1002),
).with_step(
    "train",
    cpu_request="500m",
    memory_request="1.5Gi",
    gpus=2,
    node_selector={"accelerator": "l4"},
    annotations={"karpenter.sh/do-not-disrupt": "true"},
    tolerations=(Toleration(key="spot", value="yes", effect="NoExecute"),),
    retries=4,
    timeout="1h30m",
)
BARE = ClusterConfig(secrets=(), cache=Cache(claim="")).with_step(
    "train",
    cpu_request="",
    cpu_limit="",
    memory_limit="",
    shm="",
    ephemeral_storage="",
    retries=0,
    timeout="",
)
SOURCES = ("configMapKeyRef", "secretKeyRef", "fieldRef")


def _training(**own: Any) -> Training:
    given = {"image": IMAGE, "parameters": PARAMETERS, "nodes": 2}
    return Training(**{"cluster": ClusterConfig(), **given, **own})


TRAININGS = {
    "plain": _training(),
    "rich": _training(cluster=RICH, cache=True),
    "bare": _training(cluster=BARE, checkpoints="s3://bucket/checkpoints"),
}


@pytest.fixture(params=TRAININGS)
def training(request: pytest.FixtureRequest) -> Training:
    return TRAININGS[request.param]


def test_every_resource_keeps_its_published_schema(training: Training) -> None:
    for document in documents(training, "job"):
        _validate(document)


@pytest.mark.parametrize("nodes", [2, 11])
def test_the_hosts_are_those_that_a_job_set_names(nodes: int) -> None:
    """<jobSet.name>-<spec.replicatedJob.name>-<job-index>-<pod-index>.<subdomain>.

    So says api/jobset/v1alpha2/jobset_types.go of kubernetes-sigs/jobset, where the
    subdomain is the JobSet's name; and that one is the TrainJob's.
    """
    training = _training(nodes=nodes, parameters={**PARAMETERS, "batch_size": 22})
    runtime = _of(training, "TrainingRuntime")
    spec = runtime["spec"]["template"]["spec"]
    (replicated,) = spec["replicatedJobs"]
    assert replicated["template"]["spec"]["completionMode"] == "Indexed"
    assert "subdomain" not in spec["network"]
    job = f"job-{replicated['name']}-{replicated['replicas'] - 1}"
    count = runtime["spec"]["mlPolicy"]["numNodes"]
    variables = _environment(training)
    assert variables["SEGLIB_HOSTS"].split(",") == [
        f"{job}-{pod}.job" for pod in range(count)
    ]
    assert variables["SEGLIB_HOST_INDEX"] == {
        "fieldPath": "metadata.annotations['batch.kubernetes.io/job-completion-index']"
    }


@pytest.mark.parametrize(("gpus", "processes"), [(0, 1), (1, 1), (4, 4)])
def test_a_pod_runs_a_process_a_gpu_each_with_a_port(gpus: int, processes: int) -> None:
    training = _training(cluster=ClusterConfig().with_step("train", gpus=gpus))
    variables = _environment(training)
    assert variables["SEGLIB_PROCESSES"] == str(processes)
    ports = [port["containerPort"] for port in _container(training)["ports"]]
    first = int(variables["SEGLIB_PORTS_FROM"])
    assert ports == list(range(first, first + processes))
    limits = _container(training)["resources"]["limits"]
    assert limits.get("nvidia.com/gpu") == (str(gpus) if gpus else None)


def test_every_pod_is_restricted_as_pod_security_understands_it(
    training: Training,
) -> None:
    # https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted
    spec = _template(training)["spec"]
    assert not {"hostNetwork", "hostPID", "hostIPC", "initContainers"} & spec.keys()
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["runAsUser"] > 0
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert spec["automountServiceAccountToken"] is False
    (container,) = spec["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    kinds = {kind for volume in spec["volumes"] for kind in volume.keys() - {"name"}}
    assert kinds <= {"emptyDir", "persistentVolumeClaim"}


def test_without_the_option_each_pod_fetches_into_a_folder_of_its_own() -> None:
    spec = _template(TRAININGS["plain"])["spec"]
    folder = {"name": "cache", "emptyDir": {"sizeLimit": "20Gi"}}
    assert folder in spec["volumes"]
    assert "persistentVolumeClaim" not in json.dumps(spec)
    assert _template(TRAININGS["bare"])["spec"]["volumes"] == [
        {"name": "tmp", "emptyDir": {}},
        {"name": "cache", "emptyDir": {}},
    ]


def test_the_place_of_checkpoints_is_the_one_variable_that_must_be_there() -> None:
    (reference,) = [
        one["valueFrom"]["configMapKeyRef"]
        for one in _container(TRAININGS["rich"])["env"]
        if one["name"] == "SEGLIB_CHECKPOINTS"
    ]
    assert reference == {"name": "places", "key": "SEGLIB_CHECKPOINTS"}
    assert _environment(TRAININGS["rich"])["B"]["optional"] is True
    stated = _environment(TRAININGS["bare"])["SEGLIB_CHECKPOINTS"]
    assert stated == "s3://bucket/checkpoints"


def test_no_variable_has_two_origins(training: Training) -> None:
    names = [variable["name"] for variable in _container(training)["env"]]
    assert len(names) == len(set(names))
    assert all(re.fullmatch(r"[A-Za-z_]\w*", name) for name in names)


def test_what_a_pod_is_given_is_taken_literally() -> None:
    # Kubernetes expands $(NAME) in arguments and variables, and reads $$ as $.
    odd = {**PARAMETERS, "class_names": "a$(HOME),$$b,$", "remote": "s3://ü/$(A)"}
    (argument,) = _container(_training(parameters=odd))["args"]
    assert json.loads(_expanded(argument)) == odd
    prompt = _environment(TRAININGS["rich"])["PROMPT"]
    assert _expanded(prompt) == "$(PWD) costs $5"


def test_the_file_is_the_golden_one_and_the_same_each_time(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("train-job.yaml", "again.yml")]
    for path in paths:
        write_training(TRAININGS["rich"], path, name="train-of-test")
    text = paths[0].read_text()
    assert text == paths[1].read_text()
    assert "&id" not in text, "kubectl shows what is there, not anchors"
    accept = f"If that is meant: cp {paths[0]} {GOLDEN}"
    assert text == GOLDEN.read_text(), accept
    assert list(yaml.safe_load_all(text)) == documents(
        TRAININGS["rich"], "train-of-test"
    )


def test_whatever_differs_gives_another_name() -> None:
    commit = f"{'b' * 40}-dirty"
    names = {default_name(one, commit=commit) for one in TRAININGS.values()}
    assert len(names) == len(TRAININGS)
    first = default_name(TRAININGS["plain"], commit=commit)
    assert first == default_name(_training(), commit=commit)
    assert re.fullmatch(r"train-bbbbbbb-dirty-0123456-[0-9a-f]{8}", first)
    require_job_name(first, 1000)


@pytest.mark.parametrize(("nodes", "longest"), [(2, 48), (10, 48), (11, 47)])
def test_a_name_leaves_room_for_what_a_pod_adds(nodes: int, longest: int) -> None:
    # 63 characters, less "-node-0-", the last index, "-" and five random ones
    require_job_name("a" * longest, nodes)
    for wrong in ("a" * (longest + 1), "", "1a", "a-", "A", "a.b", "a_b"):
        with pytest.raises(UsageError, match=f"at most {longest} characters"):
            require_job_name(wrong, nodes)


def test_a_file_that_cannot_be_written_leaves_what_was_there(tmp_path: Path) -> None:
    there = tmp_path / "job.yaml"
    there.mkdir()
    with pytest.raises(SegError, match="cannot be written"):
        write_training(TRAININGS["plain"], there, name="job")
    assert [path.name for path in tmp_path.iterdir()] == ["job.yaml"]
    with pytest.raises(SegError, match="ends in .yaml"):
        write_training(TRAININGS["plain"], tmp_path / "job.json", name="job")


@pytest.mark.parametrize(
    ("own", "message"),
    [
        ({"nodes": 3}, "3 pods × 1 = 3. Received: batch_size=8. Try --set "),
        ({"nodes": 3}, "--set batch_size=6 or 9, or another --nodes."),
        ({"nodes": 16}, "--set batch_size=16, or another --nodes."),
        (
            {"cluster": ClusterConfig().with_step("train", gpus=3)},
            "2 pods × 3 = 6. Received: batch_size=8. Try --set batch_size=6 or 12",
        ),
        ({"checkpoints": "/mnt/checkpoints"}, "must be s3://bucket/prefix"),
        (
            {"cluster": ClusterConfig(environment={}, config_maps=())},
            "expected SEGLIB_CHECKPOINTS among the keys of a ConfigMap",
        ),
        (
            {"cluster": ClusterConfig(cache=Cache(claim="")), "cache": True},
            "Name it there as `cache.claim`",
        ),
    ],
)
def test_what_cannot_be_is_refused_with_the_way_out(
    own: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError) as caught:
        _training(**own)
    assert message in str(caught.value)


def test_a_variable_of_the_training_cannot_be_set_in_the_clusters_file() -> None:
    for name in (*_environment(TRAININGS["plain"]), "TF_CONFIG"):
        if name.startswith(("SEGLIB_", "TF_CONFIG")) and name != "SEGLIB_CHECKPOINTS":
            with pytest.raises(UsageError, match="two origins"):
                ClusterConfig(environment={name: "1"})


def _of(training: Training, kind: str) -> dict[str, Any]:
    (found,) = [d for d in documents(training, "job") if d["kind"] == kind]
    return found


def _template(training: Training) -> dict[str, Any]:
    """Of the pods."""
    runtime = _of(training, "TrainingRuntime")
    (job,) = runtime["spec"]["template"]["spec"]["replicatedJobs"]
    return job["template"]["spec"]["template"]


def _container(training: Training) -> dict[str, Any]:
    (container,) = _template(training)["spec"]["containers"]
    return container


def _environment(training: Training) -> dict[str, Any]:
    """Variable → its value, or the reference that gives it."""
    found = {}
    for variable in _container(training)["env"]:
        sources = variable.get("valueFrom", {})
        values = [sources[kind] for kind in SOURCES if kind in sources]
        found[variable["name"]] = values[0] if values else variable["value"]
    return found


def _expanded(text: str) -> str:
    """As a container sees it where no variable is set."""
    assert not re.search(r"(?<!\$)(\$\$)*\$\(", text), "a reference"
    return text.replace("$$", "$")


def _validate(document: Mapping[str, Any]) -> None:
    """By the schema of its kind, and what is Kubernetes' own in it by Kubernetes'."""
    kind = document["kind"]
    if kind == "NetworkPolicy":
        _validate_by_kubernetes(document)
        return
    definitions = SCHEMAS["definitions"]
    schema = {"definitions": definitions, "$ref": f"#/definitions/{kind}"}
    jsonschema.validate(document, schema)
    metadata, spec = document["metadata"], document["spec"]
    _validate_by_kubernetes(_job({"metadata": metadata, "spec": {"template": {}}}))
    if kind == "TrainingRuntime":
        for replicated in spec["template"]["spec"]["replicatedJobs"]:
            _validate_by_kubernetes(_job(replicated["template"]))


def _job(template: Mapping[str, Any]) -> dict[str, Any]:
    return {"apiVersion": "batch/v1", "kind": "Job", **template}


def _validate_by_kubernetes(document: Mapping[str, Any]) -> None:
    for version in VERSIONS:
        kubernetes_validate.validate(document, version, strict=True)
