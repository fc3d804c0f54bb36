"""Image, resources, volumes and variables of a step's pod in the compiled document.

The dictionaries are what kfp.kubernetes' helpers would write (tests compare them); that
package takes two seconds to import, which is more than all of the compilation.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from kfp import dsl
from kfp.dsl.structures import ResourceSpec

from pipeline.dag.cluster_config import ClusterConfig, Source, StepResources
from pipeline.dag.quantities import duration_s, kfp_size
from seglib.environment import CACHE, IMAGE, RUN_ID

# Where KFP has outputs until they are stored. It makes these volumes itself, without a
# limit; a volume of the same name is merged into its own (Argo's podSpecPatch).
_OUTPUTS = tuple(
    {"volumeName": f"{store}-scratch", "mountPath": f"/{store}"}
    for store in ("minio", "s3", "gcs")
)

Settings = dict[str, Any]  # a task's KubernetesExecutorConfig


def in_image(task: dsl.PipelineTask, image: str) -> None:
    """Set a task's image, and the variables that name its image and its run.

    Args:
        image: best pinned by digest: KFP's cache knows an image by its name alone.
    """
    # KFP's own setters each inspect the whole stack, most of a compilation's time.
    container = task.container_spec
    container.image = image
    container.env = {**(container.env or {}), IMAGE: image}  # a tag of the run's row
    # What belongs to one run must not be a parameter, or nothing is ever reused.
    run = {"name": RUN_ID, "fieldPath": "metadata.labels['pipeline/runid']"}
    _settings(task).setdefault("fieldPathAsEnv", []).append(run)


def on_kubernetes(
    task: dsl.PipelineTask,
    step: str,
    cluster: ClusterConfig,
    *,
    environment: Mapping[str, str] | None = None,
) -> None:
    """Set what a task's pod needs on Kubernetes; the local runner ignores it.

    KFP's cache key includes the name of the cache's claim and, from KFP 2.18 on, the
    literal variables, but not those from a ConfigMap or a Secret.

    Args:
        step: a name of pipeline.dag.cluster_config.STEPS.
        environment: variables of this step, before those of the configuration.
    """
    needs, claim = cluster.steps[step], cluster.cache.claim
    task.container_spec.resources = _resources(needs)
    if needs.retries:
        task.set_retry(
            needs.retries,
            backoff_duration=f"{duration_s(needs.retry_delay)}s",
            backoff_factor=2.0,
            backoff_max_duration=f"{needs.deadline_s}s",
        )
    plain = {**needs.environment, **cluster.environment, **(environment or {})}
    plain |= {CACHE: cluster.cache.mount_path} if claim else {}
    task.container_spec.env |= plain
    mount = {
        "mountPath": cluster.cache.mount_path,
        "constant": claim,
        "pvcNameParameter": _constant(claim),
    }
    labels, annotations = dict(needs.node_selector), dict(needs.annotations)
    settings: Settings = {
        "emptyDirMounts": _volumes(needs),
        "pvcMount": [mount] if claim else [],
        "configMapAsEnv": _references(cluster.config_maps, "configMap", without=plain),
        "secretAsEnv": _references(cluster.secrets, "secret", without=plain),
        "nodeSelector": {"labels": labels} if labels else {},
        "tolerations": [
            {name: value for name, value in vars(toleration).items() if value}
            for toleration in needs.all_tolerations
        ],
        "podMetadata": {"annotations": annotations} if annotations else {},
        "activeDeadlineSeconds": needs.timeout and str(duration_s(needs.timeout)),
        "imagePullPolicy": cluster.image_pull_policy,
        "imagePullSecret": [
            _named("secretName", secret) for secret in cluster.image_pull_secrets
        ],
        "securityContext": {
            "runAsUser": str(cluster.security.run_as_user),
            "runAsGroup": str(cluster.security.run_as_group),
            "runAsNonRoot": cluster.security.run_as_non_root,
        },
    }
    _settings(task).update({name: value for name, value in settings.items() if value})


def _settings(task: dsl.PipelineTask) -> Settings:
    settings: Settings = task.platform_config.setdefault("kubernetes", {})
    return settings


def _resources(needs: StepResources) -> ResourceSpec | None:
    spec = ResourceSpec(
        cpu_request=needs.cpu_request or None,
        cpu_limit=needs.cpu_limit or None,
        memory_request=kfp_size(needs.memory_request) if needs.memory_request else None,
        memory_limit=kfp_size(needs.memory_limit) if needs.memory_limit else None,
        accelerator_type=needs.gpu_type if needs.gpus else None,
        accelerator_count=str(needs.gpus) if needs.gpus else None,
    )
    return spec if any(vars(spec).values()) else None


def _volumes(needs: StepResources) -> list[dict[str, str]]:
    # With a volume there, the root file system may be read-only.
    mounts = [{"volumeName": "tmp", "mountPath": "/tmp"}]
    if needs.ephemeral_storage:
        mounts[0]["sizeLimit"] = needs.ephemeral_storage
    if needs.output_storage:
        mounts += [{**volume, "sizeLimit": needs.output_storage} for volume in _OUTPUTS]
    if needs.shm:
        shm = {"volumeName": "shm", "mountPath": "/dev/shm", "medium": "Memory"}
        mounts.append({**shm, "sizeLimit": needs.shm})
    return mounts


def _references(
    sources: Iterable[Source], kind: str, *, without: Mapping[str, str]
) -> list[Settings]:
    found = []
    for source in sources:
        keys = [
            {f"{kind}Key": key, "envVar": variable}
            for variable, key in source.environment.items()
            if variable not in without
        ]
        if keys:
            named = _named(f"{kind}Name", source.name)
            found.append({**named, "keyToEnv": keys, "optional": source.optional})
    return found


def _named(field: str, name: str) -> Settings:
    """A name in the fields of current and of older KFP servers."""
    return {field: name, f"{field}Parameter": _constant(name)}


def _constant(value: str) -> Settings:
    return {"runtimeValue": {"constant": value}}
