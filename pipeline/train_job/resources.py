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
from pipeline.kfp.order import run_name
from pipeline.train_job.plan import LABEL, NODE, STEP, Training, require_job_name
from pipeline.train_job.pod import Spec, labels_of, pod_template, stated
from seglib.errors import FINAL, SegError
from seglib.storage.atomic_write import write_bytes

_TRAINER = "trainer.kubeflow.org"
# By it Kubeflow Trainer knows which job is the training (kubeflow/trainer,
# manifests/base/runtimes).
_ANCESTOR = {f"{_TRAINER}/trainjob-ancestor-step": "trainer"}

# Texts that PyYAML writes without quotes, and that kubectl takes for something else.
_MISREAD = re.compile(r"[-+]?[\d.]+e[-+]?\d+|0o[0-7]+|[yn]", re.IGNORECASE)


def default_name(training: Training, *, commit: str) -> str:
    """A name as a run's: commit, data, and a digest of everything else."""
    content = _to_yaml(documents(training, "x"))
    digest = hashlib.sha256(content.encode()).hexdigest()[:8]
    return f"{STEP}-{run_name(commit, training.parameters['data_md5'], digest)}"


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


def documents(training: Training, name: str) -> list[Spec]:
    """NetworkPolicy, TrainingRuntime and TrainJob: they must be made in this order.

    Args:
        name: of the job, and of all of them.
    """
    labels = labels_of(name)
    metadata = {
        "name": name,
        "namespace": training.cluster.namespace,
        "labels": labels,
    }
    own = {"podSelector": {"matchLabels": {LABEL: name}}}
    # TensorFlow's server takes orders from whoever reaches it. All ports: NCCL takes
    # any that are free.
    policy = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": metadata,
        "spec": {**own, "policyTypes": ["Ingress"], "ingress": [{"from": [own]}]},
    }
    head = {"apiVersion": f"{_TRAINER}/v1alpha1"}
    # There is none of the policies that set up a framework for TensorFlow.
    size = {"numNodes": training.nodes}
    job_set = {"metadata": {"labels": labels}, "spec": _job_set(training, name)}
    runtime = {
        **head,
        "kind": "TrainingRuntime",
        "metadata": metadata,
        "spec": {"mlPolicy": size, "template": job_set},
    }
    reference = {"apiGroup": _TRAINER, "kind": "TrainingRuntime", "name": name}
    job = {
        **head,
        "kind": "TrainJob",
        "metadata": metadata,
        "spec": {"runtimeRef": reference, "trainer": size},
    }
    return [policy, runtime, job]


def _job_set(training: Training, name: str) -> Spec:
    # What comes every time is not repeated: a pod that ends with this status fails its
    # Job for a reason of its own, and by that reason JobSet ends instead of starting
    # again.
    is_final = {"containerName": NODE, "operator": "In", "values": [FINAL]}
    fail_job = {"action": "FailJob", "onExitCodes": is_final}
    fail_set = {
        "name": "final",
        "action": "FailJobSet",
        "onJobFailureReasons": ["PodFailurePolicy"],
    }
    timeout = training.needs.timeout
    job = {
        "completionMode": "Indexed",
        "backoffLimit": 0,  # a pod alone cannot go on: the whole set starts again
        "podFailurePolicy": {"rules": [fail_job]},
        "template": pod_template(training, name),
        "activeDeadlineSeconds": duration_s(timeout) if timeout else "",
    }
    labels = {**_ANCESTOR, **labels_of(name)}
    template = {"metadata": {"labels": labels}, "spec": stated(job)}
    return {
        # The old pods are gone before new ones write to the same checkpoints.
        "failurePolicy": {
            "maxRestarts": training.needs.retries,
            "restartStrategy": "BlockingRecreate",
            "rules": [fail_set],
        },
        # They find each other before any of them is ready.
        "network": {"enableDNSHostnames": True, "publishNotReadyAddresses": True},
        "replicatedJobs": [{"name": NODE, "replicas": 1, "template": template}],
    }


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
