"""One local run, from its inputs to what it prints at the end."""

from pathlib import Path
from typing import Any

from rich.console import Console

from pipeline.dag.inputs import (
    Data,
    check_publication,
    code_version,
    git_commit,
    require_splits,
)
from pipeline.dag.sweep import Sweep
from pipeline.local.display import STEPS, SWEEP_STEPS, Display
from pipeline.local.folder import create_run_folder
from pipeline.local.outcome import Outcome
from pipeline.local.run import run_pipeline
from pipeline.local.summary import print_summary, shown
from pipeline.local.tracker import tracking_uri
from seglib.config import Config


def execute(
    config: Config,
    data: Data,
    *,
    runs: Path,
    name: str = "",
    cache: bool = True,
    docker: bool = False,
    tracking_required: bool = False,
    tags: dict[str, str] | None = None,
    sweep: Sweep | None = None,
    console: Console,
) -> Outcome:
    """Run the pipeline in a new folder of `runs`, and print what it comes to.

    Args:
        cache: reuse what unchanged steps gave before.
        docker: run the steps in containers.
        tracking_required: do not start without a store that takes events.
        tags: of the MLflow run, besides those of its source.
        sweep: train several times, and go on with the best.

    Raises:
        DatasetError: the data lack a split that the run comes to need.
    """
    require_splits(data, config, sweep=sweep is not None)
    check_publication(config, docker=docker)
    uri = tracking_uri(runs)  # one that can never be a store is told before an hour
    folder = create_run_folder(runs, name)
    version, container, tags = code_version(), None, dict(tags or {})
    if docker:
        container, version, source = _containers(folder.name, runs, data, console)
        tags |= source
    console.print(f"data         {data.title} ({data.data_md5})")
    console.print(f"run          {shown(folder)}")
    with Display(console, SWEEP_STEPS if sweep else STEPS) as display:
        outcome = run_pipeline(
            folder,
            data=data,
            config=config,
            code_version=version,
            tracking_uri=uri,
            display=display,
            cache=runs.resolve() / ".cache" if cache else None,
            container=container,
            tracking_required=tracking_required,
            tags=tags,
            sweep=sweep,
        )
    print_summary(outcome, console)
    return outcome


def _containers(
    run: str, runs: Path, data: Data, console: Console
) -> tuple[dict[str, Any], str, dict[str, str]]:
    """The container runner's settings, the code version, and tags of the source."""
    from pipeline.local.containers import container_settings, find_image

    image, commit = find_image()
    settings = container_settings(run, runs=runs, remote=data.remote)
    if not git_commit().startswith(commit):
        console.print(f"note         the image was built from another commit, {commit}")
    tags = {"image": image, "git_commit": commit, "mlflow.source.git.commit": commit}
    return settings, image.removeprefix("sha256:")[:16], tags
