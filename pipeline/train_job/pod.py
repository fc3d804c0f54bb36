"""The pod of a training in several pods, as Kubernetes takes it.

What it needs is what the step `train` needs (pipeline/dag/cluster_config.py). The pod
is ours and not KFP's, so that what KFP cannot express is here: a read-only root, an
owner of volumes, pods on different nodes.
"""

import json
from collections.abc import Iterable
from typing import Any

from pipeline.dag.cluster_config import ClusterConfig, Source, StepResources, Toleration
from pipeline.train_job.plan import NODE, Training
from seglib.environment import CACHE, CHECKPOINTS, IMAGE, RUN_ID
from seglib.runtime.pod_processes import PORT

LABEL = "seglib-train-job"  # of the pods: the job's name
# The first process takes its step, and its checkpoint goes to S3.
_GRACE_S = 120

Spec = dict[str, Any]


def pod_template(training: Training, name: str, *, members: Iterable[Spec]) -> Spec:
    """Build a PodTemplateSpec.

    Args:
        training: what the pod is for.
        name: of the job.
        members: variables by which the processes find each other; they come before
            those of the cluster's file.
    """
    needs, cluster = training.needs, training.cluster
    spec: Spec = {
        "terminationGracePeriodSeconds": _GRACE_S,
        "serviceAccountName": cluster.service_account,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": _pod_security(cluster),
        "topologySpreadConstraints": [_on_different_nodes(name)],
        "containers": [_container(training, name, members)],
        "volumes": _volumes(needs, cluster, cache=training.cache),
    }
    if needs.node_selector:
        spec["nodeSelector"] = dict(needs.node_selector)
    if tolerations := needs.all_tolerations:
        spec["tolerations"] = [_toleration(one) for one in tolerations]
    if cluster.image_pull_secrets:
        spec["imagePullSecrets"] = [{"name": s} for s in cluster.image_pull_secrets]
    # A mesh's proxy would outlive the training, and its pod never end.
    labels = {**labels_of(name), "sidecar.istio.io/inject": "false"}
    metadata: Spec = {"labels": labels}
    if needs.annotations:
        metadata["annotations"] = dict(needs.annotations)
    return {"metadata": metadata, "spec": spec}


def labels_of(name: str) -> dict[str, str]:
    """The labels by which everything of a job is found."""
    return {"app.kubernetes.io/name": "seglib-training", LABEL: name}


def _container(training: Training, name: str, members: Iterable[Spec]) -> Spec:
    cluster, place = training.cluster, training.checkpoints
    return {
        "name": NODE,
        "image": training.image,
        "imagePullPolicy": cluster.image_pull_policy,
        "command": ["python", "-m", "seglib.tasks.train_together"],
        "args": [_literal(json.dumps(dict(training.parameters)))],
        "env": [
            {"name": RUN_ID, "value": name},  # its row in MLflow
            *_plain(training),
            *members,
            *_references(cluster, without=CHECKPOINTS if place else ""),
        ],
        "ports": [
            {"name": f"process-{number}", "containerPort": PORT + number}
            for number in range(training.processes)
        ],
        "resources": _resources(training.needs),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": _mounts(training.needs, cluster),
    }


def _pod_security(cluster: ClusterConfig) -> Spec:
    security = cluster.security
    return {
        "runAsNonRoot": security.run_as_non_root,
        "runAsUser": security.run_as_user,
        "runAsGroup": security.run_as_group,
        "fsGroup": security.run_as_group,
        "fsGroupChangePolicy": "OnRootMismatch",
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def _on_different_nodes(name: str) -> Spec:
    return {
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": {LABEL: name}},
    }


def _literal(text: str) -> str:
    """A text as an argument: Kubernetes would expand $(NAME), and reads $$ as $."""
    return text.replace("$", "$$")


def _plain(training: Training) -> list[Spec]:
    plain = {
        IMAGE: training.image,
        CACHE: training.cluster.cache.mount_path,
        **training.needs.environment,
        **training.cluster.environment,
    }
    if training.checkpoints:
        plain[CHECKPOINTS] = training.checkpoints
    return [{"name": name, "value": _literal(value)} for name, value in plain.items()]


def _references(cluster: ClusterConfig, *, without: str) -> list[Spec]:
    found = []
    for kind, sources in (
        ("configMapKeyRef", cluster.config_maps),
        ("secretKeyRef", cluster.secrets),
    ):
        for source in sources:
            for variable, key in source.environment.items():
                if variable != without:
                    reference = _reference(source, key, variable)
                    found.append({"name": variable, "valueFrom": {kind: reference}})
    return found


def _reference(source: Source, key: str, variable: str) -> Spec:
    reference: Spec = {"name": source.name, "key": key}
    # Without that one, all of the training would be lost: no pod starts.
    if source.optional and variable != CHECKPOINTS:
        reference["optional"] = True
    return reference


def _resources(needs: StepResources) -> Spec:
    requests = {"cpu": needs.cpu_request, "memory": needs.memory_request}
    limits = {"cpu": needs.cpu_limit, "memory": needs.memory_limit}
    if needs.gpus:
        limits[needs.gpu_type] = str(needs.gpus)
    both = {"requests": requests, "limits": limits}
    stated = {
        part: {name: amount for name, amount in amounts.items() if amount}
        for part, amounts in both.items()
    }
    return {part: amounts for part, amounts in stated.items() if amounts}


def _mounts(needs: StepResources, cluster: ClusterConfig) -> list[Spec]:
    mounts = [
        {"name": "tmp", "mountPath": "/tmp"},
        {"name": "cache", "mountPath": cluster.cache.mount_path},
    ]
    if needs.shm:
        mounts.append({"name": "shm", "mountPath": "/dev/shm"})
    return mounts


def _volumes(
    needs: StepResources, cluster: ClusterConfig, *, cache: bool
) -> list[Spec]:
    folder = {"sizeLimit": needs.ephemeral_storage} if needs.ephemeral_storage else {}
    claim = {"persistentVolumeClaim": {"claimName": cluster.cache.claim}}
    volumes: list[Spec] = [
        {"name": "tmp", "emptyDir": dict(folder)},
        {"name": "cache", **(claim if cache else {"emptyDir": dict(folder)})},
    ]
    if needs.shm:
        memory = {"medium": "Memory", "sizeLimit": needs.shm}
        volumes.append({"name": "shm", "emptyDir": memory})
    return volumes


def _toleration(toleration: Toleration) -> Spec:
    return {name: value for name, value in vars(toleration).items() if value}
