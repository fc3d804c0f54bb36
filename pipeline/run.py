"""A whole run on this machine: start the runner, follow it, track it, end it truly."""

import json
import os
import signal
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from components.step import MESSAGES, RUN_ID, now_ms
from pipeline.containers import stop_containers
from pipeline.display import Display
from pipeline.events import Event, MessageFile, RunnerOutput
from pipeline.folder import link_outputs
from pipeline.inputs import REPOSITORY, Data, git_commit
from pipeline.process import RunnerProcess, Stopped, termination_as_exception
from pipeline.tracker import TrackerThread
from seglib.config import Config

_SILENT_END = "It ended without a word: killed, perhaps for lack of memory."


@dataclass
class Outcome:
    """How a run ended, and where its outputs are."""

    folder: Path
    state: str = "FAILED"  # or SUCCEEDED, CANCELLED
    verdict: str = ""
    reasons: str = ""
    failed_step: str = ""
    failure: str = ""
    stopped_by: str = ""  # a signal's name
    cached: list[str] = field(default_factory=list)
    executed: list[str] = field(default_factory=list)
    finished: set[str] = field(default_factory=set)
    lineage: dict[str, dict[str, Any]] = field(default_factory=dict)
    links: dict[str, Path] = field(default_factory=dict)
    tracking_uri: str = ""
    experiment_id: str = ""
    tracking_id: str = ""

    @property
    def exit_status(self) -> int:
        """0, 1 when a step failed, 130 after Ctrl-C, as shells count signals."""
        if self.stopped_by:
            return 128 + signal.Signals[self.stopped_by]
        return 0 if self.state == "SUCCEEDED" else 1

    def outputs(self) -> dict[str, Path]:
        """The output folder of each step that has one."""
        return {step: Path(origin["folder"]) for step, origin in self.lineage.items()}


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
) -> Outcome:
    """Run the whole DAG.

    Args:
        folder: of the run, made by `create_run_folder`; its name is the run's.
        code_version: of what computes: the sources, or the image.
        cache: index of what can be reused; `None` reuses nothing.
        container: settings of the container runner; `None` runs subprocesses.

    Returns:
        The outcome. A failed step is an outcome, and so is Ctrl-C.
    """
    messages = folder / "messages.jsonl"
    told = {RUN_ID: folder.name, MESSAGES: str(messages)}
    if container:
        container = {**container, "environment": container["environment"] | told}
    request = {
        "container": container,
        "folder": str(folder),
        "cache": str(cache) if cache else "",
        "parameters": {
            "data_md5": data.data_md5,
            "remote": data.remote,
            "code_version": code_version,
            **config.flat(),
        },
    }
    request_file = folder / "request.json"
    request_file.write_text(json.dumps(request, indent=1) + "\n", encoding="utf-8")
    tracker = TrackerThread(tracking_uri, warn=display.warn)
    run = _Run(folder, tracker=tracker, display=display, epochs=config.train.epochs)
    environment = _environment(told)
    opening = {
        "parameters": config.flat(),
        "data_md5": data.data_md5,
        "code_version": code_version,
    }
    tags = {"mlflow.source.git.commit": git_commit(), "mlflow.source.name": "pipeline"}
    run.tell("open", **opening, tags=tags)
    try:
        with termination_as_exception():
            run.follow(request_file, environment)
        run.judge()
    except KeyboardInterrupt as stop:
        if container:
            stop_containers(folder.name)
        run.outcome.state = "CANCELLED"
        run.outcome.stopped_by = "SIGTERM" if isinstance(stop, Stopped) else "SIGINT"
        display.stop()
    # Once more what `finalize` told, which may not have come to it, or not known all.
    ended = {k: v for k, v in run.outcome.lineage.items() if "finished" in v}
    run.tell("close", **opening, state=run.outcome.state, lineage=ended)
    run.outcome.links = link_outputs(folder, run.outcome.outputs())
    display.start("track")
    row = tracker.finish()
    display.end("track", "succeeded" if row else "failed")
    if row:
        run.outcome.experiment_id, run.outcome.tracking_id = row.experiment_id, row.id
    run.outcome.tracking_uri = tracking_uri
    return run.outcome


class _Run:
    """The runner's process, and everything that is heard of it."""

    def __init__(
        self, folder: Path, *, tracker: TrackerThread, display: Display, epochs: int
    ):
        self.outcome = Outcome(folder)
        self._folder = folder
        self._tracker = tracker
        self._display = display
        self._epochs = epochs
        self._messages = MessageFile(folder / "messages.jsonl")
        self._status = -1
        self._last_words = ""

    def tell(self, kind: str, **content: Any) -> None:
        """Track something that no step knows."""
        head = {"kind": kind, "run": self._folder.name, "time_ms": now_ms()}
        self._tracker.put({**head, **content})

    def follow(self, request_file: Path, environment: Mapping[str, str]) -> None:
        """Start the runner, and show and track what happens until it ends."""
        process = RunnerProcess(request_file, environment=environment)
        output = RunnerOutput()
        try:
            with (self._folder / "pipeline.log").open("w", encoding="utf-8") as log:
                for line in process.lines():
                    self._read_messages()
                    log.write(line)
                    if event := output.read(line):
                        self._show(event)
            self._status = process.wait()
        finally:
            process.stop()
            self._read_messages()

    def judge(self) -> None:
        """Decide how the run ended by what is there, not only by what KFP says.

        KFP's container runner reports a container that fails at once as a success.
        """
        outcome = self.outcome
        missing = [s for s in outcome.executed if s not in outcome.finished]
        if not outcome.failed_step and missing:
            outcome.failed_step = missing[0]
        if not outcome.failed_step and (self._status or not outcome.verdict):
            outcome.failed_step = "pipeline"
        if outcome.failed_step:
            outcome.failure = outcome.failure or self._last_words or _SILENT_END
            self.tell("failed", step=outcome.failed_step, message=outcome.failure)
        else:
            outcome.state = "SUCCEEDED"

    def _show(self, event: Event) -> None:
        if event.kind in ("printed", "muttered"):
            self._last_words = event.text
            if event.kind == "printed":
                self._display.line(event.text)
        elif event.kind == "cached":
            self.outcome.cached.append(event.step)
            self._display.reuse(event.step)
        elif event.kind == "started":
            self.outcome.executed.append(event.step)
            self._last_words = ""
            self._display.start(event.step)
        else:
            self._display.end(event.step, event.kind)

    def _read_messages(self) -> None:
        for message in self._messages.read():
            self._tracker.put(message)
            self._hear(message)

    def _hear(self, message: Mapping[str, Any]) -> None:
        kind, step, outcome = message["kind"], message.get("step", ""), self.outcome
        outcome.lineage.update(message.get("lineage", {}))
        if kind == "progress":
            self._display.progress(step, message["done"], message["total"])
        elif kind == "epoch":
            self._display.epoch(step, message["row"], self._epochs)
        elif kind == "finished":
            outcome.finished.add(step)
        elif kind == "failed":
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
        "TF_CPP_MIN_LOG_LEVEL": "2",
        "NO_ALBUMENTATIONS_UPDATE": "1",
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, path)),
        "PYTHONUNBUFFERED": "1",
        **told,
    }
