"""docs/cluster.md names what is there."""

import json
import re
from pathlib import Path

import pytest

from pipeline.preflight.cluster_state import see_repetition
from tests.deploy.manifests import Manifests

# What Kubeflow Pipelines brings.
_THEIRS = {"svc/ml-pipeline-ui": 80}


@pytest.fixture(scope="module")
def guide(repository: Path) -> str:
    return (repository / "docs" / "cluster.md").read_text(encoding="utf-8")


def test_the_files_that_the_guide_shows_are_there(guide: str, repository: Path) -> None:
    shown = {path.rstrip(".") for path in re.findall(r"\bdeploy/[\w./-]+", guide)}
    assert len(shown) > 5
    made = re.compile(r"/\w+\.env$")  # by generate.sh, or by hand
    assert not [
        path
        for path in shown
        if not (repository / path).exists() and not made.search(path)
    ]


def test_what_the_guide_waits_for_and_forwards_is_there(guide: str, built) -> None:
    kind: Manifests = built("kind")
    for owner, name in re.findall(r"rollout status (\w+)/(\S+)", guide):
        assert kind.has({"deployment": "Deployment"}.get(owner, "StatefulSet"), name)
    jobs = re.findall(r"kubectl .*\bjob/([\w-]+)", guide)
    assert jobs
    assert all(kind.has("Job", name) for name in jobs)
    for name, port in re.findall(r"port-forward (svc/\S+) \d+:(\d+)", guide):
        if name in _THEIRS:
            assert int(port) == _THEIRS[name]
            continue
        service = kind.get("Service", name.removeprefix("svc/"))
        assert int(port) in [shown["port"] for shown in service["spec"]["ports"]]


def test_the_guide_installs_the_version_of_the_sdk(
    guide: str, repository: Path
) -> None:
    locked = re.search(
        r"^kfp==(\S+)", (repository / "requirements.lock").read_text(), re.MULTILINE
    )
    assert locked
    assert f"PIPELINE_VERSION={locked[1]}\n" in guide


def test_with_the_patch_of_the_guide_failures_and_deleted_pods_are_repeated(
    guide: str,
) -> None:
    (patch,) = re.findall(r"```yaml\n(spec:\n  templateDefaults:\n.*?)```", guide, re.S)
    (note,) = see_repetition({"workflowDefaults": patch}, [])
    assert "that fails (exit code, memory, timeout) and one whose pod" in note
    assert "if lastRetry.status" in note


def test_the_patch_of_the_guide_tells_failed_pods_from_what_is_around_them(
    repository: Path,
) -> None:
    """It repeats what has a message: on a real cluster all failed pods, and no DAG."""
    messages: dict[str, set[bool]] = {"Pod": set(), "DAG": set()}
    for case in ("a0-failed", "cancelled", "oom", "retry-max-60s"):
        answer = repository / f"tests/fakes/recorded/{case}/v1beta1-run.json"
        runtime = json.loads(answer.read_text())["pipeline_runtime"]
        for node in json.loads(runtime["workflow_manifest"])["status"][
            "nodes"
        ].values():
            if node["phase"] == "Failed" and node["type"] in messages:
                messages[node["type"]].add(bool(node.get("message")))
    assert messages == {"Pod": {True}, "DAG": {False}}


def test_served_and_saving_tensorflow_are_of_one_version(repository: Path) -> None:
    text = (repository / "requirements.lock").read_text()
    locked = re.search(r"^tensorflow==(\d+\.\d+)", text, re.MULTILINE)
    base = (repository / "deploy" / "base" / "kustomization.yaml").read_text()
    served = re.search(r"tensorflow/serving .*\n    newTag: (\d+\.\d+)", base)
    assert locked
    assert served
    assert locked[1] == served[1]
