"""The Kubernetes API of a cluster with Kubeflow Trainer, on loopback.

    with TrainJobApi("B-one-pending", "B-killed", "B-complete") as api: …

A job that is applied goes through recorded moments (`recorded/train-job/MOMENT.json`:
TrainJob and pods of Kubeflow Trainer 2.3.0 as `kubectl get` gave them, without specs;
`logs.json`: what pods printed), one each time that TrainJobs are listed. What the
server refuses, it refuses in the recorded words.

    api.use(monkeypatch, folder) has a kubeconfig lead to it
    api.there()                  a job of before, at the last moment
    api.asked                    what came: "PATCH trainjobs dry run" …
    api.faults                   statuses that the next requests get; 200: none
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.loopback import Loopback, Reply, Request, use_kubeconfig

RECORDED = Path(__file__).parent / "recorded" / "train-job"
LOGS: Mapping[str, list[str]] = json.loads((RECORDED / "logs.json").read_text())
JOB_B = "train-43fd10e-105973d-badd77a3"
TOKEN = "a-users-token"
_PATH = re.compile(
    r"/api(?:s/[a-z0-9.-]+)?/v\w+/namespaces/kubeflow/(\w+)(?:/([^/]+))?(/log)?"
)
_NO_RUNTIME = (  # 02-dry-run.txt
    'admission webhook "validator.trainjob.trainer.kubeflow.org" denied the request: '
    "spec.runtimeRef: Invalid value: TrainingRuntime.trainer.kubeflow.org not found: "
    "specified trainingRuntime must be created before the TrainJob is created"
)


class TrainJobApi(Loopback):
    """The server."""

    def __init__(self, *moments: str, has_trainer: bool = True):
        self.moments = [
            json.loads((RECORDED / f"{m}.json").read_text()) for m in moments
        ]
        self.has_trainer = has_trainer
        self.objects: dict[str, dict[str, Any]] = {}  # kind → what was applied
        self.asked: list[str] = []
        self.faults: list[int] = []
        self._moment, self._leaving = -1, 0
        super().__init__()

    def use(self, patch: pytest.MonkeyPatch, folder: Path) -> None:
        use_kubeconfig(patch, folder, self.url, token=TOKEN)

    def there(self) -> None:
        self.objects["trainjobs"] = {}
        self._moment = len(self.moments) - 1

    def reply(self, request: Request) -> Reply:
        assert request.headers["authorization"] == f"Bearer {TOKEN}"
        given = request.method, request.path, request.query, request.json
        return Reply(*self.answer(*given))

    def answer(
        self, method: str, path: str, query: Mapping[str, str], body: Any
    ) -> tuple[int, Any]:
        found = _PATH.fullmatch(path)
        assert found, path
        plural, name, log = found.groups()
        dry = " dry run" if query.get("dryRun") == "All" else ""
        self.asked.append(f"{method} {plural}{dry}")
        if self.faults and (status := self.faults.pop(0)) != 200:
            return _refusal(status, "the server is overloaded")
        if plural.startswith("train") and not self.has_trainer:
            return _refusal(404, "the server could not find the requested resource")
        if log:
            return self._log(name, query)
        if method == "PATCH":
            return self._apply(plural, body, dry=bool(dry))
        if method == "DELETE":
            assert body["preconditions"]["uid"]
            self.objects.pop(plural, None)
            self._leaving = 2 if plural == "trainjobs" else 0
            return 200, {"status": "Success"}
        if name:
            made = self.objects.get(plural)
            return (200, made) if made else _refusal(404, f"{name} not found")
        return 200, {"items": self._list(plural, query)}

    def _apply(self, plural: str, document: Any, *, dry: bool) -> tuple[int, Any]:
        if plural == "trainjobs" and "trainingruntimes" not in self.objects:
            return _refusal(403, _NO_RUNTIME)
        if not dry:
            self.objects[plural] = document
        metadata = {**document["metadata"], "uid": f"uid-of-{plural}"}
        return 201, {**document, "metadata": metadata}

    def _list(self, plural: str, query: Mapping[str, str]) -> list[Any]:
        if plural == "trainjobs":
            if plural not in self.objects:
                return []
            self._moment = min(self._moment + 1, len(self.moments) - 1)
        elif plural not in self.objects and "trainjobs" not in self.objects:
            self._leaving -= 1  # pods go after their job
            if self._leaving < 0:
                return []
        kind = {"trainjobs": "TrainJob", "pods": "Pod"}[plural]
        label, _, value = query["labelSelector"].partition("=")
        return [
            one
            for one in self.moments[self._moment]
            if one["kind"] == kind and one["metadata"]["labels"][label] == value
        ]

    def _log(self, pod: str, query: Mapping[str, str]) -> tuple[int, Any]:
        assert query["container"] == "node"
        assert query["timestamps"] == "true"
        (one,) = (p for p in self.moments[self._moment] if p["metadata"]["name"] == pod)
        if "running" in one["status"]["containerStatuses"][0]["state"]:
            printed = LOGS.get(pod, [])[:-1]  # the last line comes with its end
        else:
            printed = LOGS.get(pod, [])
        # Two lines a second, and zeros at the end left out, as Kubernetes does.
        lines = [
            (f"2026-11-26T20:40:{n // 2:02}{'' if n % 2 == 0 else '.5'}Z", text)
            for n, text in enumerate(printed)
        ]
        since = query.get("sinceTime", "")[:19]
        return 200, "".join(f"{at} {text}\n" for at, text in lines if at[:19] >= since)


def _refusal(status: int, message: str) -> tuple[int, Any]:
    return status, {"kind": "Status", "message": message, "code": status}
