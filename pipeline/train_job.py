"""One training in several pods, as Kubernetes' resources: for `kubectl apply`.

`trainjob` is Kubeflow Trainer's (v2): a TrainJob and a TrainingRuntime of its own, of
which it makes a JobSet. `tfjob` is the older training operator's.
"""

import hashlib
from pathlib import Path
from typing import Any

from components.train_together import HOST_INDEX, HOSTS, PORT, PORTS_FROM, PROCESSES
from pipeline.cluster.identity import RunName
from pipeline.quantities import duration_s
from pipeline.resource_file import resources_text, write_resources
from pipeline.train_plan import NODE, Kind, Training, host_names, require_job_name
from pipeline.train_pod import (
    LABEL,
    STEP,
    Spec,
    labels_of,
    pod_template,
)

_TRAINER = "trainer.kubeflow.org"
_TRAINER_API = f"{_TRAINER}/v1alpha1"
# By it Kubeflow Trainer knows which job is the training (kubeflow/trainer,
# manifests/base/runtimes).
_ANCESTOR = {f"{_TRAINER}/trainjob-ancestor-step": "trainer"}
_INDEX = "metadata.annotations['batch.kubernetes.io/job-completion-index']"
# The training operator's (kubeflow/training-operator, tensorflow_types.go).
_TENSORFLOW, _TFJOB_PORT = "tensorflow", "tfjob-port"


def default_name(training: Training, *, commit: str) -> str:
    """As a run is called, by commit and data, and by a digest of all the rest."""
    content = resources_text(documents(training, "x"))
    digest = hashlib.sha256(content.encode()).hexdigest()[:8]
    data_md5 = training.parameters["data_md5"]
    return f"{STEP}-{RunName(commit=commit, data_md5=data_md5, key=digest)}"


def documents(training: Training, name: str) -> list[Spec]:
    """The resources, in the order in which they must be made.

    Args:
        name: of the job, and of all of them.
    """
    own = {Kind.trainjob: _trainer_documents, Kind.tfjob: _operator_documents}
    return [_policy(training, name), *own[training.kind](training, name)]


def write_training(training: Training, output: Path, *, name: str) -> None:
    """Write the resources as one YAML file; what is there stays if that fails.

    Raises:
        UsageError: a job cannot be called so.
        SegError: the file cannot be written.
    """
    require_job_name(name, training.nodes)
    write_resources(documents(training, name), output)


def _policy(training: Training, name: str) -> Spec:
    """TensorFlow's server takes orders from whoever reaches it.

    All ports: NCCL takes any that are free.
    """
    own = {"podSelector": {"matchLabels": {LABEL: name}}}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": _metadata(training, name),
        "spec": {**own, "policyTypes": ["Ingress"], "ingress": [{"from": [own]}]},
    }


def _trainer_documents(training: Training, name: str) -> list[Spec]:
    metadata = _metadata(training, name)
    # There is none of the policies that set up a framework for TensorFlow.
    policy = {"numNodes": training.nodes}
    runtime = {
        "apiVersion": _TRAINER_API,
        "kind": "TrainingRuntime",
        "metadata": metadata,
        "spec": {"mlPolicy": policy, "template": {"spec": _job_set(training, name)}},
    }
    reference = {"apiGroup": _TRAINER, "kind": "TrainingRuntime"}
    job = {
        "apiVersion": _TRAINER_API,
        "kind": "TrainJob",
        "metadata": metadata,
        "spec": {"runtimeRef": {**reference, "name": name}, "trainer": policy},
    }
    return [runtime, job]


def _job_set(training: Training, name: str) -> Spec:
    job: Spec = {
        "completionMode": "Indexed",
        "backoffLimit": 0,  # a pod alone cannot go on: the whole set starts again
        "template": _pods(
            training,
            name,
            container=NODE,
            environment=_members(training, name),
            ports={f"process-{i}": PORT + i for i in range(training.processes)},
        ),
    }
    job["template"]["spec"]["restartPolicy"] = "Never"
    if training.needs.timeout:
        job["activeDeadlineSeconds"] = duration_s(training.needs.timeout)
    return {
        # The old pods are gone before new ones write to the same checkpoints.
        "failurePolicy": {
            "maxRestarts": training.needs.retries,
            "restartStrategy": "BlockingRecreate",
        },
        # They find each other before any of them is ready.
        "network": {"enableDNSHostnames": True, "publishNotReadyAddresses": True},
        "replicatedJobs": [
            {
                "name": NODE,
                "replicas": 1,
                "template": {"metadata": {"labels": _ANCESTOR}, "spec": job},
            }
        ],
    }


def _members(training: Training, name: str) -> list[Spec]:
    return [
        {"name": HOSTS, "value": ",".join(host_names(name, training.nodes))},
        {"name": HOST_INDEX, "valueFrom": {"fieldRef": {"fieldPath": _INDEX}}},
        {"name": PROCESSES, "value": str(training.processes)},
        {"name": PORTS_FROM, "value": str(PORT)},
    ]


def _operator_documents(training: Training, name: str) -> list[Spec]:
    """A TFJob; its operator sets TF_CONFIG, by the container's name and port."""
    retries = training.needs.retries
    run: Spec = {"cleanPodPolicy": "None"}  # logs stay
    # Of all pods' restarts together, and this many are one too many.
    run["backoffLimit"] = retries * training.nodes + 1 if retries else 0
    if training.needs.timeout:
        run["activeDeadlineSeconds"] = duration_s(training.needs.timeout)
    worker = {
        "replicas": training.nodes,
        "restartPolicy": "OnFailure" if retries else "Never",
        "template": _pods(
            training, name, container=_TENSORFLOW, ports={_TFJOB_PORT: PORT}
        ),
    }
    return [
        {
            "apiVersion": "kubeflow.org/v1",
            "kind": "TFJob",
            "metadata": _metadata(training, name),
            "spec": {"runPolicy": run, "tfReplicaSpecs": {"Worker": worker}},
        }
    ]


def _pods(training: Training, name: str, **own: Any) -> Spec:
    return pod_template(
        name=name,
        image=training.image,
        parameters=training.parameters,
        cluster=training.cluster,
        checkpoints=training.checkpoints,
        cache=training.cache,
        **own,
    )


def _metadata(training: Training, name: str) -> Spec:
    namespace = training.cluster.namespace
    return {"name": name, "namespace": namespace, "labels": labels_of(name)}
