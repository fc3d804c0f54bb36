"""How a pipeline run ended: decided from what is known, and put into its run.

The event of the end says it in words of three kinds: the local runner's and KFP's
(SUCCEEDED, FAILED, CANCELED), which are certain, and ML Metadata's (COMPLETE, RUNNING),
which the exit task gets and which are hints where KFP's API did not answer.
"""

import re
from collections.abc import Mapping

from seglib.runtime.events import Event
from seglib.tracking.tracked_run import TrackedRun

FINISHED, FAILED, KILLED = "FINISHED", "FAILED", "KILLED"  # MLflow's
_CERTAIN = {
    "SUCCEEDED": FINISHED,
    "FAILED": FAILED,
    "CANCELED": KILLED,
    "CANCELLED": KILLED,
}
# RUNNING is said where the gate held, too; but then the run has its verdict.
_HINTS = {"COMPLETE": FINISHED, "RUNNING": KILLED}
_LOUD = ("failed", "stopped")  # of a step, whatever its tag said before
_EXITED = re.compile(r"Error \(exit code 1\)")  # it ended itself, and told why


def status_of(event: Event, tags: Mapping[str, str]) -> str:
    """MLflow's word for how a run ended, by that event and the run's tags."""
    state = event["state"]
    word = event.get("word", state)  # the exit task's, where it knows better
    certain = _CERTAIN.get(state)
    if certain and not (certain == FINISHED and word == "FAILED"):
        return certain
    if tags.get("verdict") == "hold" or tags.get("step.export") == "executed":
        return FINISHED
    if tags.get(f"step.{tags.get('failed_step')}") == "failed":
        return FAILED
    return _HINTS.get(word, FAILED)


def record_end(run: TrackedRun, event: Event) -> None:
    """How the run ended, what became of its steps, and why one of them failed."""
    tags = run.tags()
    told = {
        f"step.{step}": word
        for step, word in event.get("steps", {}).items()
        if word in _LOUD or f"step.{step}" not in tags
    }
    if failed := event.get("failed_step"):
        has_said = failed == tags.get("failed_step") and tags.get("failure")
        told["failed_step"] = failed
        if not (has_said and _EXITED.match(event["failure"])):
            told["failure"] = event["failure"]
    run.log(tags=told)
    run.close(status_of(event, tags), name=event.get("run_name", ""))
