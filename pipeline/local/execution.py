"""One local run: start the runner, follow it, track it to its end, and sum it up."""

import json
import os
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from rich.console import Console

from pipeline.dag.inputs import (
    REPOSITORY,
    Data,
    check_publication,
    code_version,
    git_commit,
    require_splits,
)
from pipeline.dag.sweep import Sweep
from pipeline.local.containers import find_image, stop_containers
from pipeline.local.display import STEPS, SWEEP_STEPS, Display
from pipeline.local.folder import create_run_folder, link_outputs
from pipeline.local.outcome import RunOutcome, print_summary, shown
from pipeline.local.runner_process import (
    RunnerEvent,
    RunnerOutput,
    Stopped,
    lines_of,
    runner_process,
)
from pipeline.local.tracker import RunTracker, tracking_uri
from seglib.config import Config
from seglib.delivery.outbox import EVENT_FILE
from seglib.environment import (
    CHECKPOINTS,
    EVENTS,
    GIT_COMMIT,
    RUN_ID,
    TASK_RUN,
    TRACKING_URI,
)
from seglib.hardware import device_and_format
from seglib.noise import LOG_LEVELS
from seglib.registry.weights import pin_weights
from seglib.runtime.events import Event, EventReader, append_event, now_ms
from seglib.runtime.provenance import FAILURE_REASON
from seglib.runtime.trials import label
from seglib.tracking.names import experiment_name


def execute(
    config: Config,
    data: Data,
    *,
    runs: Path,
    name: str = "",
    cache: bool = True,
    docker: bool = False,
    tracking_required: bool = False,
    tags: Mapping[str, str] | None = None,
    sweep: Sweep | None = None,
    plan: Path | None = None,
    console: Console,
) -> RunOutcome:
    """Run the pipeline in a new folder of `runs`, and print what it comes to.

    Args:
        cache: reuse what unchanged steps gave before.
        docker: run the steps in containers.
        tracking_required: do not start without a store that takes events.
        tags: of the MLflow run, besides those of its source.
        sweep: train several times, and go on with the best, whose settings are the
            run's.
        plan: file that the configuration is from, to be kept beside the outputs.

    Returns:
        The outcome. A failed step is an outcome, and so is Ctrl-C.

    Raises:
        DatasetError: the data lack a split that the run comes to need.
        SegError: tracking is required, and the store takes no events.
    """
    require_splits(data, config, sweep=sweep is not None)
    check_publication(config, docker=docker)
    uri = tracking_uri(runs)  # one that can never be a store is told before an hour
    config = replace(config, model=pin_weights(config.model, uri=uri))
    folder = create_run_folder(runs, name)
    if plan:
        shutil.copy(plan, folder / "plan.yaml")
    told = {
        RUN_ID: folder.name,
        EVENTS: str(folder / EVENT_FILE),
        # Of all runs: the next one goes on where a stopped one was.
        CHECKPOINTS: os.environ.get(CHECKPOINTS) or str(folder.parent / ".checkpoints"),
    }
    source = _image(console) if docker else {"git_commit": git_commit()}
    of_image = source.get("image", "").removeprefix("sha256:")[:16]
    identity: dict[str, Any] = {
        "data_md5": data.data_md5,
        "remote": data.remote,
        "code_version": of_image or code_version(),
    }
    request = {
        "folder": str(folder),
        "docker": docker,
        "told": told,
        "cache": str(runs.resolve() / ".cache") if cache else "",
        "parameters": {
            **identity,
            **config.flat(),
            **(sweep.parameters if sweep else {}),
        },
        "sweep": asdict(sweep) if sweep else None,
    }
    swept = sweep.trials[0] if sweep else ()
    settings = {k: v for k, v in config.flat().items() if k not in swept}
    identity["parameters"] = settings
    if not docker:  # a container may see another one
        told_device = device_and_format(config.train.precision)
        console.print(f"device       {told_device}")
    console.print(f"data         {data.title} ({data.data_md5})")
    console.print(f"run          {shown(folder)}")
    # As it is before the tracking adds its own; the gate asks the store, too.
    environment = _environment(told | {TRACKING_URI: uri, GIT_COMMIT: git_commit()})
    with Display(console, SWEEP_STEPS if sweep else STEPS) as display:
        run = _Run(RunOutcome(folder, uri, tracking_required), config, display)
        tracker = RunTracker(uri, folder, warn=display.warn)
        run.tell(
            "open",
            **identity,
            title=name,
            experiment=experiment_name(config.flat(), data.remote),
            tags={**_source_tags(source), **(tags or {})},
        )
        if tracking_required:
            tracker.require()
        try:
            run.follow(request, environment)
            if run.outcome.stopped_by and docker:
                stop_containers(folder.name)
        finally:
            # The exit task may not have run, and does not know the settings.
            run.finish(tracker, identity)
    print_summary(run.outcome, console)
    return run.outcome


