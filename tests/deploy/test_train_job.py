"""A training in several pods, beside what the overlays bring."""

from pathlib import Path

import pytest

from pipeline.dag.cluster_config import ClusterConfig
from pipeline.train_job.plan import Training
from pipeline.train_job.resources import write_training
from tests.deploy.manifests import Manifests, Pod, build, references, selects

# Kubernetes starts a pod without them.
_OPTIONAL = {"seglib-mlflow"}


@pytest.fixture(params=["kind", "cloud"])
def overlay(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def written(overlay: str, kubectl: str, repository: Path, tmp_path: Path) -> Manifests:
    """What kubectl reads of the file."""
    pods = repository / "deploy" / "overlays" / overlay / "pods.yaml"
    training = Training(
        image="seglib:cpu",
        parameters={"data_md5": "0.dir", "batch_size": 8},
        cluster=ClusterConfig.load(pods),
        nodes=2,
        cache=True,
    )
    write_training(training, tmp_path / "job.yaml", name="job")
    (tmp_path / "kustomization.yaml").write_text("resources: [job.yaml]\n")
    return build(kubectl, tmp_path)


def test_kubectl_reads_the_file(written: Manifests) -> None:
    kinds = {document["kind"] for document in written.documents}
    assert kinds == {"NetworkPolicy", "TrainingRuntime", "TrainJob"}
    assert {d["metadata"]["namespace"] for d in written.documents} == {"kubeflow"}


def test_kubectl_reads_every_text_as_a_text(kubectl: str, tmp_path: Path) -> None:
    texts = ("y", "N", "1e3", "-1.5E+3", "0o7", "no", "null", "1:30", "0x1f", "1_0", "")
    given = {f"TEXT_{number}": text for number, text in enumerate(texts)}
    training = Training(
        image="seglib:cpu",
        parameters={"data_md5": "0.dir", "batch_size": 8},
        cluster=ClusterConfig(environment=given),
        nodes=2,
    )
    write_training(training, tmp_path / "job.yaml", name="job")
    (tmp_path / "kustomization.yaml").write_text("resources: [job.yaml]\n")
    (container,) = _pod(build(kubectl, tmp_path)).containers
    read = {one["name"]: one.get("value") for one in container["env"]}
    assert {name: read[name] for name in given} == given


def test_all_that_its_pods_name_is_there(
    written: Manifests, overlay: str, built, secrets
) -> None:
    there, given = built(overlay), secrets("" if overlay == "kind" else "cloud")
    for kind, name, key in references(_pod(written)):
        if name in _OPTIONAL:
            continue
        place = given if kind == "Secret" else there
        assert place.has(kind, name), (kind, name)
        if key:
            assert key in place.get(kind, name)["data"]


def test_no_policy_of_the_overlay_takes_its_pods(
    written: Manifests, overlay: str, built
) -> None:
    """Whatever they ask for, from S3 to names, is theirs to ask."""
    labels = _pod(written).labels
    for policy in built(overlay).of("NetworkPolicy"):
        assert not selects(policy["spec"]["podSelector"], labels)
    (own,) = written.of("NetworkPolicy")
    assert selects(own["spec"]["podSelector"], labels)
    for pod in built(overlay).pods():
        assert not selects(own["spec"]["podSelector"], pod.labels)


def _pod(written: Manifests) -> Pod:
    (runtime,) = written.of("TrainingRuntime")
    (job,) = runtime["spec"]["template"]["spec"]["replicatedJobs"]
    template = job["template"]["spec"]["template"]
    return Pod("one of the job's", template["metadata"]["labels"], template["spec"])
