"""A Kubeflow Pipelines API on loopback, for tests: `with KfpApi() as api: …`.

It keeps pipelines, versions, experiments, runs and recurring runs, as the real server
does; the requests are those of the package kfp-server-api, which the product sends.
What becomes of a run is what a real server answered of one (`recorded_runs.py`):
`become` makes it a recorded one, `play` goes through its moments, one each time that
the run is asked for. `faults` make it fail on purpose.

    api.url                      for `--host`
    api.faults.append(Fault("run_service_create_run", after=True))
    api.become(run_id, "oom")    at its end
    api.play(run_id, "succeeded")
    api.sent                     what came, for canaries
"""

import email
import functools
import json
import re
import threading
import urllib.parse
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import yaml

from benchmarks.waiting import HANG_S
from tests.fakes.loopback import Loopback, Reply, Request
from tests.fakes.recorded_runs import Recorded, recorded_body

_LOG = re.compile(r"/apis/v1alpha1/runs/([^/]+)/nodes/([^/]+)/log")
_V1_RUN = re.compile(r"/apis/v1beta1/runs/([^/:]+)")
_FINISHED = ("SUCCEEDED", "FAILED")
_JSON = {"Content-Type": "application/json"}
# Operations by their names in kfp-server-api, below /apis/v2beta1/.
_OPERATIONS = {
    "healthz_service_get_healthz": "GET healthz",
    "experiment_service_create_experiment": "POST experiments",
    "experiment_service_list_experiments": "GET experiments",
    "pipeline_service_create_pipeline": "POST pipelines",
    "pipeline_service_list_pipelines": "GET pipelines",
    "upload_pipeline_version": "POST pipelines/upload_version",
    "pipeline_service_list_pipeline_versions": "GET pipelines/ID/versions",
    "run_service_create_run": "POST runs",
    "run_service_list_runs": "GET runs",
    "run_service_get_run": "GET runs/ID",
    "run_service_terminate_run": "POST runs/ID:terminate",
    "run_service_delete_run": "DELETE runs/ID",
    "recurring_run_service_create_recurring_run": "POST recurringruns",
    "recurring_run_service_list_recurring_runs": "GET recurringruns",
    "recurring_run_service_get_recurring_run": "GET recurringruns/ID",
    "recurring_run_service_delete_recurring_run": "DELETE recurringruns/ID",
    "recurring_run_service_enable_recurring_run": "POST recurringruns/ID:enable",
    "recurring_run_service_disable_recurring_run": "POST recurringruns/ID:disable",
}
_ROUTES = {
    name: re.compile(place.replace("ID", "(?P<id>[^/:]+)"))
    for name, place in _OPERATIONS.items()
}


@dataclass(frozen=True)
class Call:
    """A request, its operation, and the id in its path."""

    operation: str
    request: Request
    id: str

    @property
    def path(self) -> str:
        return self.request.path

    @property
    def query(self) -> Mapping[str, str]:
        return self.request.query

    @property
    def headers(self) -> Mapping[str, str]:
        return self.request.headers

    @property
    def body(self) -> str:
        return self.request.body.decode("utf-8", "replace")

    @property
    def json(self) -> Any:
        return self.request.json

    def upload(self) -> list[Any]:
        """The documents of an uploaded file."""
        kind = self.headers.get("content-type", "")
        head = f"Content-Type: {kind}\r\n\r\n".encode()
        parts = email.message_from_bytes(head + self.request.body).get_payload()
        assert isinstance(parts, list), kind
        names = [p.get_param("name", header="content-disposition") for p in parts]
        assert names == ["uploadfile"], names
        return _documents(parts[0].get_payload(decode=True))


@dataclass
class Fault:
    """How calls of an operation go wrong.

    Args:
        status: of the answer; 0: the connection is closed without one; 200: none,
            which with `held` makes a slow server.
        after: once the work is done, rather than instead of it.
        times: how many calls.
        meet: as many calls as it says wait for each other first.
        held: they wait for it first.
    """

    operation: str
    status: int = 500
    message: str = "Internal error: the database is away"
    after: bool = False
    times: int = 1
    meet: threading.Barrier | None = None
    held: threading.Event | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    text: str = ""  # of the answer, instead of the JSON of a message

    def reply(self) -> Reply:
        text = self.text or _error(self.message)
        return Reply(self.status, text, {**_JSON, **self.headers})


