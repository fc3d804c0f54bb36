"""How a run ended, judged by what is there."""

import signal
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_SILENT_END = "It ended without a word: killed, perhaps for lack of memory."
_SKIPPED = "The gate promotes the model, but the runner skipped the export."


@dataclass
class Outcome:
    """What became of a run, and where its outputs are."""

    folder: Path
    state: str = "FAILED"  # or SUCCEEDED, CANCELED
    chosen: str = ""  # the trial of a sweep
    failed_trials: dict[str, str] = field(default_factory=dict)  # and why
    verdict: str = ""
    reasons: str = ""
    failed_step: str = ""
    failure: str = ""
    stopped_by: str = ""  # a signal's name
    cached: list[str] = field(default_factory=list)
    executed: list[str] = field(default_factory=list)
    finished: set[str] = field(default_factory=set)  # of the executed
    lineage: dict[str, dict[str, Any]] = field(default_factory=dict)
    links: dict[str, Path] = field(default_factory=dict)
    tracking_uri: str = ""
    experiment_id: str = ""
    tracking_id: str = ""
    promotion: str = ""  # what the registry made of the model
    publication: str = ""  # where its export is
    tracking_required: bool = False
    untracked: int = 0  # events that wait for the store
    untracked_reason: str = ""
    refused: int = 0  # events that it refused for what they say

    @property
    def exit_status(self) -> int:
        """0, 1 when a step failed, 130 after Ctrl-C, as shells count signals."""
        if self.stopped_by:
            return 128 + signal.Signals[self.stopped_by]
        if self.tracking_required and (self.untracked or self.refused):
            return 1
        return 0 if self.state == "SUCCEEDED" else 1

    def outputs(self) -> dict[str, Path]:
        """The output folder of each step that has one."""
        return {step: Path(origin["folder"]) for step, origin in self.lineage.items()}

    def judge(self, status: int, last_words: Mapping[str, str]) -> None:
        """Decide between SUCCEEDED and FAILED.

        By what the steps told, not only by what KFP says: its container runner
        reports a container that fails at once as a success, and it skips a condition
        that it cannot resolve.

        Args:
            status: the runner's exit status.
            last_words: what each step, and the pipeline, printed last.
        """
        silent = [step for step in self.executed if step not in self.finished]
        if not self.failed_step and silent:
            self.failed_step = silent[0]
        elif not self.failed_step and (status or not self.verdict):
            self.failed_step = "pipeline"
        elif not self.failed_step and self._lacks_export():
            self.failed_step, self.failure = "export", _SKIPPED
        if self.failed_step:
            words = last_words.get(self.failed_step, _SILENT_END)
            self.failure = self.failure or words
        self.state = "FAILED" if self.failed_step else "SUCCEEDED"

    def _lacks_export(self) -> bool:
        return self.verdict == "promote" and "export" not in self.finished
