"""One training in several pods, as Kubernetes' resources.

They are Kubeflow Trainer's (v2): a TrainJob and a TrainingRuntime of its own, of which
it makes a JobSet.
"""

import hashlib
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar

import yaml

from pipeline.dag.quantities import duration_s
from pipeline.kfp.identity import RunName
from pipeline.train_job.plan import (
    NODE,
    STEP,
    Training,
    host_names,
    require_job_name,
)
from pipeline.train_job.pod import LABEL, Spec, labels_of, pod_template
from seglib.environment import (
    ATTEMPT,
    HOST_INDEX,
    HOSTS,
    PORTS_FROM,
    PROCESSES,
    RETRIES,
    TRAIN_JOB,
)
from seglib.errors import FINAL, SegError
from seglib.runtime.pod_processes import PORT
from seglib.storage.atomic_write import write_bytes

_TRAINER = "trainer.kubeflow.org"
_TRAINER_API = f"{_TRAINER}/v1alpha1"
# By it Kubeflow Trainer knows which job is the training (kubeflow/trainer,
# manifests/base/runtimes).
_ANCESTOR = {f"{_TRAINER}/trainjob-ancestor-step": "trainer"}
_INDEX = "metadata.annotations['batch.kubernetes.io/job-completion-index']"
_RESTART = "metadata.annotations['jobset.sigs.k8s.io/restart-attempt']"

# Texts that PyYAML writes without quotes, and that kubectl takes for something else.
_MISREAD = re.compile(r"[-+]?[\d.]+e[-+]?\d+|0o[0-7]+|[yn]", re.IGNORECASE)

# What comes every time is not repeated: a pod that ends with this status fails its Job
# for a reason of its own, and by that reason JobSet ends instead of starting again.
_FAIL_FOR_GOOD: Spec = {
    "action": "FailJob",
    "onExitCodes": {"containerName": NODE, "operator": "In", "values": [FINAL]},
}
_END_FOR_GOOD: Spec = {
    "name": "final",
    "action": "FailJobSet",
    "onJobFailureReasons": ["PodFailurePolicy"],
}


def default_name(training: Training, *, commit: str) -> str:
    """A name as a run's: commit, data, and a digest of everything else."""
    content = _to_yaml(documents(training, "x"))
    digest = hashlib.sha256(content.encode()).hexdigest()[:8]
    data_md5 = training.parameters["data_md5"]
    return f"{STEP}-{RunName(commit=commit, data_md5=data_md5, key=digest)}"


def documents(training: Training, name: str) -> list[Spec]:
    """The resources, in the order in which they must be made.

    Args:
        name: of the job, and of all of them.
    """
    return [_policy(training, name), *_trainer_documents(training, name)]


def write_training(training: Training, output: Path, *, name: str) -> None:
    """Write the resources as one YAML file; what is there stays if that fails.

    Raises:
        UsageError: a job cannot be called so.
        SegError: the file cannot be written, or its name is not that of a YAML file.
    """
    require_job_name(name, training.nodes)
    if output.suffix not in (".yaml", ".yml"):
        raise SegError(f"{output}: expected a name that ends in .yaml.")
    write_bytes(output, _to_yaml(documents(training, name)).encode())


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
        "spec": {
            "mlPolicy": policy,
            "template": {
                "metadata": {"labels": labels_of(name)},  # the JobSet's
                "spec": _job_set(training, name),
            },
        },
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
        "podFailurePolicy": {"rules": [_FAIL_FOR_GOOD]},
        "template": pod_template(training, name, members=_members(training, name)),
    }
    job["template"]["spec"]["restartPolicy"] = "Never"
    if training.needs.timeout:
        job["activeDeadlineSeconds"] = duration_s(training.needs.timeout)
    return {
        # The old pods are gone before new ones write to the same checkpoints.
        "failurePolicy": {
            "maxRestarts": training.needs.retries,
            "restartStrategy": "BlockingRecreate",
            "rules": [_END_FOR_GOOD],
        },
        # They find each other before any of them is ready.
        "network": {"enableDNSHostnames": True, "publishNotReadyAddresses": True},
        "replicatedJobs": [
            {
                "name": NODE,
                "replicas": 1,
                "template": {
                    "metadata": {"labels": {**_ANCESTOR, **labels_of(name)}},
                    "spec": job,
                },
            }
        ],
    }


def _members(training: Training, name: str) -> list[Spec]:
    return [
        {"name": HOSTS, "value": ",".join(host_names(name, training.nodes))},
        {"name": HOST_INDEX, "valueFrom": {"fieldRef": {"fieldPath": _INDEX}}},
        {"name": PROCESSES, "value": str(training.processes)},
        {"name": PORTS_FROM, "value": str(PORT)},
        {"name": ATTEMPT, "valueFrom": {"fieldRef": {"fieldPath": _RESTART}}},
        {"name": RETRIES, "value": str(training.needs.retries)},
        {"name": TRAIN_JOB, "value": f"{training.cluster.namespace}/{name}"},
    ]


def _metadata(training: Training, name: str) -> Spec:
    namespace = training.cluster.namespace
    return {"name": name, "namespace": namespace, "labels": labels_of(name)}


def _to_yaml(resources: Iterable[Spec]) -> str:
    """The documents of a file; equal resources give equal text."""
    return yaml.dump_all(resources, Dumper=_ForGo, sort_keys=False, width=88)


class _ForGo(yaml.SafeDumper):
    """Quotes what kubectl would misread, and writes out what is there twice."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def _text(self, text: str) -> yaml.ScalarNode:
        style = "'" if _MISREAD.fullmatch(text) else None
        return self.represent_scalar("tag:yaml.org,2002:str", text, style=style)

    yaml_representers: ClassVar[dict[Any, Any]] = {
        **yaml.SafeDumper.yaml_representers,
        str: _text,
    }
