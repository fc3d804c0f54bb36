"""The state of a pipeline run and its steps, read from Argo's workflow.

KFP's own list of tasks mixes steps with machinery, and has no pods and no reasons.
Argo's JSON has all of that: `GET /apis/v1beta1/runs/ID`, where
`pipeline_runtime.workflow_manifest` holds the workflow as text, and its `status.nodes`
one entry a node. As Argo 4.0.5 under KFP 2.17.0 writes them:

    segmentation-training-x7k2p(0).root(0).exit-handler-1(0).train-model(0).executor(1)
    workflow                       dags                      step         a pod

A number in parentheses counts repetitions. A step from the cache has an executor that
is Skipped, one that was never reached is Omitted itself.
"""

import base64
import binascii
import gzip
import json
import re
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from seglib.errors import SegError

PENDING, RUNNING, SUCCEEDED, FAILED = "PENDING", "RUNNING", "SUCCEEDED", "FAILED"
CACHED, SKIPPED, CANCELED = "CACHED", "SKIPPED", "CANCELED"

_STATES = {
    "": PENDING,
    "Pending": PENDING,
    "Running": RUNNING,
    "Succeeded": SUCCEEDED,
    "Failed": FAILED,
    "Error": FAILED,
    "Skipped": SKIPPED,
    "Omitted": SKIPPED,
}
# Argo's template of a step; with annotations metadata-1-0-retry-system-container-…
_STEP = "system-container-executor"
_DRIVER = "system-container-driver"  # decides whether it is cached
_ENDS = ("", "(0)", "-driver")  # of names of nodes that belong to a step
_EXIT = ".onExit(0)."  # of the exit task, which comes last
_COUNT = re.compile(r"\(\d+\)$")
_ITERATION = re.compile(r"iteration-iterations\((\d+):")
# How Argo refuses further attempts in a workflow that was told to stop.
_STOPPED = "exceeded workflow deadline"
_WHY_NO_MORE = "retryStrategy.expression"  # … evaluated to false: after each failure
_MOST_BYTES = 256 * 2**20  # of unpacked nodes: 100,000 take a tenth


@dataclass(frozen=True, kw_only=True)
class StepPod:
    """One pod of a step."""

    node_id: str
    pod: str  # its name in Kubernetes
    state: str
    started: datetime | None
    ended: datetime | None
    message: str  # why it waits or failed, in Argo's words


@dataclass(frozen=True, kw_only=True)
class RunStep:
    """A step of the pipeline, with all its pods."""

    name: str  # as in the pipeline: train-model
    trial: int | None  # its number where the step is repeated for each of a list
    state: str
    started: datetime | None
    ended: datetime | None
    attempts: tuple[StepPod, ...]
    message: str  # why it waits, failed or was skipped; empty where all is well

    @property
    def label(self) -> str:
        """Its short name: train for train-model, train[1] for the second trial."""
        short = re.sub("-(model|data)$", "", self.name)
        return short if self.trial is None else f"{short}[{self.trial}]"

    def duration_s(self, now: datetime | None = None) -> float | None:
        """Until its end, or until now."""
        if not self.started:
            return None
        return ((self.ended or now or datetime.now(UTC)) - self.started).total_seconds()


@dataclass(frozen=True, kw_only=True)
class Workflow:
    """A run as Argo has it."""

    run_name: str
    stopped: bool  # whether it was told to end before its time
    steps: tuple[RunStep, ...]  # in the order of their starts

    @property
    def failed(self) -> RunStep | None:
        """The first step that failed; None if there is none."""
        return next((step for step in self.steps if step.state == FAILED), None)


