"""The pod of a training in several pods, as Kubernetes takes it.

What it needs is what the step `train` needs (pipeline/dag/cluster_config.py). The pod
is ours and not KFP's, so that what KFP cannot express is here: a read-only root, an
owner of volumes, pods on different nodes.
"""

import json
from collections.abc import Iterator
from typing import Any

from pipeline.dag.cluster_config import StepResources
from pipeline.train_job.plan import LABEL, NODE, Training, host_names
from seglib.environment import (
    ATTEMPT,
    CACHE,
    CHECKPOINTS,
    HOST_INDEX,
    HOSTS,
    IMAGE,
    PORTS_FROM,
    PROCESSES,
    RETRIES,
    RUN_ID,
    TRAIN_JOB,
)
from seglib.runtime.pod_processes import PORT

_INDEX = "metadata.annotations['batch.kubernetes.io/job-completion-index']"
_RESTART = "metadata.annotations['jobset.sigs.k8s.io/restart-attempt']"
# The first process takes its step, and its checkpoint goes to S3.
_GRACE_S = 120

Spec = dict[str, Any]


def pod_template(training: Training, name: str) -> Spec:
    """A PodTemplateSpec."""
    needs, cluster = training.needs, training.cluster
    security = cluster.security
    metadata = {
        # A mesh's proxy would outlive the training, and its pod never end.
        "labels": {**labels_of(name), "sidecar.istio.io/inject": "false"},
        "annotations": dict(needs.annotations),
    }
    spec = {
        "terminationGracePeriodSeconds": _GRACE_S,
        "serviceAccountName": cluster.service_account,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": {
            "runAsNonRoot": security.run_as_non_root,
            "runAsUser": security.run_as_user,
            "runAsGroup": security.run_as_group,
            "fsGroup": security.run_as_group,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "topologySpreadConstraints": [
            {
                "maxSkew": 1,
                "topologyKey": "kubernetes.io/hostname",
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": {"matchLabels": {LABEL: name}},
            }
        ],
        "containers": [_container(training, name)],
        "volumes": list(_volumes(training)),
        "nodeSelector": dict(needs.node_selector),
        "tolerations": [stated(vars(one)) for one in needs.all_tolerations],
        "imagePullSecrets": [{"name": one} for one in cluster.image_pull_secrets],
        "restartPolicy": "Never",
    }
    return {"metadata": stated(metadata), "spec": stated(spec)}


def labels_of(name: str) -> dict[str, str]:
    """The labels by which everything of a job is found."""
    return {"app.kubernetes.io/name": "seglib-training", LABEL: name}


def stated(fields: Spec) -> Spec:
    """The fields that have a value."""
    return {name: value for name, value in fields.items() if value not in ("", [], {})}


def _container(training: Training, name: str) -> Spec:
    needs, cluster = training.needs, training.cluster
    mounts = {"tmp": "/tmp", "cache": cluster.cache.mount_path}
    mounts |= {"shm": "/dev/shm"} if needs.shm else {}
    return {
        "name": NODE,
        "image": training.image,
        "imagePullPolicy": cluster.image_pull_policy,
        "command": ["python", "-m", "seglib.tasks.train_together"],
        "args": [_literal(json.dumps(dict(training.parameters)))],
        "env": list(_variables(training, name)),
        "ports": [
            {"name": f"process-{number}", "containerPort": PORT + number}
            for number in range(training.processes)
        ],
        "resources": _resources(needs),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [
            {"name": volume, "mountPath": path} for volume, path in mounts.items()
        ],
    }


def _variables(training: Training, name: str) -> Iterator[Spec]:
    """By which the processes find each other, and those of the cluster's file."""
    needs, cluster, place = training.needs, training.cluster, training.checkpoints
    plain = {
        IMAGE: training.image,
        CACHE: cluster.cache.mount_path,
        **needs.environment,
        **cluster.environment,
        **({CHECKPOINTS: place} if place else {}),
    }
    yield {"name": RUN_ID, "value": name}  # its row in MLflow
    for variable, value in plain.items():
        yield {"name": variable, "value": _literal(value)}
    members = {
        HOSTS: ",".join(host_names(name, training.nodes)),
        HOST_INDEX: {"fieldRef": {"fieldPath": _INDEX}},
        PROCESSES: str(training.processes),
        PORTS_FROM: str(PORT),
        ATTEMPT: {"fieldRef": {"fieldPath": _RESTART}},
        RETRIES: str(needs.retries),
        TRAIN_JOB: f"{cluster.namespace}/{name}",
    }
    for variable, member in members.items():
        kind = "value" if isinstance(member, str) else "valueFrom"
        yield {"name": variable, kind: member}
    for kind, sources in (
        ("configMapKeyRef", cluster.config_maps),
        ("secretKeyRef", cluster.secrets),
    ):
        for source in sources:
            for variable, key in source.environment.items():
                reference: Spec = {"name": source.name, "key": key}
                if variable == CHECKPOINTS:
                    # Without that one, all of the training would be lost: it is
                    # never optional, so that no pod starts.
                    if place:
                        continue
                elif source.optional:
                    reference["optional"] = True
                yield {"name": variable, "valueFrom": {kind: reference}}


def _resources(needs: StepResources) -> Spec:
    gpus = {needs.gpu_type: str(needs.gpus)} if needs.gpus else {}
    requests = {"cpu": needs.cpu_request, "memory": needs.memory_request}
    limits = {"cpu": needs.cpu_limit, "memory": needs.memory_limit, **gpus}
    return stated({"requests": stated(requests), "limits": stated(limits)})


def _volumes(training: Training) -> Iterator[Spec]:
    needs = training.needs
    folder = {"sizeLimit": needs.ephemeral_storage} if needs.ephemeral_storage else {}
    claim = {"claimName": training.cluster.cache.claim}
    yield {"name": "tmp", "emptyDir": folder}
    kind = {"persistentVolumeClaim": claim} if training.cache else {"emptyDir": folder}
    yield {"name": "cache", **kind}
    if needs.shm:
        yield {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": needs.shm}}


def _literal(text: str) -> str:
    """A text as an argument: Kubernetes would expand $(NAME), and reads $$ as $."""
    return text.replace("$", "$$")
