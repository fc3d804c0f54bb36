"""What KFP's local runner prints: which task runs, which is cached, and its lines."""

import re
from dataclasses import dataclass

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_STARTED = re.compile(r"Executing task '([\w-]+)'$")
_CACHED = re.compile(r"Task ([\w-]+) cache hit ")
_ENDED = re.compile(r"Task '([\w-]+)' finished with status (\w+)$")
# TensorFlow's own words, on the CPU and the GPU that it finds or does not find, and on
# files that are not yet where they will be; and those of KFP's container runner.
_CHATTER = re.compile(
    r"[IWE]0000 00:00:|WARNING: All log messages before absl::|Assets written to: "
    r"|Found image '|Function `\w+` contains input name"
)
_TRACEBACK = "Traceback (most recent call last):"
_INDENT = "    "  # KFP's, of everything that a task prints
_EXECUTOR = "[KFP Executor "


@dataclass(frozen=True)
class RunnerEvent:
    """Something that happened to a step.

    kind: started, cached, succeeded or failed; printed, a line; or muttered, a line
    that only the log needs.
    """

    kind: str
    step: str
    text: str = ""


class RunnerOutput:
    """Finds the events in the lines that KFP's local runner prints."""

    def __init__(self) -> None:
        self._step = ""
        self._in_dump = False  # of the executor's input
        self._deeper = ""  # KFP's indent grows by what ran at the same time
        self._in_traceback = False

    def read(self, line: str) -> RunnerEvent | None:
        """The event that a line tells, if any."""
        line = _COLOUR.sub("", line.rstrip("\n"))
        if found := _CACHED.match(line):
            return RunnerEvent("cached", _step_name(found[1]))
        if found := _STARTED.search(line):
            self._step = _step_name(found[1])
            return RunnerEvent("started", self._step)
        if found := _ENDED.search(line):
            ended, self._step = _step_name(found[1]), ""
            kind = "succeeded" if found[2] == "SUCCESS" else "failed"
            return RunnerEvent(kind, ended)
        if self._step and line.startswith(_INDENT):
            return self._read_printed(line.removeprefix(_INDENT))
        return None

    def _read_printed(self, text: str) -> RunnerEvent | None:
        if text.lstrip().startswith(_EXECUTOR):
            self._deeper = text[: len(text) - len(text.lstrip())]
            self._in_dump = text.endswith("executor_input:")
            return None
        text = text.removeprefix(self._deeper)
        if self._in_dump:
            self._in_dump = text != "}"
            return None
        if text.startswith(_TRACEBACK):
            self._in_traceback = True
        elif self._in_traceback and not text.startswith(" "):
            self._in_traceback = False  # with the exception's own line
            return RunnerEvent("muttered", self._step, text)
        if self._in_traceback or _CHATTER.match(text) or not text.strip():
            return None
        return RunnerEvent("printed", self._step, text)


def _step_name(task: str) -> str:
    """verify-data → verify."""
    return task.partition("-")[0]
