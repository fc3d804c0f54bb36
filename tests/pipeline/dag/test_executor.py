"""What a pod's settings are in KFP's own form."""

import json
from typing import Any

import pytest
from kfp import dsl, kubernetes

from pipeline.dag.cluster_config import (
    Cache,
    ClusterConfig,
    Source,
    StepResources,
    Toleration,
)
from pipeline.dag.executor import in_image, on_kubernetes
from tests.fakes.recorded_runs import RECORDED

LOUD = {"TF_CPP_MIN_LOG_LEVEL": "0"}
IMAGE = "registry.example/seglib@sha256:0"
RICH = ClusterConfig(
    image_pull_policy="Always",
    image_pull_secrets=("registry",),
    environment={"SEGLIB_TRACKING": "required"},
    config_maps=(Source(name="places", keys=("A", "B"), optional=True),),
    secrets=(Source(name="store", variables={"C": "c.key"}),),
    cache=Cache(claim="fetched", mount_path="/fetched"),
).with_step(
    "train",
    cpu_request="500m",
    cpu_limit="4",
    memory_request="1.5Gi",
    memory_limit="8Gi",
    gpus=2,
    node_selector={"accelerator": "l4"},
    tolerations=(Toleration(key="spot", value="yes", effect="NoExecute"),),
    annotations={"karpenter.sh/do-not-disrupt": "true"},
    shm="2Gi",
    ephemeral_storage="20Gi",
    output_storage="40Gi",
    retries=4,
    retry_delay="1m",
    timeout="1h30m",
)


@dsl.component(base_image="python:3.11")
def nothing() -> None:
    pass


def test_a_pods_settings_are_those_that_kfps_own_helpers_would_write() -> None:
    def theirs(task: dsl.PipelineTask) -> None:
        run = "metadata.labels['pipeline/runid']"
        kubernetes.use_field_path_as_env(task, "KFP_RUN_ID", run)
        kubernetes.empty_dir_mount(task, "tmp", "/tmp", size_limit="20Gi")
        for store in ("minio", "s3", "gcs"):
            name, path = f"{store}-scratch", f"/{store}"
            kubernetes.empty_dir_mount(task, name, path, size_limit="40Gi")
        kubernetes.empty_dir_mount(task, "shm", "/dev/shm", "Memory", "2Gi")
        kubernetes.mount_pvc(task, "fetched", "/fetched")
        both = {"A": "A", "B": "B"}
        kubernetes.use_config_map_as_env(task, "places", both, optional=True)
        kubernetes.use_secret_as_env(task, "store", {"c.key": "C"})
        kubernetes.add_node_selector(task, "accelerator", "l4")
        kubernetes.add_toleration(
            task, key="spot", operator="Equal", value="yes", effect="NoExecute"
        )
        kubernetes.add_toleration(
            task, key="nvidia.com/gpu", operator="Exists", effect="NoSchedule"
        )
        kubernetes.add_pod_annotation(task, "karpenter.sh/do-not-disrupt", "true")
        kubernetes.set_timeout(task, 5400)
        kubernetes.set_image_pull_policy(task, "Always")
        kubernetes.set_image_pull_secrets(task, ["registry"])
        kubernetes.set_security_context(task, 1000, 1000, run_as_non_root=True)

    assert _settings(theirs) == _settings(_ours(RICH))


def test_the_volumes_of_outputs_are_those_that_a_real_pod_of_kfp_has() -> None:
    recorded = RECORDED / "a0-ok" / "pods.json"
    containers = (
        container
        for pod in json.loads(recorded.read_text())["items"]
        for container in pod["status"]["containerStatuses"]
        if container["name"] == "main" and "system-container-impl" in str(pod)
    )
    theirs = [
        {(m["mountPath"], m["name"]) for m in c["volumeMounts"]} for c in containers
    ]
    limited = _settings(_ours(RICH))["emptyDirMounts"]
    ours = {(m["mountPath"], m["volumeName"]) for m in limited if "scratch" in str(m)}
    assert len(ours) == 3
    assert any(ours <= mounted for mounted in theirs)


