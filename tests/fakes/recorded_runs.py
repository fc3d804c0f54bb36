"""Runs that a real Kubeflow Pipelines 2.17.0 answered for, at any moment of them.

`recorded/CASE` holds both answers about a run: v2beta1, with KFP's rows of tasks, and
v1beta1, with Argo's workflow. `Recorded(CASE)` gives them for a run of another id and
name, as they were at one of its moments: what had not begun by then is left out, what
had not ended is running. The last moment is the file itself. (Of the runs of one step
the values of `pod-spec-patch`, which nothing reads, are left out.)
"""

import base64
import copy
import functools
import gzip
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

RECORDED = Path(__file__).parent / "recorded"
_NEVER = ("", "0001-01-01T00:00:00Z", "1970-01-01T00:00:00Z")
_TIME = re.compile(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ")
_FINISHED = ("SUCCEEDED", "FAILED")


class Recorded:
    """One recorded run."""

    def __init__(self, case: str):
        self.case = case
        self._v2, self._v1 = _read(case, "v2beta1"), _read(case, "v1beta1")
        manifest = json.loads(self._v1["pipeline_runtime"]["workflow_manifest"])
        times = {
            str(node[edge])
            for node in nodes_of(manifest).values()
            for edge in ("startedAt", "finishedAt")
            if node.get(edge)
        }
        self.moments = (*sorted(times)[:-1], "")  # the last: as recorded

    @property
    def ends(self) -> bool:
        """Whether the run had ended when it was recorded."""
        return self._v2["state"] in _FINISHED

    def v2beta1(self, run: Mapping[str, Any], moment: str = "") -> dict[str, Any]:
        """KFP's answer about a run that was made here."""
        names = ("state", "state_history", "finished_at", "run_details")
        told = {name: self._v2[name] for name in names}
        if moment:
            history = [
                entry
                for entry in told["state_history"]
                if entry["update_time"] <= moment and entry["state"] not in _FINISHED
            ]
            tasks = [
                {**task, "state": "RUNNING", "end_time": _NEVER[1]}
                if task.get("end_time", "") > moment
                else task
                for task in told["run_details"]["task_details"]
                if task.get("start_time", "") <= moment
            ]
            told = {
                "state": history[-1]["state"] if history else "PENDING",
                "state_history": history,
                "finished_at": _NEVER[2],
                "run_details": {**told["run_details"], "task_details": tasks},
            }
        return {**run, **self._of(run, told)}

    def v1beta1(self, run: Mapping[str, Any], moment: str = "") -> dict[str, Any]:
        """Its answer with Argo's workflow."""
        told = copy.deepcopy(self._v1)
        if moment:
            manifest = json.loads(told["pipeline_runtime"]["workflow_manifest"])
            status = manifest["status"]
            nodes = {
                key: _as_of(node, moment)
                for key, node in nodes_of(manifest).items()
                if str(node.get("startedAt") or moment) <= moment
            }
            # As Argo answers while a workflow goes on.
            manifest["status"] = {
                "phase": "Running",
                "startedAt": status.get("startedAt"),
                "finishedAt": None,
            }
            if "compressedNodes" in status:
                packed = gzip.compress(
                    json.dumps(nodes).encode(), compresslevel=1, mtime=0
                )
                manifest["status"]["compressedNodes"] = base64.b64encode(
                    packed
                ).decode()
            else:
                manifest["status"]["nodes"] = nodes
            told["pipeline_runtime"]["workflow_manifest"] = json.dumps(manifest)
        return self._of(run, told)

    def _of(self, run: Mapping[str, Any], told: Mapping[str, Any]) -> dict[str, Any]:
        """What was told of the recorded run, as it is told of this one."""
        text = json.dumps(told).replace(self._v2["run_id"], run["run_id"])
        old = json.dumps(self._v2["display_name"])[1:-1]
        # Within the workflow, which is JSON in a text, a quotation mark is escaped.
        new = json.dumps(json.dumps(run["display_name"])[1:-1])[1:-1]
        begun, recorded = now_at(run["created_at"]), now_at(self._v2["created_at"])
        shift = begun - recorded

        def shifted(match: re.Match[str]) -> str:
            return f"{now_at(match[0]) + shift:%Y-%m-%dT%H:%M:%SZ}"

        found: dict[str, Any] = json.loads(_TIME.sub(shifted, text.replace(old, new)))
        return found


def now_at(moment: str) -> datetime:
    """The time of a moment."""
    return datetime.fromisoformat(moment).astimezone(UTC)


def nodes_of(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """A workflow's nodes, unpacked."""
    status = manifest["status"]
    if packed := status.get("compressedNodes"):
        nodes: dict[str, Any] = json.loads(gzip.decompress(base64.b64decode(packed)))
        return nodes
    return dict(status.get("nodes") or {})


def recorded_body(name: str) -> tuple[int, str]:
    """Status and body of a single recorded request."""
    text = (RECORDED / "http" / f"{name}.txt").read_text()
    head, _, body = text.partition("\n\n")
    (status,) = (line for line in head.splitlines() if line.startswith("HTTP "))
    return int(status.removeprefix("HTTP ")), body


def _as_of(node: Mapping[str, Any], moment: str) -> dict[str, Any]:
    known = dict(node)
    if str(known.get("finishedAt") or "") > moment:
        known.update(phase="Running", finishedAt=None)
        known.pop("message", None)
        known.pop("outputs", None)
    return known


@functools.cache
def _text(case: str, version: str) -> str:
    return (RECORDED / case / f"{version}-run.json").read_text()


def _read(case: str, version: str) -> dict[str, Any]:
    answer: dict[str, Any] = copy.deepcopy(json.loads(_text(case, version)))
    return answer
