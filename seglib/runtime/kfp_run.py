"""The pipeline run that a pod belongs to, from KFP's API in its cluster.

The exit task's `status.state` is ML Metadata's word: COMPLETE after a success, RUNNING
where the gate held and after a cancel, FAILED. KFP's API knows more: the run's name and
parameters, whether it was stopped, and the outcome of each step with its reason.

The workflow still runs while the exit task asks, and KFP's copy of it may be older: the
end is that of the other steps, and if some of them seem to run, it is asked again.
"""

import json
import logging
import os
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import urllib3
from urllib3.exceptions import HTTPError

from seglib.environment import KFP_API, KFP_UI
from seglib.errors import SegError
from seglib.plain_text import visible, without_login
from seglib.runtime.events import run_id
from seglib.runtime.pod_log import own_lines, path_of_log, refusal
from seglib.runtime.workflow import (
    CACHED,
    CANCELED,
    FAILED,
    PENDING,
    RUNNING,
    SKIPPED,
    SUCCEEDED,
    RunStep,
    Workflow,
    workflow_of,
)

logger = logging.getLogger(__name__)

PAGE_TAG = "kfp.page"
_PLACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
_RUN = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_PAUSES_S: tuple[float, ...] = (0, 1, 2, 4, 8, 15)  # for KFP's copy to be renewed
_PATIENCE = urllib3.Retry(
    total=5,
    redirect=False,
    status_forcelist=(500, 502, 503, 504),
    backoff_factor=1,
    backoff_max=15,
)
_TIMEOUT_S = 10.0
_MOST_BYTES = 256 * 2**20
_LAST_LINES, _LONGEST_LINE = 10, 300
_EXIT_TASK = "finalize"
_WORDS = {  # of a step, in tags
    FAILED: "failed",
    CANCELED: "stopped",
    CACHED: "cached",
    SUCCEEDED: "executed",
    SKIPPED: "not reached",
    RUNNING: "stopped",
    PENDING: "not reached",
}
_BAD = (_WORDS[FAILED], _WORDS[CANCELED])


def about(run: str) -> tuple[str, dict[str, Any]]:
    """The name of a run and its parameters; empty where KFP does not tell them."""
    if not _address(run):
        return "", {}
    try:
        answer = json.loads(_read(run, f"/apis/v2beta1/runs/{run}", retries=False))
        parameters = (answer.get("runtime_config") or {}).get("parameters") or {}
        return str(answer.get("display_name") or ""), dict(parameters)
    except (ValueError, AttributeError):
        return "", {}  # the exit task asks again


def page_of(run: str) -> dict[str, str]:
    """The tag with a run's page, from the path on where the UI's address is not set."""
    if not _RUN.fullmatch(run):
        return {}
    ui = os.environ.get(KFP_UI, "").strip().rstrip("/")
    return {PAGE_TAG: f"{ui}/#/runs/details/{run}"}


def ending(word: str) -> dict[str, Any]:
    """How this run ended, for the event of its end.

    Args:
        word: `status.state` of the exit task, for a run of which KFP's API tells no
            more.

    Returns:
        `state` (KFP's, or the word) and `word`; if KFP's API answers, `parameters`
        (what the run was given), `run_name`, `steps`, and `failed_step` and `failure`
        if a step failed.
    """
    run = run_id()
    told: dict[str, Any] = {"state": word, "word": word}
    if not _address(run):
        return told
    reason = ""
    for pause in _PAUSES_S:
        time.sleep(pause)
        try:
            answer = json.loads(_read(run, f"/apis/v2beta1/runs/{run}"))
            config = answer.get("runtime_config") or {}
            workflow = workflow_of(_read(run, f"/apis/v1beta1/runs/{run}"))
        except (ValueError, AttributeError) as error:
            reason = without_login(f"{type(error).__name__}: {error}")[:300]
            break
        told["parameters"] = config.get("parameters", {})
        if state := _state(answer, workflow):
            name = str(answer.get("display_name") or workflow.run_name)
            return {
                **told,
                "state": state,
                "run_name": name,
                **_steps(run, workflow, state),
            }
        reason = "its copy of the workflow is older"
    logger.warning(
        "KFP does not say how the run ended (%s: %s). The steps' own events decide.",
        _address(run),
        reason,
    )
    return told


def _state(answer: Mapping[str, Any], workflow: Workflow) -> str:
    """How the steps ended; empty where KFP's copy is from before that."""
    history = answer.get("state_history") or ()
    if workflow.stopped or any(one.get("state") == "CANCELING" for one in history):
        return CANCELED
    if workflow.failed:
        return FAILED
    has_begun = any(step.name == _EXIT_TASK for step in workflow.steps)
    return SUCCEEDED if has_begun else ""


def _steps(run: str, workflow: Workflow, state: str) -> dict[str, Any]:
    """What became of each step, and why one failed."""
    words = _WORDS if state != CANCELED else {**_WORDS, FAILED: _WORDS[CANCELED]}
    steps: dict[str, str] = {}
    for step in workflow.steps:
        word, name = words[step.state], _short(step)
        if name != _EXIT_TASK and steps.get(name) not in _BAD:  # of several trials
            steps[name] = word
    failed = workflow.failed
    if state != FAILED or not failed:
        return {"steps": steps}
    reason = failed.message or "failed, and Argo says no reason"
    failure = "\n".join([reason, *_last_lines(run, failed)])
    return {"steps": steps, "failed_step": _short(failed), "failure": failure}


def _last_lines(run: str, step: RunStep) -> list[str]:
    """The last lines that the step printed, if KFP has them."""
    if not step.attempts:
        return []
    try:
        text = _read(run, path_of_log(run, step.attempts[-1].pod))
    except SegError as error:
        logger.warning("no log of %s: %s", step.name, error)
        return []
    lines = [] if refusal(text) else [*own_lines(text.splitlines())]
    told = [visible(line.rstrip())[:_LONGEST_LINE] for line in lines if line.strip()]
    return [without_login(line) for line in told[-_LAST_LINES:]]


def _short(step: RunStep) -> str:
    """A step's name in tags: train for train-model."""
    return step.name.partition("-")[0]


def _read(run: str, path: str, *, retries: urllib3.Retry | bool | None = None) -> str:
    """An answer's text.

    Raises:
        SegError: there is none.
    """
    try:
        with urllib3.request(
            "GET",
            f"{_address(run)}{path}",
            timeout=_TIMEOUT_S,
            retries=_PATIENCE if retries is None else retries,
            preload_content=False,
        ) as answer:
            text = answer.read(_MOST_BYTES).decode(errors="replace")
    except HTTPError as error:
        raise SegError(f"{type(error).__name__}: {error}") from error
    if answer.status >= 300:
        raise SegError(f"HTTP {answer.status}")
    return text


def _address(run: str) -> str:
    """Where the API is; empty where there is none to be asked for this run."""
    if not _RUN.fullmatch(run):
        return ""
    if given := os.environ.get(KFP_API, "").strip().rstrip("/"):
        return given
    try:
        namespace = _PLACE.read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        return ""  # this is no pod
    return f"http://ml-pipeline.{namespace}:8888"