class Refusal(Exception):  # noqa: N818
    """An answer that says no."""

    def __init__(self, status: int, message: str):
        super().__init__(message)
        self.status = status


class KfpApi(Loopback):
    """The server and what it keeps: dictionaries as they are answered.

    Args:
        prefix: of every path, such as "/pipeline".
        multi_user: whether lists need a namespace.
        token: the bearer token that every request must carry; empty: none.
    """

    def __init__(
        self,
        *,
        prefix: str = "",
        multi_user: bool = False,
        token: str = "",
        cookie: str = "",
        version: str = "2.17.0",
    ):
        self.multi_user, self.token, self.cookie = multi_user, token, cookie
        self.version = version
        self.experiments: dict[str, dict[str, Any]] = {}
        self.pipelines: dict[str, dict[str, Any]] = {}
        self.pipeline_versions: dict[str, dict[str, Any]] = {}
        self.runs: dict[str, dict[str, Any]] = {}
        self.recurring_runs: dict[str, dict[str, Any]] = {}
        # What was made in Kubernetes and did not fit into KFP's tables: it runs, and
        # KFP lists it nowhere.
        self.width = 255  # of the columns DisplayName and Description, in characters
        self.ghosts: dict[str, dict[str, Any]] = {}
        self.logs: dict[tuple[str, str], str] = {}  # (run, pod) → text
        self.extra: dict[tuple[str, str], tuple[int, str]] = {}  # (method, path) →
        self.faults: list[Fault] = []
        self.sent: list[Call] = []
        # The recorded run that a new one is to go through; None: it stays PENDING.
        self.chosen: Callable[[Mapping[str, Any]], str] | None = None
        self.clock: Callable[[], datetime] = lambda: datetime.now(UTC)
        self._plays: dict[str, list[tuple[Recorded, int]]] = {}
        self._at: dict[str, tuple[Recorded, str]] = {}  # of what has become of a run
        self._lock = threading.RLock()
        self._prefix = prefix
        super().__init__()
        self.url += prefix

    def calls(self, operation: str) -> list[Call]:
        """The requests of one operation, as `run_service_create_run`."""
        return [one for one in self.sent if one.operation == operation]

    def run(self) -> dict[str, Any]:
        """The only run."""
        (run,) = self.runs.values()
        return run

    def become(self, run_id: str, case: str, moment: int = -1) -> None:
        """Have a run be a recorded one, at one of its moments; default: the last."""
        with self._lock:
            self._plays.pop(run_id, None)
            self._move(run_id, Recorded(case), moment)

    def play(self, run_id: str, *cases: str) -> None:
        """Have a run go through recorded ones, by a moment each time it is asked for.

        Args:
            run_id: "*": what every new run does.
        """
        self._plays[run_id] = [
            (recorded, moment)
            for recorded in map(Recorded, cases)
            for moment in range(len(recorded.moments))
        ]

    # The operations, by their names in kfp-server-api.

    def healthz_service_get_healthz(self, _: Call) -> Any:
        return {
            "commit_sha": "0" * 40,
            "tag_name": self.version,
            "multi_user": self.multi_user,
            "pipeline_store": "database",
        }

    def experiment_service_create_experiment(self, request: Call) -> Any:
        given = request.json
        name = self._required(given, "display_name")
        for other in self.experiments.values():
            same = other["namespace"] == given.get("namespace", "")
            if other["display_name"] == name and same:
                raise Refusal(409, f"Already exist error: experiment {name}")
        self._namespace(given.get("namespace", ""))
        made = {"namespace": "", **given, "storage_state": "AVAILABLE"}
        return self._keep(self.experiments, "experiment_id", made)

    def experiment_service_list_experiments(self, request: Call) -> Any:
        self._namespace(request.query.get("namespace", ""))
        return self._page(request, "experiments", self.experiments.values())

    def pipeline_service_create_pipeline(self, request: Call) -> Any:
        given = request.json
        name = given.get("name") or given.get("display_name", "")
        if not name:
            raise Refusal(400, "Invalid input error: pipeline's name cannot be empty")
        if any(one["name"] == name for one in self.pipelines.values()):
            raise Refusal(409, f"Already exist error: The name {name} already exist")
        made = {"display_name": name, "namespace": "", **given, "name": name}
        return self._keep(self.pipelines, "pipeline_id", made)

    def pipeline_service_list_pipelines(self, request: Call) -> Any:
        return self._page(request, "pipelines", self.pipelines.values())

    def upload_pipeline_version(self, request: Call) -> Any:
        given = dict(request.query)
        pipeline_id = given.pop("pipelineid", "")
        self._get(self.pipelines, pipeline_id)
        documents = request.upload()
        name = given.get("name") or given.get("display_name") or _new_id()
        for other in self.pipeline_versions.values():
            if other["pipeline_id"] == pipeline_id and other["name"] == name:
                raise Refusal(409, f"Already exist error: pipeline version {name}")
        spec = documents[0]
        if len(documents) > 1:
            spec = {"pipeline_spec": documents[0], "platform_spec": documents[1]}
        made = {"display_name": name, **given, "name": name}
        made |= {"pipeline_id": pipeline_id, "pipeline_spec": spec}
        return self._keep(self.pipeline_versions, "pipeline_version_id", made)

    def pipeline_service_list_pipeline_versions(self, request: Call) -> Any:
        pipeline_id = request.id
        every = self.pipeline_versions.values()
        of = [one for one in every if one["pipeline_id"] == pipeline_id]
        return self._page(request, "pipeline_versions", of)

    def run_service_create_run(self, request: Call) -> Any:
        given = self._job(request.json)
        made = {
            **given,
            "run_id": _new_id(),
            "created_at": self._now(),
            "storage_state": "AVAILABLE",
            "state": "PENDING",
            "state_history": [{"update_time": self._now(), "state": "PENDING"}],
        }
        self._store(made, "run", made["run_id"])
        self.runs[made["run_id"]] = made
        self._plays.setdefault(made["run_id"], list(self._plays.get("*", ())))
        if self.chosen:
            self.play(made["run_id"], self.chosen(made))
        return made

    def run_service_get_run(self, request: Call) -> Any:
        run = self._get(self.runs, request.id)
        if plays := self._plays.get(run["run_id"]):
            self._move(run["run_id"], *plays.pop(0))
        elif run["state"] == "CANCELING":
            self._move(run["run_id"], Recorded("cancelled"), -1)
        return self._told(run)

    def _told(self, run: Mapping[str, Any]) -> dict[str, Any]:
        """What of a run is answered: what was sent, and what became of it."""
        if found := self._at.get(run["run_id"]):
            return found[0].v2beta1(run, found[1])
        return dict(run)

    def _move(self, run_id: str, recorded: Recorded, moment: int) -> None:
        run = self.runs[run_id]
        self._at[run_id] = recorded, recorded.moments[moment]
        told = self._told(run)
        for name in ("state", "state_history", "finished_at"):
            run[name] = told[name]

    def _v1_run(self, run_id: str) -> Reply:
        run = self.runs.get(run_id)
        if run is None:
            return Reply(*recorded_body("run-v1-unknown"), _JSON)
        found = self._at.get(run_id) or (Recorded("running"), "0")
        return Reply(200, found[0].v1beta1(run, found[1]))

    def run_service_list_runs(self, request: Call) -> Any:
        found = self._scoped(request, self.runs)
        return self._page(request, "runs", map(self._told, found))

    def run_service_terminate_run(self, request: Call) -> Any:
        run_id = request.id
        if run_id not in self.runs:
            raise Refusal(404, _message("terminate-unknown"))
        run = self.runs[run_id]
        if run["state"] in _FINISHED:
            raise Refusal(400, _message("terminate-ended"))
        # The list of a run's states is the only place that keeps this word.
        run["state"] = "CANCELING"
        run["state_history"].append({"update_time": self._now(), "state": "CANCELING"})
        self._at.pop(run_id, None)
        self._plays.pop(run_id, None)
        return {}

    def run_service_delete_run(self, request: Call) -> Any:
        self._get(self.runs, request.id)
        del self.runs[request.id]
        return {}

    def recurring_run_service_create_recurring_run(self, request: Call) -> Any:
        given = self._job(request.json)
        enabled = given.get("mode") == "ENABLE"
        made = {
            **given,
            "recurring_run_id": _new_id(),
            "created_at": self._now(),
            "updated_at": self._now(),
            "status": "ENABLED" if enabled else "DISABLED",
        }
        self._store(made, "recurring-run", made["recurring_run_id"])
        self.recurring_runs[made["recurring_run_id"]] = made
        return made

    def recurring_run_service_get_recurring_run(self, request: Call) -> Any:
        return self._get(self.recurring_runs, request.id)

    def recurring_run_service_list_recurring_runs(self, request: Call) -> Any:
        found = self._scoped(request, self.recurring_runs)
        return self._page(request, "recurringRuns", found)

    def recurring_run_service_delete_recurring_run(self, request: Call) -> Any:
        self._get(self.recurring_runs, request.id)
        del self.recurring_runs[request.id]
        return {}

    def recurring_run_service_enable_recurring_run(self, request: Call) -> Any:
        return self._switch(request, "ENABLE")

    def recurring_run_service_disable_recurring_run(self, request: Call) -> Any:
        return self._switch(request, "DISABLE")

    def _switch(self, request: Call, mode: str) -> Any:
        found = self._get(self.recurring_runs, request.id)
        found.update(mode=mode, status=f"{mode}D")
        return {}

    # How a request is answered.

    def reply(self, request: Request) -> Reply:
        if extra := self.extra.get((request.method, request.path)):
            return Reply(*extra, _JSON)
        if not request.path.startswith(self._prefix + "/apis/"):
            return Reply(404, "404 page not found\n")
        path = request.path.removeprefix(self._prefix)
        if match := _LOG.fullmatch(path):
            return self._log(*match.groups())
        if request.method == "GET" and (match := _V1_RUN.fullmatch(path)):
            return self._v1_run(match[1])
        place = f"{request.method} {path.removeprefix('/apis/v2beta1/')}"
        for operation, route in _ROUTES.items():
            if match := route.fullmatch(place):
                own = match.groupdict().get("id", "")
                return self._call(Call(operation, request, urllib.parse.unquote(own)))
        return Reply(404, {"code": 5, "message": "Not Found"})

    def _call(self, call: Call) -> Reply:
        with self._lock:
            self.sent.append(call)
            fault = self._fault(call.operation)
        if fault and fault.meet:
            fault.meet.wait(timeout=HANG_S)
        if fault and fault.held:
            fault.held.wait(HANG_S)
        failing = fault is not None and fault.status != 200
        if fault and failing and not fault.after:
            return fault.reply()
        try:
            with self._lock:
                self._authenticate(call)
                reply = Reply(200, getattr(self, call.operation)(call))
        except Refusal as refusal:
            reply = Reply(refusal.status, _error(str(refusal)), _JSON)
        return fault.reply() if fault and failing else reply

    def _authenticate(self, request: Call) -> None:
        if (
            self.token
            and request.headers.get("authorization") != f"Bearer {self.token}"
        ):
            raise Refusal(401, "Unauthenticated: Request header error: no valid token")
        if self.cookie and request.headers.get("cookie") != self.cookie:
            raise Refusal(
                401, "Unauthenticated: Request header error: no user identity"
            )

    def _fault(self, name: str) -> Fault | None:
        for fault in self.faults:
            if fault.operation in (name, "*") and fault.times > 0:
                fault.times -= 1
                return fault
        return None

    def _log(self, run_id: str, pod: str) -> Reply:
        text = self.logs.get((run_id, pod))
        if text is None:  # the answer's body says that it is none
            return Reply(*recorded_body("log-wrong-pod"))
        return Reply(200, text)

    def _job(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """What a run and a recurring run share, checked."""
        self._required(given, "display_name")
        self._get(self.experiments, self._required(given, "experiment_id"))
        reference = given.get("pipeline_version_reference")
        if (reference is None) == ("pipeline_spec" not in given):
            raise Refusal(400, "Invalid input error: a spec or a version is needed")
        if reference:
            self._get(self.pipeline_versions, reference.get("pipeline_version_id", ""))
        return dict(given)

    def _store(self, made: Mapping[str, Any], kind: str, key: str) -> None:
        """Fail as recorded where a text does not fit; by then Kubernetes has it."""
        texts = {"DisplayName": "display_name", "Description": "description"}
        for column, name in texts.items():
            if len(made.get(name, "")) > self.width:
                self.ghosts[key] = dict(made)
                status, body = recorded_body(f"{kind}-description-too-long")
                said = str(json.loads(body)["message"])
                said = said.replace("'Description'", f"'{column}'")
                for word, told in (("run", "too-long"), ("job", "lab-often")):
                    named = f"store {word} {made['display_name']} to"
                    said = said.replace(f"store {word} {told} to", named)
                raise Refusal(status, said)

    def _page(
        self, request: Call, kind: str, items: Iterator[Any] | Any
    ) -> dict[str, Any]:
        query = request.query
        size = int(query.get("page_size", 0)) or 20
        start, key = 0, f"{query.get('filter', '')}|{query.get('sort_by', '')}"
        if token := query.get("page_token"):
            start, said = json.loads(bytes.fromhex(token))
            if said != key:
                raise Refusal(400, "Invalid input error: page token of another list")
        predicates = json.loads(query.get("filter", "{}")).get("predicates", ())
        found = [one for one in items if all(_holds(one, p) for p in predicates)]
        field_name, _, order = query.get("sort_by", "created_at").partition(" ")
        found.sort(key=lambda one: one.get(field_name, ""), reverse=order == "desc")
        size = min(size, 200)
        answer: dict[str, Any] = {kind: found[start : start + size]}
        answer["total_size"] = len(found)
        if start + size < len(found):
            answer["next_page_token"] = json.dumps([start + size, key]).encode().hex()
        return answer

    def _scoped(self, request: Call, kept: Mapping[str, Any]) -> list[Any]:
        """Of an experiment, or of the namespace."""
        if experiment := request.query.get("experiment_id"):
            return [one for one in kept.values() if one["experiment_id"] == experiment]
        self._namespace(request.query.get("namespace", ""))
        return list(kept.values())

    def _namespace(self, namespace: str) -> None:
        if self.multi_user and not namespace:
            raise Refusal(400, "Invalid input error: namespace is empty in multi-user")
        if not self.multi_user and namespace:
            raise Refusal(
                400, "Invalid input error: In single-user mode, no list by namespace"
            )

    def _keep(self, kept: dict[str, Any], key: str, given: Mapping[str, Any]) -> Any:
        made = {**given, key: _new_id(), "created_at": self._now()}
        kept[made[key]] = made
        return made

    def _get(self, kept: Mapping[str, Any], key: str) -> Any:
        if key not in kept:
            raise Refusal(404, f"Resource {key} not found")
        return kept[key]

    def _required(self, given: Mapping[str, Any], name: str) -> str:
        if not given.get(name):
            raise Refusal(400, f"Invalid input error: {name} is empty")
        return str(given[name])

    def _now(self) -> str:
        return self.clock().replace(microsecond=0).isoformat().replace("+00:00", "Z")


@functools.cache
def _documents(text: bytes) -> list[Any]:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return list(yaml.load_all(text, Loader=loader))


def _holds(one: Mapping[str, Any], predicate: Mapping[str, Any]) -> bool:
    """Without case, as MySQL compares."""
    value = str(one[predicate["key"]]).lower()
    wanted = str(predicate["string_value"]).lower()
    return {"EQUALS": value == wanted, "IS_SUBSTRING": wanted in value}[
        predicate["operation"]
    ]


def was_stopped(run: Mapping[str, Any]) -> bool:
    """Whether a run was told to stop: its history alone says so."""
    return any(one["state"] == "CANCELING" for one in run.get("state_history", ()))


def _message(name: str) -> str:
    """Of a recorded error."""
    return str(json.loads(recorded_body(name)[1])["message"])


def _error(message: str) -> str:
    """As far as a client reads it; a code of gRPC is left out."""
    return json.dumps({"error": message, "message": message, "details": []})


def _new_id() -> str:
    return str(uuid.uuid4())
