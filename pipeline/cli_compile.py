"""The command `compile`."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer()


@app.command("compile")
def compile_document(
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The YAML file to write.")
    ],
    image: Annotated[
        str,
        typer.Option(
            envvar="SEGLIB_IMAGE",
            help="The image of every step, by its digest: NAME@sha256:…",
            show_default="seglib:cpu",
        ),
    ] = "",
    cluster: Annotated[
        Path | None,
        typer.Option(
            help="A YAML file of what the steps' pods need. Default: "
            "configs/cluster.yaml where it is there.",
            show_default=False,
        ),
    ] = None,
    gpus: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="GPUs of the training step, whatever the file says.",
            show_default=False,
        ),
    ] = None,
    checkpoints: Annotated[
        str,
        typer.Option(
            envvar="SEGLIB_CHECKPOINTS",
            help="s3://bucket/prefix where a training keeps its state, so that a pod "
            "that is started again goes on where it was. Default: what the cluster's "
            "ConfigMap says.",
            show_default=False,
        ),
    ] = "",
    manifest: Annotated[
        bool,
        typer.Option(
            "--manifest",
            help="Write the Kubernetes resources Pipeline and PipelineVersion.",
        ),
    ] = False,
    allow_tag: Annotated[
        bool,
        typer.Option("--allow-tag", help="For a trial: take an image without digest."),
    ] = False,
) -> None:
    """Write the pipeline as a document for Kubeflow Pipelines.

    Its parameters are the settings of a configuration file, with their defaults,
    and data_md5, remote and code_version. The same input gives the same bytes.

    For example:

    python -m pipeline compile -o pipeline.yaml --image registry/seglib@sha256:…

    python -m pipeline compile -o trial.yaml --allow-tag --gpus 1
    """
    from pipeline.local import import_kfp

    import_kfp()
    from components.base import IMAGE
    from pipeline.cluster_config import ClusterConfig
    from pipeline.compiling import compile_pipeline

    needs = ClusterConfig.load(cluster)
    if gpus is not None:
        needs = needs.with_step("train", gpus=gpus)
    done = compile_pipeline(
        output,
        image=image or IMAGE,
        cluster=needs,
        checkpoints=checkpoints,
        manifest=manifest,
        allow_tag=allow_tag,
    )
    typer.echo(f"{done.path}: {done.version}, image {done.image}")
