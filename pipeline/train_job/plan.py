"""A training in several pods: what is asked for, and whether it is possible."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.dag.cluster_config import ClusterConfig, StepResources
from seglib.environment import CHECKPOINTS
from seglib.errors import UsageError

STEP = "train"  # whose needs a pod has
LABEL = "seglib-train-job"  # of all that a job makes: its name
NODE = "node"  # what Kubeflow Trainer calls a training's job, and its container
_LABEL = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
_S3 = re.compile(r"s3://[^/\s]+(/\S*)?")


@dataclass(frozen=True, kw_only=True)
class Training:
    """What is trained, where, and in how many pods."""

    image: str
    parameters: Mapping[str, Any]  # of the pipeline, as a run of it would get them
    cluster: ClusterConfig
    nodes: int  # pods
    checkpoints: str = ""  # s3://bucket/prefix; "": what the cluster says
    cache: bool = False  # mount the claim of fetched data

    def __post_init__(self) -> None:
        if self.cache and not self.cluster.cache.claim:
            raise UsageError(
                "--cache mounts the claim of fetched data, and the cluster's file has "
                "none. Name it there as `cache.claim`, or leave --cache out."
            )
        self._require_even_batches()
        self._require_place()

    @property
    def needs(self) -> StepResources:
        return self.cluster.steps[STEP]

    @property
    def processes(self) -> int:
        """Of each pod: one a GPU."""
        return max(1, self.needs.gpus)

    @property
    def place(self) -> str:
        """Where checkpoints go; empty where a key of the cluster's says it."""
        return self.checkpoints or self.cluster.environment.get(CHECKPOINTS, "")

    @property
    def place_key(self) -> str:
        """What in the cluster says where checkpoints go; empty: nothing."""
        for kind, sources in (
            ("ConfigMap", self.cluster.config_maps),
            ("Secret", self.cluster.secrets),
        ):
            for source in sources:
                if key := source.environment.get(CHECKPOINTS):
                    return f"{key} of the {kind} {source.name}"
        return ""

    def _require_even_batches(self) -> None:
        size, parts = self.parameters["batch_size"], self.nodes * self.processes
        if size % parts:
            near = sorted({size // parts * parts or parts, (size // parts + 1) * parts})
            raise UsageError(
                "`batch_size` must be a multiple of the number of processes, "
                f"{self.nodes} pods × {self.processes} = {parts}. Received: "
                f"batch_size={size}. Try --set batch_size="
                f"{' or '.join(map(str, near))}, or another --nodes."
            )

    def _require_place(self) -> None:
        """The pipeline takes the outcome over from there, and pods share no folder."""
        if self.place and not _S3.fullmatch(self.place):
            raise UsageError(
                f"`{CHECKPOINTS}` must be s3://bucket/prefix, which all pods and the "
                f"pipeline reach. Received: {self.place!r}. Take --checkpoints."
            )
        if not self.place and not self.place_key:
            raise UsageError(
                "A training in several pods leaves its outcome where its checkpoints "
                f"are, and nothing says where: expected {CHECKPOINTS} among the keys "
                "of a ConfigMap of the cluster's file, or --checkpoints s3://…"
            )


def host_names(name: str, nodes: int) -> list[str]:
    """Of the pods, as a JobSet names them, in the order of their index.

    <jobset>-<replicated job>-<job's index>-<pod's index>.<subdomain>, and the subdomain
    is the JobSet's name unless another is given (kubernetes-sigs/jobset,
    api/jobset/v1alpha2/jobset_types.go: Network); a TrainJob's JobSet is called as the
    TrainJob (kubeflow/trainer, pkg/runtime/framework/plugins/jobset/jobset.go: Build).
    """
    return [f"{name}-{NODE}-0-{index}.{name}" for index in range(nodes)]


def require_job_name(name: str, nodes: int) -> None:
    """Raise a UsageError if a job cannot be called so.

    A pod adds to it what `host_names` does, and five random characters; JobSet refuses
    names of pods over 63 (kubernetes-sigs/jobset, pkg/webhooks/jobset_webhook.go).
    """
    longest = 63 - len(f"-{NODE}-0-{nodes - 1}-abcde")
    if not _LABEL.fullmatch(name) or len(name) > longest:
        raise UsageError(
            "`name` must be small letters, digits and -, a letter first, no - last, at "
            f"most {longest} characters with {nodes} pods. Received: {name!r}."
        )