class _Run:
    """The runner's process, and what its steps tell."""

    def __init__(self, outcome: RunOutcome, config: Config, display: Display):
        self.outcome = outcome
        self._epochs = config.train.epochs
        self._display = display
        self._events = EventReader(outcome.folder / EVENT_FILE)
        self._last_words: dict[str, str] = {}
        self._not_for_good: list[Path] = []  # outputs of failed trials

    def tell(self, kind: str, **content: Any) -> None:
        """Track something that no step knows."""
        run = self.outcome.folder.name
        head = {"kind": kind, "run": run, "time_ms": now_ms()}
        append_event(self._events.path, {**head, **content})
        self._read_events()

    def follow(
        self, request: Mapping[str, Any], environment: Mapping[str, str]
    ) -> None:
        """Start the runner, and show what happens until it ends or is stopped."""
        outcome = self.outcome
        file = outcome.folder / "request.json"
        file.write_text(json.dumps(request, indent=1) + "\n", encoding="utf-8")
        try:
            with runner_process(file, environment) as process:
                self._show_all(lines_of(process))
                status = process.wait()
        except KeyboardInterrupt as stop:
            outcome.state = "CANCELED"
            outcome.stopped_by = "SIGTERM" if isinstance(stop, Stopped) else "SIGINT"
            self._display.stop()
            return
        finally:
            self._read_events()
            for folder in self._not_for_good:
                # KFP reuses no output that is not there: the next run tries it again.
                shutil.rmtree(folder, ignore_errors=True)
        outcome.judge(status, self._last_words)
        if outcome.failed_step:
            self.tell("failed", step=outcome.failed_step, message=outcome.failure)

    def finish(self, tracker: RunTracker, identity: Mapping[str, Any]) -> None:
        """Tell the end, link the outputs, and wait until all is tracked."""
        outcome = self.outcome
        ended = {k: v for k, v in outcome.lineage.items() if "finished" in v}
        self.tell("close", **identity, state=outcome.state, lineage=ended)
        outcome.links = link_outputs(outcome.folder, outcome.outputs())
        self._display.start("track")
        outcome.tracked = tracker.finish()
        self._display.end("track", "succeeded" if outcome.tracked.whole else "failed")

    def _show_all(self, lines: Iterable[str]) -> None:
        """Show what the runner's process says, until its end."""
        output = RunnerOutput()
        with (self.outcome.folder / "pipeline.log").open("w", buffering=1) as log:
            for line in lines:
                self._read_events()
                log.write(line)
                if line.strip():
                    self._last_words["pipeline"] = line.strip()
                if event := output.read(line):
                    self._show(event)

    def _show(self, event: RunnerEvent) -> None:
        kind, step = event.kind, event.step
        if kind in ("printed", "muttered"):
            self._last_words[step] = event.text
            if kind == "printed":
                self._display.line(event.text)
        elif kind == "cached":
            self.outcome.cached.append(step)
            self._display.reuse(step)
        elif kind == "started":
            self.outcome.executed.append(step)
            self._display.start(step)
        else:
            self._display.end(step, kind)

    def _read_events(self) -> None:
        for event in self._events.read():
            self._hear(event)

    def _hear(self, event: Event) -> None:
        kind, step, outcome = event["kind"], event.get("step", ""), self.outcome
        told = event.get("lineage", {})
        outcome.lineage |= {k: v for k, v in told.items() if FAILURE_REASON not in v}
        if kind == "progress":
            self._display.progress(step, event["done"], event["total"])
        elif kind == "epoch":
            trial = label(event.get("trial", {}))
            self._display.epoch(step, event["row"], self._epochs, trial=trial)
        elif kind == "fell_out":
            trial, reason = label(event["trial"]), event["reason"]
            self._display.warn(f"failed trial {trial}: {reason}")
            if not event["for_good"]:
                self._not_for_good.append(Path(event["folder"]))
        elif kind == "selected":
            outcome.failed_trials = event["fell_out"]
            chosen = f"{label(event['trial'])}, val mIoU {event['val_miou']:.3f}"
            outcome.chosen = f"{chosen}, the best of {event['trials']}"
        elif kind == "finished":
            outcome.finished.add(step)
        elif kind == "failed" and not outcome.failed_step:
            outcome.failed_step, outcome.failure = step, event["message"]
        elif kind == "decided":
            outcome.verdict, outcome.reasons = event["verdict"], event["reasons"]
            if outcome.verdict == "hold":
                self._display.hold("export")
        elif kind == "close":
            outcome.finished.add("finalize")


def _image(console: Console) -> dict[str, str]:
    """The image of the steps and its commit, with a note if it is another's."""
    image, commit = find_image()
    if not git_commit().startswith(commit):
        console.print(f"note         the image was built from another commit, {commit}")
    return {"image": image, "git_commit": commit}


def _source_tags(source: Mapping[str, str]) -> dict[str, str]:
    tags = {"mlflow.source.name": "pipeline", **source}
    tags["mlflow.source.git.commit"] = source["git_commit"]
    return {name: value for name, value in tags.items() if value}


def _environment(told: Mapping[str, str]) -> dict[str, str]:
    """Of the runner, and so of the steps that it starts as processes."""
    path = [str(REPOSITORY), os.environ.get("PYTHONPATH", "")]
    return {
        **LOG_LEVELS,
        "NO_ALBUMENTATIONS_UPDATE": "1",
        **{k: v for k, v in os.environ.items() if k != TASK_RUN},
        "PYTHONPATH": os.pathsep.join(filter(None, path)),
        "PYTHONUNBUFFERED": "1",
        **told,
    }
