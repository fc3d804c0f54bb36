"""The command `compile`, and what other commands that compile share with it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.options import AllowTag
from seglib.cli.terminal import echo
from seglib.environment import CHECKPOINTS, IMAGE

if TYPE_CHECKING:
    from pipeline.dag.cluster_config import ClusterConfig

app = typer.Typer()

Image = Annotated[
    str,
    typer.Option(
        envvar=IMAGE,
        help="The image of every step, by its digest: NAME@sha256:…",
        show_default="seglib:cpu",
    ),
]
ClusterFile = Annotated[
    Path | None,
    typer.Option(
        "--cluster",
        help="A YAML file of what the steps' pods need. Default: configs/cluster.yaml "
        "where it is there.",
        show_default=False,
    ),
]
Gpus = Annotated[
    int | None,
    typer.Option(
        min=0,
        help="GPUs of the training step, whatever the file says.",
        show_default=False,
    ),
]
Checkpoints = Annotated[
    str,
    typer.Option(
        envvar=CHECKPOINTS,
        help="s3://bucket/prefix where a training keeps its state, so that a pod that "
        "is started again goes on where it was. Default: what the cluster's ConfigMap "
        "says.",
        show_default=False,
    ),
]


@app.command("compile")
def compile_document(
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The YAML file to write.")
    ],
    image: Image = "",
    cluster: ClusterFile = None,
    gpus: Gpus = None,
    checkpoints: Checkpoints = "",
    manifest: Annotated[
        bool,
        typer.Option(
            "--manifest",
            help="Write the Kubernetes resources Pipeline and PipelineVersion.",
        ),
    ] = False,
    allow_tag: AllowTag = False,
) -> None:
    """Write the pipeline as a document for Kubeflow Pipelines.

    Its parameters are the settings of a configuration file, with their defaults,
    and data_md5, remote and code_version. The same input gives the same bytes.

    For example:

    python -m pipeline compile -o pipeline.yaml --image registry/seglib@sha256:…

    python -m pipeline compile -o trial.yaml --allow-tag --gpus 1
    """
    from pipeline.dag.compile import compile_pipeline

    done = compile_pipeline(
        output,
        image=image or default_image(),
        cluster=needs(cluster, gpus),
        checkpoints=checkpoints,
        manifest=manifest,
        allow_tag=allow_tag,
    )
    echo(f"{done.path}: {done.version}, image {done.image}")


def needs(cluster: Path | None, gpus: int | None) -> "ClusterConfig":
    """What pods need, by the file and the option that goes before it."""
    from pipeline.dag.cluster_config import ClusterConfig

    config = ClusterConfig.load(cluster)
    return config if gpus is None else config.with_step("train", gpus=gpus)


def default_image() -> str:
    """The tag of the local build."""
    from pipeline.dag.lean_kfp import import_kfp

    import_kfp()
    from components.base import IMAGE

    return IMAGE
