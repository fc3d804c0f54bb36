"""Every option that several commands have, declared once, and groups of options.

A group is a dataclass whose fields are options; a command with a parameter of its type,
decorated by `grouped`, has these options, and gets the group.
"""

import dataclasses
import functools
import inspect
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from seglib.cli.options import option
from seglib.environment import CHECKPOINTS, IMAGE

if TYPE_CHECKING:
    from pipeline.dag.cluster_config import ClusterConfig
    from pipeline.dag.compile import Compiled
    from pipeline.dag.document import Document
    from pipeline.dag.inputs import Data


def optional(text: str, *names: str, **given: Any) -> Any:
    """An option whose default, where it has one, is explained by its help."""
    return option(text, *names, show_default=False, **given)


def grouped(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options of the groups among its parameters."""
    options: list[inspect.Parameter] = []
    groups: dict[str, tuple[Callable[..., Any], list[str]]] = {}
    for one in inspect.signature(command).parameters.values():
        fields = [one]
        group: Any = one.annotation
        if bool(dataclasses.is_dataclass(group)):  # narrows no type
            fields = [*inspect.signature(group).parameters.values()]
            groups[one.name] = (group, [field.name for field in fields])
        options += fields

    @functools.wraps(command)
    def with_groups(**given: Any) -> Any:
        for name, (build, fields) in groups.items():
            given[name] = build(**{field: given.pop(field) for field in fields})
        return command(**given)

    kind = inspect.Parameter.KEYWORD_ONLY
    signature = inspect.Signature([one.replace(kind=kind) for one in options])
    with_groups.__signature__ = signature  # type: ignore[attr-defined]
    with_groups.__annotations__ = {one.name: one.annotation for one in options}
    return with_groups


class Form(StrEnum):
    """Form of the output."""

    text = "text"
    json = "json"


# What a run computes
ConfigFile = Annotated[
    Path | None, optional("A YAML file that states what differs from the defaults.")
]
SETTINGS = "Change one setting; may be repeated. Example: --set epochs=5"
Settings = Annotated[
    list[str] | None, optional(SETTINGS, "--set", metavar="NAME=VALUE")
]
DataFolder = Annotated[
    Path | None, optional("A dataset's folder. Default: what data.dvc pins.")
]
Remote = Annotated[
    str,
    optional("The dataset's, s3://bucket/prefix or a folder. Default: DVC's own."),
]
PushCheck = Annotated[bool, option("First see that all data are on the remote.")]

# How it is compiled
Image = Annotated[
    str,
    optional(
        "The image of every step, by its digest: NAME@sha256:…. Default: `compile` and "
        "`sweep` take seglib:cpu, and `retrain` builds one.",
        envvar=IMAGE,
    ),
]
AllowTag = Annotated[
    bool, option("Take an image without a digest, for trials.", "--allow-tag")
]
ClusterFile = Annotated[
    Path | None,
    optional("What the steps' pods need. Default: configs/cluster.yaml.", "--cluster"),
]
Checkpoints = Annotated[
    str,
    optional(
        "s3://bucket/prefix where a training keeps its state, for pods that start "
        "again. Default: what the cluster's ConfigMap says.",
        envvar=CHECKPOINTS,
    ),
]
Experiment = Annotated[str, optional("Of KFP. Default: the pipeline's name.")]

# How a command goes about it
Context = Annotated[
    str,
    optional("Of kubeconfig. Default: its current one.", group="Connection"),
]
DryRun = Annotated[
    bool, option("Show what would be done, and do nothing.", "--dry-run")
]
Every = Annotated[float, option("Seconds between two looks.", min=0.01)]
Longest = Annotated[
    float, option("Minutes to wait at most; 0: as long as it takes.", min=0)
]
OutputForm = Annotated[Form, option("Form of the output.", "--format")]

# Where runs of this machine are
Runs = Annotated[Path, option("Folder of runs, with their cache and tracking store.")]
RunTitle = Annotated[str, option("Part of the run's name, after its time.")]


@dataclass(frozen=True, kw_only=True)
class DataVersion:
    """A version of the dataset that pods can fetch."""

    rev: Annotated[
        str, optional("Git revision of data.dvc. Default: the file in this checkout.")
    ] = ""
    data_md5: Annotated[str, optional("The dataset's hash itself, <md5>.dir.")] = ""
    remote: Remote = ""

    def find(self) -> "Data":
        """The version; an error if there is none, or no pod could read it."""
        from pipeline.kfp.order import find_version

        return find_version(self.rev, data_md5=self.data_md5, remote=self.remote)


@dataclass(frozen=True, kw_only=True)
class _Pipeline:
    image: Image = ""
    cluster: ClusterFile = None
    checkpoints: Checkpoints = ""
    allow_tag: AllowTag = False

    def document(self, file: Path | None = None) -> AbstractContextManager["Document"]:
        """A compiled file, or the pipeline compiled into a folder that is removed."""
        from pipeline.kfp.order import document_of

        return document_of(
            file,
            image=self.image,
            cluster=self.cluster,
            checkpoints=self.checkpoints,
            allow_tag=self.allow_tag,
        )


@dataclass(frozen=True, kw_only=True)
class Compilation(_Pipeline):
    """How a pipeline is compiled."""

    gpus: Annotated[
        int | None,
        optional("GPUs of the training step, whatever the file says.", min=0),
    ] = None

    def needs(self) -> "ClusterConfig":
        """The cluster file, with the GPUs of the training step from --gpus."""
        from pipeline.dag.cluster_config import ClusterConfig

        config = ClusterConfig.load(self.cluster)
        given = self.gpus is not None
        return config.with_step("train", gpus=self.gpus) if given else config

    def compile(self, output: Path, **options: Any) -> "Compiled":
        """Write the pipeline; without an image, for the tag of the local build."""
        from pipeline.dag.compile import compile_pipeline, import_kfp

        import_kfp()
        from components import base

        return compile_pipeline(
            output,
            image=self.image or base.IMAGE,
            cluster=self.needs(),
            checkpoints=self.checkpoints,
            allow_tag=self.allow_tag,
            **options,
        )


@dataclass(frozen=True, kw_only=True)
class Submission(_Pipeline):
    """A compiled pipeline, and how the cluster runs it."""

    pipeline: Annotated[
        Path | None, optional("A compiled one. Default: it is compiled now.")
    ] = None
    push_check: PushCheck = True
    service_account: Annotated[
        str, optional("Of the pods. Default: the cluster file's, else pipeline-runner.")
    ] = ""
    pipeline_root: Annotated[
        str, optional("Where KFP keeps artifacts. Default: the server's.")
    ] = ""

    def account(self) -> str:
        """The service account of the pods."""
        from pipeline.dag.cluster_config import ClusterConfig

        return self.service_account or ClusterConfig.load(self.cluster).service_account
