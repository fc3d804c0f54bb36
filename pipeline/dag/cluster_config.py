"""The pipeline's settings for a Kubernetes cluster: `configs/cluster.yaml`.

None of them changes a result, so none is a parameter of the pipeline. The defaults are
here; a file states what differs, and configs/cluster.yaml shows all.
"""

from collections.abc import Mapping
from dataclasses import field, fields, replace
from pathlib import Path
from typing import Any, Literal, Self

from pipeline.dag.credentials import find_credential, names_credential
from pipeline.dag.task_settings import (
    Cache,
    Security,
    Source,
    StepResources,
    Toleration,
    require_name,
    require_variable,
)
from seglib import environment as env
from seglib.errors import UsageError, unknown
from seglib.settings import at, build, read_tree, section

__all__ = [
    "FILE",
    "STEPS",
    "Cache",
    "ClusterConfig",
    "Security",
    "Source",
    "StepResources",
    "Toleration",
]

FILE = Path("configs/cluster.yaml")  # is read where it is there
STEPS = (
    *("verify", "augment", "train", "select"),  # to select is a sweep's
    *("evaluate", "gate", "export", "finalize"),
)
# What a step needs beyond the defaults of all.
_OWN: Mapping[str, dict[str, Any]] = {
    "augment": {"cpu_request": "2", "cpu_limit": "4"},
    "train": {
        "cpu_request": "2",
        "cpu_limit": "8",
        "memory_limit": "8Gi",
        "shm": "2Gi",
        "ephemeral_storage": "20Gi",
        "retries": 5,  # it goes on where it was, if checkpoints are kept
        "timeout": "24h",
    },
    "evaluate": {"cpu_request": "2", "cpu_limit": "4"},
    "gate": {"cpu_request": "2", "cpu_limit": "4"},
    "finalize": {"cpu_request": "250m", "cpu_limit": "1", "memory_limit": "2Gi"},
    "select": {"cpu_request": "250m", "cpu_limit": "1", "memory_limit": "2Gi"},
}
_CONFIG_MAPS = (
    Source(name="seglib", keys=(env.TRACKING_URI,)),
    Source(
        name="seglib",
        keys=(
            "AWS_ENDPOINT_URL",
            "AWS_DEFAULT_REGION",
            env.CHECKPOINTS,
            env.KFP_API,
            env.KFP_UI,
        ),
        optional=True,
    ),
)
_SECRETS = (
    Source(name="seglib-s3", keys=("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")),
    Source(
        name="seglib-mlflow",
        keys=(env.TRACKING_USERNAME, env.TRACKING_PASSWORD),
        optional=True,
    ),
)
_RESERVED = {  # the pipeline sets them
    *(
        env.RUN_ID,
        env.CACHE,
        env.IMAGE,
        env.TF_CONFIG,
        env.HOSTS,
        env.HOST_INDEX,
        env.PROCESSES,
        env.PORTS_FROM,
    ),
    *(env.ATTEMPT, env.RETRIES, env.TRAIN_JOB),
}


@section
class ClusterConfig:
    """All settings; the defaults are those that configs/cluster.yaml shows."""

    namespace: str = "kubeflow"  # of the runs
    service_account: str = "pipeline-runner"  # of the pods
    # The default is enough for an image that is named by its digest.
    image_pull_policy: Literal["IfNotPresent", "Always", "Never"] = "IfNotPresent"
    image_pull_secrets: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)  # of every step
    config_maps: tuple[Source, ...] = _CONFIG_MAPS
    secrets: tuple[Source, ...] = _SECRETS
    cache: Cache = field(default_factory=Cache)
    security: Security = field(default_factory=Security)
    steps: Mapping[str, StepResources] = field(
        default_factory=lambda: {
            name: StepResources(**_OWN.get(name, {})) for name in STEPS
        }
    )

    def __post_init__(self) -> None:
        require_name("namespace", self.namespace)
        require_name("service_account", self.service_account)
        for secret in self.image_pull_secrets:
            require_name("image_pull_secrets", secret)
        for variable, value in self.environment.items():
            require_variable("environment", variable)
            # Everyone who may see the compiled file would have it.
            if names_credential(variable) or find_credential(value):
                raise UsageError(
                    f"`environment.{variable}` looks like a credential. Put it into a "
                    "Secret, and name Secret and key under `secrets`."
                )
        seen = set(_RESERVED)
        sources = [one.environment for one in (*self.config_maps, *self.secrets)]
        for variables in (self.environment, *sources):
            if twice := sorted(seen & variables.keys()):
                raise UsageError(
                    f"`{twice[0]}` has two origins. Expected one of `environment`, "
                    "`config_maps`, `secrets` and what the pipeline sets itself "
                    f"({', '.join(sorted(_RESERVED))})."
                )
            seen |= variables.keys()

    @classmethod
    def load(cls, path: Path | None = None) -> Self:
        """Read a YAML file; an error names file and key.

        Args:
            path: `None`: configs/cluster.yaml where it is there, else the defaults.
        """
        if path is None:
            path = FILE
            if not path.is_file():
                return cls()
        tree = read_tree(path)
        with at(str(path)):
            return cls._from_tree(tree)

    def with_step(self, name: str, **changes: Any) -> Self:
        """A copy with some settings of one step changed."""
        with at(f"step {name}"):
            changed = replace(self.steps[name], **changes)
        return replace(self, steps={**self.steps, name: changed})

    @classmethod
    def _from_tree(cls, tree: Any) -> Self:
        if not isinstance(tree, dict):
            raise UsageError(
                "expected keys such as `steps:`. Received: a list or text."
            )
        names = {*(f.name for f in fields(cls)), "defaults"}
        for key in tree:
            if key not in names:
                raise unknown("key", str(key), names)
        defaults, own = tree.pop("defaults", None) or {}, tree.pop("steps", None) or {}
        build(StepResources, "defaults", defaults)
        if not isinstance(own, dict):
            raise UsageError(f"`steps` must be a section. Received: {own!r}.")
        for name, stated in own.items():
            if name not in STEPS:
                raise unknown("step", str(name), STEPS)
            if not isinstance(stated or {}, dict):
                message = f"`steps.{name}` must be a section. Received: {stated!r}."
                raise UsageError(message)
        # A step takes its own word in the file, then ours, then that of `defaults`.
        steps = {
            name: {**defaults, **_OWN.get(name, {}), **(own.get(name) or {})}
            for name in STEPS
        }
        return build(cls, "", {**tree, "steps": steps})
