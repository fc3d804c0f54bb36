"""Every option that several commands have, declared once."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from seglib.environment import CHECKPOINTS, IMAGE


def option(text: str, *names: str, **given: Any) -> Any:
    """An option whose help shows its default.

    Args:
        text: the help.
        names: such as "--dry-run"; default: the parameter's name.
        given: further arguments of `typer.Option`.
    """
    return typer.Option(*names, help=text, **given)


def optional(text: str, *names: str, **given: Any) -> Any:
    """An option whose default, where it has one, is explained by its help."""
    return option(text, *names, show_default=False, **given)


class Form(StrEnum):
    """Form of the output."""

    text = "text"
    json = "json"


# What a run computes
# (the constants: for `retrain`, where CI gives these options by variables)
CONFIG_FILE = "A YAML file that states what differs from the defaults."
SETTINGS = "Change one setting; may be repeated. Example: --set epochs=5"
REMOTE = (
    "The dataset's remote, s3://bucket/prefix or a folder. Default: DVC's default "
    "remote."
)
ConfigFile = Annotated[Path | None, optional(CONFIG_FILE)]
Settings = Annotated[
    list[str] | None, optional(SETTINGS, "--set", metavar="NAME=VALUE")
]
DataFolder = Annotated[
    Path | None,
    optional(
        "A dataset's folder (see docs/data-format.md). Default: what data.dvc pins."
    ),
]
Revision = Annotated[
    str, optional("Git revision of data.dvc. Default: the file in this checkout.")
]
DataHash = Annotated[str, optional("The dataset's hash itself, <md5>.dir.")]
Remote = Annotated[str, optional(REMOTE)]
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
    optional(
        "A YAML file of what the steps' pods need. Default: configs/cluster.yaml where "
        "it is there.",
        "--cluster",
    ),
]
Checkpoints = Annotated[
    str,
    optional(
        "s3://bucket/prefix where a training keeps its state, so that a pod that is "
        "started again goes on where it was. Default: what the cluster's ConfigMap "
        "says.",
        envvar=CHECKPOINTS,
    ),
]
Gpus = Annotated[
    int | None, optional("GPUs of the training step, whatever the file says.", min=0)
]
CompiledPipeline = Annotated[
    Path | None,
    optional("A compiled pipeline, which names its image. Default: it is compiled."),
]

# How it runs on a cluster
Experiment = Annotated[str, optional("Of KFP. Default: the pipeline's name.")]
PipelineRoot = Annotated[
    str, optional("Where KFP keeps artifacts. Default: the server's.")
]
ServiceAccount = Annotated[
    str, optional("Of the pods. Default: the cluster file's, else pipeline-runner.")
]
Context = Annotated[
    str,
    optional("Of kubeconfig. Default: its current one.", rich_help_panel="Connection"),
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
