"""A whole run on this machine: start the runner, follow it, and track it to its end."""

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pipeline.dag.inputs import REPOSITORY, Data, git_commit
from pipeline.dag.sweep import Sweep
from pipeline.local.containers import network_to, stop_containers
from pipeline.local.display import Display
from pipeline.local.folder import link_outputs
from pipeline.local.outcome import Outcome
from pipeline.local.process import RunnerProcess, Stopped, termination_as_exception
from pipeline.local.runner_output import RunnerEvent, RunnerOutput
from pipeline.local.tracker import RunTracker
from seglib.config import Config
from seglib.delivery.outbox import EVENT_FILE
from seglib.environment import CHECKPOINTS, EVENTS, RUN_ID, TASK_RUN, TRACKING_URI
from seglib.hardware import tensorflow_log_level
from seglib.runtime.events import Event, EventReader, append_event, now_ms
from seglib.runtime.provenance import FAILURE_REASON
from seglib.runtime.trials import label


def run_pipeline(
    folder: Path,
    *,
    data: Data,
    config: Config,
    code_version: str,
    tracking_uri: str,
    display: Display,
    cache: Path | None = None,
    container: Mapping[str, Any] | None = None,
    tracking_required: bool = False,
    tags: Mapping[str, str] | None = None,
    sweep: Sweep | None = None,
) -> Outcome:
    """Run the whole DAG.

    Args:
        folder: of the run, made by `create_run_folder`; its name is the run's.
        code_version: of what computes: the sources, or the image.
        cache: index of what can be reused; `None` reuses nothing.
        container: settings of the container runner; `None` runs subprocesses.
        tracking_required: do not start without a store that takes events.
        tags: of the MLflow run; they replace those of this checkout.
        sweep: what is tried; the settings of the trial that is chosen are the run's.

    Returns:
        The outcome. A failed step is an outcome, and so is Ctrl-C.

    Raises:
        SegError: tracking is required, and the store takes no events.
    """
    told = {
        RUN_ID: folder.name,
        EVENTS: str(folder / EVENT_FILE),
        # Of all runs: the next one goes on where a stopped one was.
        CHECKPOINTS: os.environ.get(CHECKPOINTS) or str(folder.parent / ".checkpoints"),
    }
    if container:
        shared = container["environment"] | told
        network = network_to(tracking_uri)
        container = {**container, "environment": shared, "network": network}
    identity = {
        "data_md5": data.data_md5,
        "remote": data.remote,
        "code_version": code_version,
    }
    request = _write_request(
        folder,
        container=container,
        cache=str(cache) if cache else "",
        parameters={
            **identity,
            **config.flat(),
            **(sweep.parameters if sweep else {}),
        },
        sweep=asdict(sweep) if sweep else None,
    )
    # As it is before the tracking adds its own; the gate asks the store, too.
    environment = _environment(told | {TRACKING_URI: tracking_uri})
    tracker = RunTracker(tracking_uri, folder, warn=display.warn)
    run = _Run(folder, display=display, epochs=config.train.epochs)
    run.outcome.tracking_uri = tracking_uri
    run.outcome.tracking_required = tracking_required
    swept = sweep.trials[0] if sweep else ()
    settings = {k: v for k, v in config.flat().items() if k not in swept}
    all_tags = {**_source_tags(), **(tags or {})}
    run.tell("open", **identity, parameters=settings, tags=all_tags)
    if tracking_required:
        tracker.require()
    try:
        run.follow(request, environment)
        if run.outcome.stopped_by and container:
            stop_containers(folder.name)
    finally:
        run.finish(tracker, {**identity, "parameters": settings})
    return run.outcome


def _write_request(folder: Path, **content: Any) -> Path:
    """Write what the runner's process is asked to do."""
    path = folder / "request.json"
    text = json.dumps({"folder": str(folder), **content}, indent=1) + "\n"
    path.write_text(text, encoding="utf-8")
    return path