def test_resources_are_in_the_container() -> None:
    task = _task(_ours(RICH))
    resources = task.container_spec.resources
    assert (resources.cpu_request, resources.cpu_limit) == ("500m", "4")
    assert (resources.memory_request, resources.memory_limit) == ("1610612736", "8Gi")
    assert resources.accelerator_type == "nvidia.com/gpu"
    assert resources.accelerator_count == "2"
    assert task.container_spec.env == {
        "SEGLIB_IMAGE": IMAGE,
        "SEGLIB_TRACKING": "required",
        "SEGLIB_CACHE": "/fetched",
    }
    retried = task._task_spec.retry_policy
    assert (retried.max_retry_count, retried.backoff_duration) == (4, "60s")


# Argo counts from the start of the first attempt: with 60 s, the second one was killed
# after 12 s on a real cluster (recorded/retry-max-60s).
@pytest.mark.parametrize("timeout", ["1h", "24h", "30d", ""])
@pytest.mark.parametrize("retries", [1, 5])
def test_the_deadline_of_all_attempts_holds_each_attempt_and_pause(
    timeout: str, retries: int
) -> None:
    needs = StepResources(retries=retries, timeout=timeout, retry_delay="1m")
    task = _task(_ours(ClusterConfig(steps={"train": needs})))
    given = task._task_spec.retry_policy.to_proto().backoff_max_duration.seconds
    hours = {"1h": 1, "24h": 24, "30d": 720, "": 24 * 30}[timeout]
    pauses_s = {1: 60, 5: 60 + 120 + 240 + 480 + 960}[retries]
    assert given >= (retries + 1) * hours * 3600 + pauses_s
    assert given < 2**31  # what Kubernetes takes as a pod's activeDeadlineSeconds


def test_no_number_of_retries_makes_a_deadline_that_kubernetes_refuses() -> None:
    assert StepResources(retries=2**31 - 1, timeout="300d").deadline_s == 2**31 - 1


@pytest.mark.parametrize(
    ("gpus", "own", "level"),
    [(0, {}, "3"), (1, {}, None), (0, LOUD, "0"), (1, LOUD, "0")],
)
def test_a_pod_without_a_gpu_logs_no_error_of_finding_none(
    gpus: int, own: dict[str, str], level: str | None
) -> None:
    steps = {"train": StepResources(gpus=gpus)}
    task = _task(_ours(ClusterConfig(steps=steps, environment=own)))
    assert task.container_spec.env.get("TF_CPP_MIN_LOG_LEVEL") == level


def test_what_is_not_wanted_is_not_mentioned() -> None:
    bare = StepResources(
        cpu_request="",
        cpu_limit="",
        memory_limit="",
        ephemeral_storage="",
        retries=0,
        timeout="",
    )
    cluster = ClusterConfig(
        config_maps=(), secrets=(), cache=Cache(claim=""), steps={"train": bare}
    )
    settings = _settings(_ours(cluster))
    assert settings.keys() == {
        *("fieldPathAsEnv", "emptyDirMounts", "imagePullPolicy", "securityContext")
    }
    assert settings["emptyDirMounts"] == [{"volumeName": "tmp", "mountPath": "/tmp"}]
    assert _task(_ours(cluster)).container_spec.resources is None


def test_a_step_with_gpus_tolerates_their_taint_once() -> None:
    taint = Toleration(key="nvidia.com/gpu", operator="Exists", effect="NoSchedule")
    for changes, count in (
        ({"gpus": 0}, 0),
        ({"gpus": 1}, 1),
        ({"gpus": 1, "tolerations": (taint,)}, 1),
        ({"gpus": 1, "gpu_taint": False}, 0),
    ):
        settings = _settings(_ours(ClusterConfig().with_step("train", **changes)))
        assert len(settings.get("tolerations", [])) == count


@pytest.mark.parametrize("place", [{}, {"B": "/here"}])
def test_a_variable_in_clear_text_has_no_second_origin(place: dict[str, str]) -> None:
    settings = _settings(_ours(RICH, place))
    variables = [key["envVar"] for key in settings["configMapAsEnv"][0]["keyToEnv"]]
    assert variables == (["A"] if place else ["A", "B"])


def _ours(cluster: ClusterConfig, environment: dict[str, str] | None = None) -> Any:
    def settle(task: dsl.PipelineTask) -> None:
        in_image(task, IMAGE)
        on_kubernetes(task, "train", cluster, environment=environment)

    return settle


def _settings(settle: Any) -> dict[str, Any]:
    settings: dict[str, Any] = _task(settle).platform_config["kubernetes"]
    return settings


def _task(settle: Any) -> Any:
    tasks = []

    @dsl.pipeline
    def pipeline() -> None:
        tasks.append(nothing())
        settle(tasks[0])

    return tasks[0]