def workflow_of(text: str) -> Workflow:
    """The workflow in KFP's answer to `GET /apis/v1beta1/runs/ID`.

    Raises:
        SegError: the answer holds no workflow, or one whose nodes are kept elsewhere.
    """
    try:
        answer = json.loads(text)
        text = (answer.get("pipeline_runtime") or {}).get("workflow_manifest") or ""
        manifest = json.loads(text)
        metadata, spec = manifest["metadata"], manifest.get("spec") or {}
        status = manifest.get("status") or {}
        told = spec.get("activeDeadlineSeconds") == 0 or bool(spec.get("shutdown"))
        stopped = told or _STOPPED in str(status.get("message") or "")
        notes = metadata.get("annotations") or {}
        steps = _steps(str(metadata["name"]), _nodes(status), stopped=stopped)
        return Workflow(
            run_name=str(notes.get("pipelines.kubeflow.org/run_name", "")),
            stopped=stopped,
            steps=tuple(steps),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise SegError(
            "KFP's answer holds no workflow that can be read. Expected: the JSON of an "
            "Argo workflow in pipeline_runtime.workflow_manifest. Received: "
            f"{text[:200] or 'nothing'} ({type(error).__name__}: {error})."
        ) from error


def pod_name(workflow: str, template: str, node_id: str) -> str:
    """The name of a node's pod: WORKFLOW-TEMPLATE-HASH, shortened as by Argo."""
    number = node_id.rpartition("-")[2]
    longest = 253 - len(number) - 1
    prefix = f"{workflow}-{template}"
    return f"{prefix[:longest]}-{number}" if template else node_id


def _nodes(status: Mapping[str, Any]) -> dict[str, Any]:
    """The nodes, unpacked."""
    if status.get("nodes"):
        return dict(status["nodes"])
    if packed := status.get("compressedNodes"):
        try:
            unpacker = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
            content = unpacker.decompress(
                base64.b64decode(packed, validate=True), _MOST_BYTES
            )
            if not unpacker.eof:
                raise SegError(f"The workflow's nodes take over {_MOST_BYTES:,} bytes.")
            return dict(json.loads(content))
        except (binascii.Error, zlib.error, gzip.BadGzipFile) as error:
            raise ValueError(f"compressedNodes: {error}") from error
    if status.get("offloadNodeStatusVersion"):
        raise SegError(
            "The workflow is so large that Argo keeps its nodes in a database of its "
            "own, which KFP's API does not give. Argo's own server shows them."
        )
    return {}


def _steps(
    workflow: str, nodes: Mapping[str, Any], *, stopped: bool
) -> Iterator[RunStep]:
    by_name = {str(node["name"]): node for node in nodes.values()}
    places: dict[str, None] = {}
    for name, node in by_name.items():
        template = str(node.get("templateName") or "")
        if template.endswith(_STEP):
            places.setdefault(_COUNT.sub("", name))
        elif template == _DRIVER:
            places.setdefault(_COUNT.sub("", name).removesuffix("-driver"))

    def begun(place: str) -> str:
        times = [by_name.get(f"{place}{end}", {}).get("startedAt") for end in _ENDS]
        return min((str(time) for time in times if time), default="~")

    for place in sorted(places, key=lambda place: (_EXIT in place, begun(place))):
        yield _step(workflow, place, by_name, stopped=stopped)


def _step(
    workflow: str, place: str, by_name: Mapping[str, Any], *, stopped: bool
) -> RunStep:
    pattern = re.compile(rf"{re.escape(place)}\(\d+\)\.executor(\(\d+\))?")
    executors = [node for name, node in by_name.items() if pattern.fullmatch(name)]
    pods = [node for node in executors if node["type"] == "Pod"]
    pods.sort(key=lambda node: str(node.get("startedAt")))
    attempts = tuple(
        StepPod(
            node_id=str(node["id"]),
            pod=pod_name(workflow, str(node.get("templateName") or ""), node["id"]),
            state=_state(node),
            started=_time(node.get("startedAt")),
            ended=_time(node.get("finishedAt")),
            message=str(node.get("message") or ""),
        )
        for node in pods
    )
    driver = by_name.get(f"{place}-driver", {})
    node = by_name.get(place) or by_name.get(f"{place}(0)") or driver
    state, message = _state(node), str(node.get("message") or "")
    if node is driver and state in (RUNNING, SUCCEEDED):
        state = PENDING  # it is still decided whether it is cached
    if state == SUCCEEDED and not pods and executors:
        state, message = CACHED, ""
    elif state == FAILED and stopped and _STOPPED in message:
        state, message = CANCELED, "stopped on request"
    elif state == FAILED:
        message = _reason(attempts, executors, message)
    elif state in (RUNNING, PENDING) and attempts:
        # Of a pod without a place, the sentence on the next best remedy is left out.
        state, message = attempts[-1].state, attempts[-1].message.partition(". ")[0]
        if state not in (RUNNING, PENDING):
            state = RUNNING  # the next attempt is about to come
    elif state == SUCCEEDED:
        message = ""
    elif state == SKIPPED:
        message = "not reached" if node.get("phase") == "Omitted" else "its condition"
    trial = _ITERATION.findall(place)
    return RunStep(
        name=place.rpartition(".")[2],
        trial=int(trial[-1]) if trial else None,
        state=state,
        started=None if state == SKIPPED else _time(node.get("startedAt")),
        ended=_time(node.get("finishedAt")),
        attempts=attempts,
        message=message,
    )


def _reason(attempts: tuple[StepPod, ...], executors: list[Any], message: str) -> str:
    """Why a step failed: its last pod's message, and why it was not retried."""
    last = attempts[-1].message if attempts else ""
    above = [str(node.get("message") or "") for node in executors]
    found = [last, *(text for text in above if "limit exceeded" in text), message]
    told = (text for text in found if not text.startswith(_WHY_NO_MORE))
    reasons = (text.removeprefix("main: ") for text in told if text)
    return "; ".join(dict.fromkeys(reasons))


def _state(node: Mapping[str, Any]) -> str:
    return _STATES.get(str(node.get("phase") or ""), RUNNING)


def _time(text: Any) -> datetime | None:
    return datetime.fromisoformat(str(text)) if text else None