class _Run:
    """The runner's process, and what its steps tell."""

    def __init__(self, folder: Path, *, display: Display, epochs: int):
        self.outcome = Outcome(folder)
        self._folder = folder
        self._display = display
        self._epochs = epochs
        self._events = EventReader(folder / EVENT_FILE)
        self._last_words: dict[str, str] = {}
        self._not_for_good: list[Path] = []  # outputs of failed trials

    def tell(self, kind: str, **content: Any) -> None:
        """Track something that no step knows."""
        head = {"kind": kind, "run": self._folder.name, "time_ms": now_ms()}
        append_event(self._events.path, {**head, **content})
        self._read_events()

    def follow(self, request: Path, environment: Mapping[str, str]) -> None:
        """Start the runner, and show what happens until it ends or is stopped."""
        try:
            with termination_as_exception():
                self._follow(request, environment)
        except KeyboardInterrupt as stop:
            self.outcome.state = "CANCELED"
            is_term = isinstance(stop, Stopped)
            self.outcome.stopped_by = "SIGTERM" if is_term else "SIGINT"
            self._display.stop()

    def finish(self, tracker: RunTracker, opening: Mapping[str, Any]) -> None:
        """Tell the end, link the outputs, and wait until all is tracked.

        Args:
            opening: what the run was opened with: the exit task may not have run, and
                does not know the settings.
        """
        outcome = self.outcome
        ended = {k: v for k, v in outcome.lineage.items() if "finished" in v}
        self.tell("close", **opening, state=outcome.state, lineage=ended)
        outcome.links = link_outputs(self._folder, outcome.outputs())
        self._display.start("track")
        tracked = tracker.finish()
        self._display.end("track", "succeeded" if tracked.whole else "failed")
        outcome.untracked, outcome.refused = tracked.left, tracked.refused
        outcome.untracked_reason = tracked.reason
        if run := tracked.run:
            outcome.experiment_id, outcome.tracking_id = run.experiment_id, run.id
            outcome.promotion, outcome.publication = run.promotion, run.publication

    def _follow(self, request: Path, environment: Mapping[str, str]) -> None:
        process = RunnerProcess(request, environment=environment)
        output = RunnerOutput()
        try:
            with (self._folder / "pipeline.log").open("w", buffering=1) as log:
                for line in process.lines():
                    self._read_events()
                    log.write(line)
                    if line.strip():
                        self._last_words["pipeline"] = line.strip()
                    if event := output.read(line):
                        self._show(event)
            status = process.wait()
        finally:
            process.stop()
            self._read_events()
            for folder in self._not_for_good:
                # KFP reuses no output that is not there: the next run tries it again.
                shutil.rmtree(folder, ignore_errors=True)
        self.outcome.judge(status, self._last_words)
        if self.outcome.failed_step:
            step, text = self.outcome.failed_step, self.outcome.failure
            self.tell("failed", step=step, message=text)

    def _show(self, event: RunnerEvent) -> None:
        if event.kind in ("printed", "muttered"):
            self._last_words[event.step] = event.text
            if event.kind == "printed":
                self._display.line(event.text)
        elif event.kind == "cached":
            self.outcome.cached.append(event.step)
            self._display.reuse(event.step)
        elif event.kind == "started":
            self.outcome.executed.append(event.step)
            self._display.start(event.step)
        else:
            self._display.end(event.step, event.kind)

    def _read_events(self) -> None:
        for event in self._events.read():
            self._hear(event)

    def _hear(self, event: Event) -> None:
        kind, step, outcome = event["kind"], event.get("step", ""), self.outcome
        told = event.get("lineage", {})
        whole = {k: v for k, v in told.items() if FAILURE_REASON not in v}
        outcome.lineage.update(whole)
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


def _environment(told: Mapping[str, str]) -> dict[str, str]:
    """Of the runner, and so of the steps that it starts as processes."""
    path = [str(REPOSITORY), os.environ.get("PYTHONPATH", "")]
    return {
        "TF_CPP_MIN_LOG_LEVEL": tensorflow_log_level(),
        "NO_ALBUMENTATIONS_UPDATE": "1",
        **{k: v for k, v in os.environ.items() if k != TASK_RUN},
        "PYTHONPATH": os.pathsep.join(filter(None, path)),
        "PYTHONUNBUFFERED": "1",
        **told,
    }


def _source_tags() -> dict[str, str]:
    tags = {"mlflow.source.name": "pipeline"}
    if commit := git_commit():
        tags["git_commit"] = tags["mlflow.source.git.commit"] = commit
    return tags
