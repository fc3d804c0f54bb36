"""What the pipeline needs on a Kubernetes cluster: `configs/cluster.yaml`.

Nothing of it changes a result, so nothing of it is a parameter of the pipeline. The
defaults stand here; a file states what differs, and configs/cluster.yaml shows all.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Self

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
from seglib.errors import UsageError, unknown
from seglib.settings import at, checked, read_tree, typed

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
_QUANTITIES = (
    *("cpu_request", "cpu_limit", "memory_request", "memory_limit", "shm"),
    *("ephemeral_storage", "output_storage", "retry_delay", "timeout"),
)
_CONFIG_MAPS = (
    Source(name="seglib", keys=("MLFLOW_TRACKING_URI",)),
    Source(
        name="seglib",
        keys=(
            *("AWS_ENDPOINT_URL", "AWS_DEFAULT_REGION", "SEGLIB_CHECKPOINTS"),
            *("SEGLIB_KFP_API", "SEGLIB_KFP_UI"),
        ),
        optional=True,
    ),
)
_SECRETS = (
    Source(name="seglib-s3", keys=("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")),
    Source(
        name="seglib-mlflow",
        keys=("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"),
        optional=True,
    ),
)
_PULL_POLICIES = ("IfNotPresent", "Always", "Never")
_RESERVED = {  # the pipeline sets them
    *("KFP_RUN_ID", "SEGLIB_CACHE", "SEGLIB_IMAGE", "TF_CONFIG"),
    *("SEGLIB_HOSTS", "SEGLIB_HOST_INDEX", "SEGLIB_PROCESSES", "SEGLIB_PORTS_FROM"),
    *("SEGLIB_ATTEMPT", "SEGLIB_RETRIES", "SEGLIB_TRAIN_JOB"),
}


@dataclass(frozen=True, kw_only=True)
class ClusterConfig:
    """All settings. `ClusterConfig()` is what configs/cluster.yaml says."""

    namespace: str = "kubeflow"  # of the runs
    service_account: str = "pipeline-runner"  # of the pods
    image_pull_policy: str = "IfNotPresent"  # enough for an image with its digest
    image_pull_secrets: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)  # of every step
    config_maps: tuple[Source, ...] = _CONFIG_MAPS
    secrets: tuple[Source, ...] = _SECRETS
    cache: Cache = field(default_factory=Cache)
    security: Security = field(default_factory=Security)
    steps: Mapping[str, StepResources] = field(default_factory=lambda: _steps({}, {}))

    def __post_init__(self) -> None:
        require_name("namespace", self.namespace)
        require_name("service_account", self.service_account)
        if self.image_pull_policy not in _PULL_POLICIES:
            raise unknown("image_pull_policy", self.image_pull_policy, _PULL_POLICIES)
        for secret in self.image_pull_secrets:
            require_name("image_pull_secrets", secret)
        for variable, value in self.environment.items():
            _require_no_secret(variable, value)
        _require_one_origin(self)

    @classmethod
    def load(cls, path: Path | None = None) -> Self:
        """Read a YAML file.

        Args:
            path: `None`: configs/cluster.yaml where it is there, else the defaults.

        Raises:
            UsageError: no such file, not YAML, an unknown key, or a value that cannot
                be; names file and key.
        """
        if path is None:
            path = FILE
            if not path.is_file():
                return cls()
        tree = read_tree(path)
        with at(str(path)):
            return cls._from_tree(tree)

    def with_step(self, name: str, **changes: Any) -> Self:
        """The same with some settings of one step changed.

        Raises:
            UsageError: a value that cannot be.
        """
        with at(f"step {name}"):
            changed = replace(self.steps[name], **changes)
        return replace(self, steps={**self.steps, name: changed})

    @classmethod
    def _from_tree(cls, tree: Any) -> Self:
        if not isinstance(tree, dict):
            raise UsageError(
                "expected keys such as `steps:`. Received: a list or text."
            )
        kinds = {f.name: f.type for f in fields(cls)}
        defaults, own = tree.pop("defaults", None), tree.pop("steps", None)
        for key in tree:
            if key not in kinds:
                raise unknown("key", str(key), {*kinds, "defaults"})
        values = {key: typed(value, kinds[key], key) for key, value in tree.items()}
        return cls(**values, steps=_steps(defaults or {}, own or {}))


def _steps(defaults: Any, own: Any) -> dict[str, StepResources]:
    """What each step needs: the file's word on it, before ours, before `defaults`."""
    common = _resources("defaults", defaults)
    with at("defaults"):
        StepResources(**common)
    if not isinstance(own, dict):
        raise UsageError(f"`steps` must be a section. Received: {own!r}.")
    for name in own:
        if name not in STEPS:
            raise unknown("step", str(name), STEPS)
    built = {}
    for name in STEPS:
        stated = _resources(f"steps.{name}", own.get(name) or {})
        with at(f"step {name}"):
            built[name] = StepResources(**{**common, **_OWN.get(name, {}), **stated})
    return built


def _resources(section: str, values: Any) -> dict[str, Any]:
    """A section's settings; quantities may be written as numbers: `cpu_limit: 2`."""
    if isinstance(values, dict):
        values = {
            key: str(value)
            if key in _QUANTITIES and type(value) in (int, float)
            else value
            for key, value in values.items()
        }
    return checked(StepResources, section, values)


def _require_no_secret(variable: str, value: str) -> None:
    """Refuse a credential: everyone who may see the compiled file would have it."""
    require_variable("environment", variable)
    if names_credential(variable) or find_credential(value):
        raise UsageError(
            f"`environment.{variable}` looks like a credential. Put it into a Secret, "
            "and name Secret and key under `secrets`."
        )


def _require_one_origin(config: ClusterConfig) -> None:
    seen = set(_RESERVED)
    sources = [source.environment for source in config.config_maps + config.secrets]
    for variables in (config.environment, *sources):
        if twice := sorted(seen & variables.keys()):
            raise UsageError(
                f"`{twice[0]}` has two origins. Expected one of `environment`, "
                "`config_maps`, `secrets` and what the pipeline sets itself "
                f"({', '.join(sorted(_RESERVED))})."
            )
        seen |= variables.keys()
