"""Options that several commands have."""

from pathlib import Path
from typing import Annotated

import typer

from seglib.environment import IMAGE

ConfigFile = Annotated[
    Path | None,
    typer.Option(
        help="A YAML file that states what differs from the defaults.",
        show_default=False,
    ),
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="NAME=VALUE",
        help="Change one setting; may be repeated. Example: --set epochs=5",
        show_default=False,
    ),
]
Image = Annotated[
    str,
    typer.Option(
        envvar=IMAGE,
        help="The image of every step, NAME@sha256:…",
        show_default=False,
    ),
]
AllowTag = Annotated[
    bool,
    typer.Option("--allow-tag", help="Take an image without a digest, for trials."),
]
CompiledPipeline = Annotated[
    Path | None,
    typer.Option(
        help="A compiled pipeline, which names its image. Default: it is compiled.",
        show_default=False,
    ),
]
ClusterFile = Annotated[
    Path | None,
    typer.Option(
        help="What the steps' pods need, for compiling. Default: configs/cluster.yaml.",
        show_default=False,
    ),
]
Revision = Annotated[
    str,
    typer.Option(
        help="Git revision of data.dvc. Default: as it is here.", show_default=False
    ),
]
DataHash = Annotated[
    str,
    typer.Option(help="The dataset's hash itself, <md5>.dir.", show_default=False),
]
Remote = Annotated[
    str,
    typer.Option(
        help="Where its files are, s3://bucket/prefix. Default: DVC's default remote.",
        show_default=False,
    ),
]
PushCheck = Annotated[
    bool, typer.Option(help="First see that all data are on the remote.")
]
ServiceAccount = Annotated[
    str, typer.Option(help="Of the pods. Default: what --cluster says.")
]
