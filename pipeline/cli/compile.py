"""The command `compile`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli import options as opt
from pipeline.cli.options import option
from seglib.cli.terminal import echo

if TYPE_CHECKING:
    from pipeline.dag.cluster_config import ClusterConfig

app = typer.Typer()


@app.command("compile")
def compile_document(
    output: Annotated[Path, option("The YAML file to write.", "--output", "-o")],
    image: opt.Image = "",
    cluster: opt.ClusterFile = None,
    gpus: opt.Gpus = None,
    checkpoints: opt.Checkpoints = "",
    manifest: Annotated[
        bool,
        option(
            "Write the Kubernetes resources Pipeline and PipelineVersion.", "--manifest"
        ),
    ] = False,
    allow_tag: opt.AllowTag = False,
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
        cluster=cluster_config(cluster, gpus),
        checkpoints=checkpoints,
        manifest=manifest,
        allow_tag=allow_tag,
    )
    echo(f"{done.path}: {done.version}, image {done.image}")


def cluster_config(file: Path | None, gpus: int | None) -> "ClusterConfig":
    """The cluster file, with the GPUs of the training step from --gpus."""
    from pipeline.dag.cluster_config import ClusterConfig

    config = ClusterConfig.load(file)
    return config if gpus is None else config.with_step("train", gpus=gpus)


def default_image() -> str:
    """The tag of the local build."""
    from pipeline.dag.lean_kfp import import_kfp

    import_kfp()
    from components.base import IMAGE

    return IMAGE
