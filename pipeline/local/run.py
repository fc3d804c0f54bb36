"""A whole run on this machine: start the runner, follow it, track it, end it truly."""

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pipeline.dag.inputs import REPOSITORY, Data, git_commit
from pipeline.dag.sweep_trials import Sweep
from pipeline.local.containers import network_to, stop_containers
from pipeline.local.display import Display
from pipeline.local.events import Event, MessageFile, RunnerOutput
from pipeline.local.folder import link_outputs
from pipeline.local.outcome import Outcome
from pipeline.local.process import RunnerProcess, Stopped, termination_as_exception
from pipeline.local.tracker import RunTracker
from seglib.config import Config
from seglib.hardware import tensorflow_log_level
from seglib.runtime.step import (
    CHECKPOINTS,
    FELL_OUT,
    MESSAGES,
    RUN_ID,
    TASK_RUN,
    append,
    now_ms,
)
from seglib.runtime.trials import label
from seglib.tracking.mlflow_address import TRACKING


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
        tracking_required: don't start without a store that takes messages.
        tags: of the run's row; they go before those of this checkout.
        sweep: what is tried; the settings of the trial that is chosen are the run's.

    Returns:
        The outcome. A failed step is an outcome, and so is Ctrl-C.

    Raises:
        SegError: tracking is required, and the store takes no messages.
    """
    told = {
        RUN_ID: folder.name,
        MESSAGES: str(folder / "messages.jsonl"),
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
    request = {
        "container": container,
        "folder": str(folder),
        "cache": str(cache) if cache else "",
        "parameters": {
            **identity,
            **config.flat(),
            **(sweep.parameters if sweep else {}),
        },
        "sweep": asdict(sweep) if sweep else None,
    }
    request_file = folder / "request.json"
    request_file.write_text(json.dumps(request, indent=1) + "\n", encoding="utf-8")
    # As it is before the tracking adds its own; the gate asks the store, too.
    environment = _environment(told | {TRACKING: tracking_uri})
    tracker = RunTracker(tracking_uri, folder, warn=display.warn)
    run = _Run(folder, tracker=tracker, display=display, epochs=config.train.epochs)
    swept = sweep.trials[0] if sweep else ()
    outcome = run.outcome
    settings = {k: v for k, v in config.flat().items() if k not in swept}
    told_tags = {**_source_tags(), **(tags or {})}
    run.tell("open", **identity, parameters=settings, tags=told_tags)
    if tracking_required:
        tracker.require()
    try:
        with termination_as_exception():
            run.follow(request_file, environment)
    except KeyboardInterrupt as stop:
        outcome.state = "CANCELED"
        outcome.stopped_by = "SIGTERM" if isinstance(stop, Stopped) else "SIGINT"
        display.stop()
        if container:
            stop_containers(folder.name)
    finally:
        # What `finalize` told, once more: it may not have come to it, nor known all.
        ended = {k: v for k, v in outcome.lineage.items() if "finished" in v}
        closing = {"parameters": settings, "state": outcome.state, "lineage": ended}
        run.tell("close", **identity, **closing)
        outcome.links = link_outputs(folder, outcome.outputs())
        display.start("track")
        tracked = tracker.finish()
        display.end("track", "succeeded" if tracked.whole else "failed")
    outcome.tracking_uri = tracking_uri
    outcome.tracking_required = tracking_required
    outcome.untracked, outcome.refused = tracked.left, tracked.refused
    outcome.untracked_reason = tracked.reason
    if row := tracked.row:
        outcome.experiment_id, outcome.tracking_id = row.experiment_id, row.id
        outcome.promotion, outcome.publication = row.promotion, row.publication
    return outcome


class _Run:
    """The runner's process, and everything that is heard of it."""

    def __init__(
        self, folder: Path, *, tracker: RunTracker, display: Display, epochs: int
    ):
        self.outcome = Outcome(folder)
        self._folder = folder
        self._tracker = tracker
        self._display = display
        self._epochs = epochs
        self._messages = MessageFile(folder / "messages.jsonl")
        self._last_words: dict[str, str] = {}
        self._not_for_good: list[Path] = []  # outputs of trials that fell out

    def tell(self, kind: str, **content: Any) -> None:
        """Track something that no step knows."""
        head = {"kind": kind, "run": self._folder.name, "time_ms": now_ms()}
        append(self._messages.path, {**head, **content})
        self._read_messages()

    def follow(self, request_file: Path, environment: Mapping[str, str]) -> None:
        """Start the runner, and show and track what happens until it ends."""
        process = RunnerProcess(request_file, environment=environment)
        output = RunnerOutput()
        try:
            with (self._folder / "pipeline.log").open("w", buffering=1) as log:
                for line in process.lines():
                    self._read_messages()
                    log.write(line)
                    if line.strip():
                        self._last_words["pipeline"] = line.strip()
                    if event := output.read(line):
                        self._show(event)
            status = process.wait()
        finally:
            process.stop()
            self._read_messages()
            for folder in self._not_for_good:
                # KFP reuses no output that is not there: the next run tries it again.
                shutil.rmtree(folder, ignore_errors=True)
        self.outcome.judge(status, self._last_words)
        if self.outcome.failed_step:
            step, text = self.outcome.failed_step, self.outcome.failure
            self.tell("failed", step=step, message=text)

    def _show(self, event: Event) -> None:
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

    def _read_messages(self) -> None:
        for message in self._messages.read():
            self._tracker.put(message)
            self._hear(message)

    def _hear(self, message: Mapping[str, Any]) -> None:
        kind, step, outcome = message["kind"], message.get("step", ""), self.outcome
        told = message.get("lineage", {})
        outcome.lineage.update({k: v for k, v in told.items() if FELL_OUT not in v})
        if kind == "progress":
            self._display.progress(step, message["done"], message["total"])
        elif kind == "epoch":
            trial = label(message.get("trial", {}))
            self._display.epoch(step, message["row"], self._epochs, trial=trial)
        elif kind == "fell_out":
            trial, reason = label(message["trial"]), message["reason"]
            self._display.warn(f"{trial} fell out: {reason}")
            if not message["for_good"]:
                self._not_for_good.append(Path(message["folder"]))
        elif kind == "selected":
            outcome.fell_out = message["fell_out"]
            chosen = f"{label(message['trial'])}, val mIoU {message['val_miou']:.3f}"
            outcome.chosen = f"{chosen}, the best of {message['trials']}"
        elif kind == "finished":
            outcome.finished.add(step)
        elif kind == "failed" and not outcome.failed_step:
            outcome.failed_step, outcome.failure = step, message["message"]
        elif kind == "decided":
            outcome.verdict, outcome.reasons = message["verdict"], message["reasons"]
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
