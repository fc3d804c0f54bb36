"""The Kubernetes API below a `KfpApi`, on loopback.

    with KubernetesApi(kfp) as api: …

Its workflows and scheduled workflows are those of the runs and recurring runs that the
KFP has, and of its ghosts, each as the recorded one (`recorded/http/ghost-*.json`).

    api.use(monkeypatch, folder) has a kubeconfig lead to it
    api.denied.add("delete")     verbs that the role does not allow
    api.deleted                  names of what was deleted
"""

import copy
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.kfp_api import KfpApi
from tests.fakes.loopback import Loopback, Reply, Request, use_kubeconfig
from tests.fakes.recorded_runs import RECORDED

TOKEN = "a-users-token"
_GROUPS = {
    "argoproj.io/v1alpha1": {"workflows": "Workflow"},
    "kubeflow.org/v1beta1": {"scheduledworkflows": "ScheduledWorkflow"},
}
_PAGE = 2  # whatever is asked for: every list has several pages


class KubernetesApi(Loopback):
    """The server, and what became of what it was asked."""

    def __init__(self, kfp: KfpApi, *, namespace: str = "kubeflow"):
        self.kfp, self.namespace = kfp, namespace
        self.denied: set[str] = set()
        self.deleted: list[str] = []
        self.after: Callable[[str], None] = lambda _: None  # of "list workflows" …
        super().__init__()

    def use(self, patch: pytest.MonkeyPatch, folder: Path) -> None:
        use_kubeconfig(patch, folder, self.url, token=TOKEN)

    def reply(self, request: Request) -> Reply:
        return Reply(*self._answer(request))

    def _answer(self, request: Request) -> tuple[int, Any]:
        method, path, query, headers, _ = request
        # kubectl keeps a token to itself where there is no TLS.
        trusted = headers["user-agent"].startswith("kubectl/")
        if not trusted and headers.get("authorization") != f"Bearer {TOKEN}":
            return 401, _status(401, "Unauthorized")
        if path == "/apis" or path in ("/api", "/api/v1"):
            return 200, _discovery(path)
        parts = path.removeprefix("/apis/").split("/")
        version, kinds = "/".join(parts[:2]), _GROUPS.get("/".join(parts[:2]), {})
        if len(parts) == 2:
            return 200, _resources(version, kinds)
        if parts[2:4] != ["namespaces", self.namespace] or parts[4] not in kinds:
            return 404, _status(404, "the server could not find the resource")
        plural, name = parts[4], "/".join(parts[5:])
        verb = {"GET": "get" if name else "list", "DELETE": "delete"}[method]
        if verb in self.denied:
            return 403, _status(403, f"{plural} is forbidden: cannot {verb}")
        objects = list(self._objects(plural))
        self.after(f"{verb} {plural}")
        head = {"apiVersion": version, "kind": kinds[plural]}
        if verb == "list":
            return 200, _page(objects, head, query, headers.get("accept", ""))
        for one in objects:
            if one["metadata"]["name"] == name:
                if verb == "delete":
                    self._delete(one)
                    return 200, {**_status(200, ""), "status": "Success"}
                return 200, {**head, **one}
        return 404, _status(404, f"{plural} {name!r} not found")

    def _objects(self, plural: str) -> Iterator[dict[str, Any]]:
        kept = [*self.kfp.runs.values(), *self.kfp.ghosts.values()]
        if plural == "workflows":
            yield from map(_workflow, (one for one in kept if "run_id" in one))
            return
        kept = [*self.kfp.recurring_runs.values(), *self.kfp.ghosts.values()]
        yield from map(_scheduled, (one for one in kept if "run_id" not in one))

    def _delete(self, one: Mapping[str, Any]) -> None:
        meta = one["metadata"]
        key = meta.get("labels", {}).get("pipeline/runid", meta["uid"])
        assert key in self.kfp.ghosts, "KFP lists what is deleted"
        del self.kfp.ghosts[key]
        self.deleted.append(meta["name"])


def _workflow(run: Mapping[str, Any]) -> dict[str, Any]:
    one = copy.deepcopy(
        json.loads((RECORDED / "http" / "ghost-workflow.json").read_text())
    )
    meta = one["metadata"]
    meta["annotations"]["pipelines.kubeflow.org/run_name"] = run["display_name"]
    meta["labels"]["pipeline/runid"] = run["run_id"]
    completed = run["state"] in ("SUCCEEDED", "FAILED")
    meta["labels"]["workflows.argoproj.io/completed"] = str(completed).lower()
    meta["name"] = meta["generateName"] + run["run_id"][:5]
    meta["creationTimestamp"] = run["created_at"]
    return {**one, "spec": {}}


def _scheduled(recurring: Mapping[str, Any]) -> dict[str, Any]:
    (one,) = json.loads(
        (RECORDED / "http" / "ghost-scheduledworkflow.json").read_text()
    )
    meta, reference = one["metadata"], recurring["pipeline_version_reference"]
    meta["uid"] = recurring["recurring_run_id"]
    meta["generateName"] = recurring["display_name"][:25]
    meta["name"] = meta["generateName"] + meta["uid"][:5]
    meta["creationTimestamp"] = recurring["created_at"]
    one["spec"]["experimentId"] = recurring["experiment_id"]
    one["spec"]["pipelineVersionId"] = reference["pipeline_version_id"]
    return dict(one)


def _page(
    objects: list[dict[str, Any]],
    head: Mapping[str, str],
    query: Mapping[str, str],
    accept: str,
) -> dict[str, Any]:
    start = int(query.get("continue") or 0)
    items = objects[start : start + _PAGE]
    meta = {"resourceVersion": "1"}
    if start + _PAGE < len(objects):
        meta["continue"] = str(start + _PAGE)
    if "as=PartialObjectMetadataList" in accept:
        kind = {"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadataList"}
        shown = [{"metadata": one["metadata"]} for one in items]
        return {**kind, "metadata": meta, "items": shown}
    listed = {**head, "kind": f"{head['kind']}List", "metadata": meta}
    return {**listed, "items": [{**head, **one} for one in items]}


def _status(code: int, message: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Status",
        "metadata": {},
        "status": "Failure",
        "message": message,
        "reason": "Forbidden" if code == 403 else "NotFound",
        "code": code,
    }


def _discovery(path: str) -> dict[str, Any]:
    """What kubectl asks first."""
    if path == "/api":
        return {"kind": "APIVersions", "versions": ["v1"]}
    if path == "/api/v1":
        return _resources("v1", {})
    groups = []
    for version in _GROUPS:
        entry = {"groupVersion": version, "version": version.partition("/")[2]}
        name = version.partition("/")[0]
        groups.append({"name": name, "versions": [entry], "preferredVersion": entry})
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}


def _resources(version: str, kinds: Mapping[str, str]) -> dict[str, Any]:
    listed = [
        {
            "name": plural,
            "singularName": plural[:-1],
            "namespaced": True,
            "kind": kind,
            "verbs": ["delete", "get", "list"],
        }
        for plural, kind in kinds.items()
    ]
    head = {"kind": "APIResourceList", "apiVersion": "v1"}
    return {**head, "groupVersion": version, "resources": listed}
