"""The commands on whole pipelines: `run`, `sweep` and `compile`."""

from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli import options as opt
from pipeline.cli.options import Compilation, grouped, optional
from seglib.cli.help import App
from seglib.cli.options import option
from seglib.cli.terminal import Terminal, echo
from seglib.errors import UsageError

app = App()


class Runner(StrEnum):
    """What a step of a local run is."""

    subprocess = "subprocess"
    docker = "docker"


class Tracking(StrEnum):
    """What a store means for a run that takes no messages."""

    patient = "patient"
    required = "required"


@app.command()
def run(
    data: opt.DataFolder = None,
    config: opt.ConfigFile = None,
    settings: opt.Settings = None,
    plan: Annotated[
        float,
        option(
            "In place of --config: plan from the data, as `seglib plan` does, for so "
            "many minutes of training. 0: the defaults.",
            metavar="MINUTES",
            min=0,
        ),
    ] = 0.0,
    runs: opt.Runs = Path("runs"),
    runner: Annotated[
        Runner, option("What a step is: a process, or a container.")
    ] = Runner.subprocess,
    cache: Annotated[bool, option("Reuse what an unchanged step gave before.")] = True,
    name: opt.RunTitle = "",
    tracking: Annotated[
        Tracking, option("While MLflow is away: go on, and send it later, or fail.")
    ] = Tracking.patient,
) -> None:
    """Run the whole pipeline on this machine, and track it in MLflow.

    Without options it takes the dataset that the repository pins. Results go to
    runs/<time>-<name>/, and runs/latest leads to the newest. Steps that nothing
    changed for are reused, and it says so. MLFLOW_TRACKING_URI names a tracking
    server; by default an SQLite store in the folder of runs is used. What it does not
    take in time stays in the run's folder, and the next run sends it.

    The exit status is 0 when all steps went well, whether the model was promoted or
    held back; 1 when a step failed, or tracking that is required; 2 on wrong use; 130
    after Ctrl-C.

    For example:

    python -m pipeline run

    python -m pipeline run --data ~/camvid --config configs/camvid-cpu.yaml

    python -m pipeline run --data ~/camvid --plan 20

    python -m pipeline run --set epochs=5 --set min_miou=0.6 --name quick
    """
    from pipeline.dag.inputs import find_data, find_settings
    from pipeline.local.execution import execute
    from pipeline.local.planned import plan_file

    changes = settings or ()
    if plan and config:
        raise UsageError("--plan makes a configuration, and --config names one.")
    chosen, found = find_settings(config, changes), find_data(data)
    console = Terminal()
    if plan:
        config = plan_file(
            found, chosen, minutes=plan, runs=runs, anew=not cache, say=console.print
        )
        chosen = find_settings(config, changes)
    outcome = execute(
        chosen,
        found,
        runs=runs,
        name=name,
        cache=cache,
        docker=runner is Runner.docker,
        tracking_required=tracking is Tracking.required,
        plan=config if plan else None,
        console=console,
    )
    raise typer.Exit(outcome.exit_status)


@app.command()
@grouped
def sweep(
    settings: Annotated[
        list[str],
        optional(
            "What is tried, or changed for all; may be repeated. All combinations are "
            "trained. Example: --set learning_rate=0.001,0.003",
            "--set",
            metavar="NAME=VALUE[,VALUE…]",
        ),
    ],
    data: opt.DataFolder = None,
    config: opt.ConfigFile = None,
    parallel: Annotated[int, option("Trainings at the same time.", min=1)] = 2,
    runs: opt.Runs = Path("runs"),
    name: opt.RunTitle = "sweep",
    output: Annotated[
        Path | None,
        optional(
            "Compile it instead; for that are the options below.", "--output", "-o"
        ),
    ] = None,
    *,
    compilation: Compilation,
) -> None:
    """Train with several settings, and judge and export the best by val mIoU.

    The test split is seen by the best alone. A trial whose settings were trained before
    is reused, so that a sweep that was stopped, or is extended, goes on where it was.
    One that cannot be trained, as its loss diverges, fails, and the others go on.
    The run's row in MLflow has the settings of the best, and one run below it for each
    trial.

    For example:

    python -m pipeline sweep --set learning_rate=0.001,0.003 --set batch_size=4,8

    python -m pipeline sweep --set encoder=compact,plain -o sweep.yaml --allow-tag
    """
    from pipeline.dag.sweep import plan_sweep

    shared, plan = plan_sweep(config, settings, parallel=parallel)
    if output:
        done = compilation.compile(output, plan=(shared, plan))
        echo(f"{done.path}: {done.version}, {len(plan.trials)} trials")
        return
    from pipeline.dag.inputs import find_data
    from pipeline.local.execution import execute

    outcome = execute(
        shared, find_data(data), runs=runs, name=name, sweep=plan, console=Terminal()
    )
    raise typer.Exit(outcome.exit_status)


@app.command("compile")
@grouped
def compile_document(
    output: Annotated[Path, option("The YAML file to write.", "--output", "-o")],
    compilation: Compilation,
    manifest: Annotated[
        bool, option("Write Kubernetes' Pipeline and PipelineVersion.", "--manifest")
    ] = False,
    config: opt.ConfigFile = None,
    settings: opt.Settings = None,
    remote: opt.Remote = "",
) -> None:
    """Write the pipeline as a document for Kubeflow Pipelines.

    Its parameters are data_md5 and remote, code_version, and the settings of a
    configuration file. With --config and --remote, KFP's form shows values that run
    as they are: of that file, and of the dataset that data.dvc pins. The same input
    gives the same bytes.

    For example:

    python -m pipeline compile -o pipeline.yaml --image registry/seglib@sha256:…

    python -m pipeline compile -o sample.yaml --config configs/sample.yaml \
    --remote s3://seglib/dvc

    python -m pipeline compile -o trial.yaml --allow-tag --gpus 1
    """
    from pipeline.dag.inputs import find_data, find_settings

    found = find_settings(config, settings or ())
    data = replace(find_data(None), remote=remote) if remote else None
    done = compilation.compile(output, manifest=manifest, config=found, data=data)
    echo(f"{done.path}: {done.version}, image {done.image}")
