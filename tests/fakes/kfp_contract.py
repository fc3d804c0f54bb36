"""KFP's HTTP API as the package kfp-server-api defines it: operations and models.

Nothing of it is written out here: each method of the package's API classes is called
with a client that only notes what it would send.
"""

import functools
import inspect
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import kfp_server_api
from dateutil.parser import isoparse
from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2

_PARAMETER = re.compile(r":param (\w+):.*?:type \1: (\S+)", re.DOTALL)
_PLACE = re.compile(r"\{([\w.]+)\}")
_PLAIN = {"str": str, "int": int, "float": float, "bool": bool}


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One call: where it goes, what it takes, what it answers."""

    name: str
    method: str
    path: str  # with {places}
    query: Mapping[str, str]  # parameter → type
    body: str  # the model of the body; empty: none
    files: tuple[str, ...]
    answer: str  # the model of the answer

    @functools.cached_property
    def pattern(self) -> re.Pattern[str]:
        parts = _PLACE.split(self.path)  # literal, place, literal, …
        text = "".join(
            f"(?P<{part.replace('.', '_')}>[^/:]+)" if odd % 2 else re.escape(part)
            for odd, part in enumerate(parts)
        )
        return re.compile(text)

    @property
    def literal(self) -> int:
        """How much of the path is written out: the more, the better it fits."""
        return len(_PLACE.sub("", self.path))


@functools.cache
def operations() -> tuple[Operation, ...]:
    """All calls of the package, those that fit best first."""
    found = []
    for name, kind in inspect.getmembers(kfp_server_api, inspect.isclass):
        if name.endswith("ServiceApi"):
            recorder = _Recorder()
            api = kind(recorder)
            for method, call in inspect.getmembers(api, inspect.ismethod):
                if method.endswith("_with_http_info"):
                    found.append(recorder.record(method, call))
    return tuple(sorted(found, key=lambda one: -one.literal))


def find(method: str, path: str) -> tuple[Operation, dict[str, str]] | None:
    """The operation of a request, and what its path says."""
    for operation in operations():
        match = operation.pattern.fullmatch(path)
        if match and operation.method == method:
            return operation, match.groupdict()
    return None


def faults_of(value: Any, kind: str, *, where: str, sent: bool) -> Iterator[str]:
    """What of a JSON value is not as a model has it.

    Args:
        kind: as in the package's `openapi_types`: "V2beta1Run", "list[…]", "str" …
        where: of the value, for the message.
        sent: by a client; then a field that only the server fills is one, too.
    """
    if kind == "object" or value is None:
        return
    if kind == "datetime":
        try:
            isoparse(value)
        except (TypeError, ValueError):
            yield f"{where}: not a time: {value!r}"
    elif kind in _PLAIN:
        fits = isinstance(value, _PLAIN[kind])
        if not fits or (kind == "int" and isinstance(value, bool)):
            yield f"{where}: expected {kind}. Received: {value!r}"
    elif kind.startswith("list["):
        items = value if isinstance(value, list) else []
        if not isinstance(value, list):
            yield f"{where}: expected a list. Received: {value!r}"
        for number, item in enumerate(items):
            yield from faults_of(
                item, kind[5:-1], where=f"{where}[{number}]", sent=sent
            )
    elif kind.startswith("dict("):
        inner = kind[5:-1].split(", ", 1)[1]
        for key, item in value.items():
            yield from faults_of(item, inner, where=f"{where}.{key}", sent=sent)
    else:
        yield from _faults_of_model(value, kind, where=where, sent=sent)


def check_spec(documents: list[Any]) -> None:
    """Read a pipeline's documents strictly.

    Raises:
        ValueError: an unknown field, or a wrong type.
    """
    try:
        for document in documents:
            if "platforms" not in document:
                json_format.ParseDict(document, pipeline_spec_pb2.PipelineSpec())
                continue
            platform = json_format.ParseDict(document, pipeline_spec_pb2.PlatformSpec())
            _check_kubernetes(json_format.MessageToDict(platform))
    except json_format.ParseError as error:
        raise ValueError(f"Invalid input error: {error}") from error


def parse_filter(text: str) -> dict[str, Any]:
    """A list's filter, in the fields' own names.

    Raises:
        ValueError: it is not as the model has it.
    """
    value = _snake(json.loads(text))
    names = list(kfp_server_api.V2beta1PredicateOperation.allowable_values)
    for predicate in value.get("predicates", ()):
        if isinstance(predicate.get("operation"), int):  # as kfp.Client's own
            predicate["operation"] = names[predicate["operation"]]
    if wrong := list(faults_of(value, "V2beta1Filter", where="filter", sent=True)):
        raise ValueError("; ".join(wrong))
    return value


@dataclass
class _Recorder(kfp_server_api.ApiClient):
    """Notes the arguments of a call instead of making it."""

    seen: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__init__(kfp_server_api.Configuration())

    def call_api(self, path: str, method: str, *given: Any, **more: Any) -> None:
        self.seen = {"path": path, "method": method, "query": given[1], **more}

    def record(self, name: str, call: Any) -> Operation:
        kinds = {
            parameter: kind.rstrip(",")
            for parameter, kind in _PARAMETER.findall(call.__doc__)
            if parameter != "async_req" and not parameter.startswith("_")
        }
        call(**{parameter: f"<{parameter}>" for parameter in kinds})
        body = (self.seen["body"] or "").strip("<>")
        return Operation(
            name=name.removesuffix("_with_http_info"),
            method=self.seen["method"],
            path=self.seen["path"],
            query={
                name: kinds[value.strip("<>")] for name, value in self.seen["query"]
            },
            body=kinds.get(body, ""),
            files=tuple(self.seen["files"]),
            answer=self.seen["response_type"],
        )


def _faults_of_model(value: Any, kind: str, *, where: str, sent: bool) -> Iterator[str]:
    model = getattr(kfp_server_api, kind)
    if not model.openapi_types:  # an enumeration, or an empty object
        allowed = getattr(model, "allowable_values", None)
        if allowed and value not in allowed:
            yield f"{where}: expected one of {allowed}. Received: {value!r}"
        return
    if not isinstance(value, dict):
        yield f"{where}: expected an object. Received: {value!r}"
        return
    names = {key: name for name, key in model.attribute_map.items()}
    for key, item in value.items():
        if key not in names:
            yield f"{where}.{key}: {kind} has no such field"
            continue
        said = getattr(model, names[key]).__doc__ or ""
        if sent and re.search(r"^\s*Output\b", said, re.MULTILINE):
            yield f"{where}.{key}: only the server fills it"
        inner = model.openapi_types[names[key]]
        yield from faults_of(item, inner, where=f"{where}.{key}", sent=sent)


def _check_kubernetes(platform: Mapping[str, Any]) -> None:
    from kfp.kubernetes import kubernetes_executor_config_pb2

    for name, settings in platform["platforms"].items():
        if name != "kubernetes":
            raise ValueError(f"Invalid input error: unknown platform {name}")
        for executor in (
            settings.get("deploymentSpec", {}).get("executors", {}).values()
        ):
            config = kubernetes_executor_config_pb2.KubernetesExecutorConfig()
            json_format.ParseDict(executor, config)


def _snake(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            re.sub("[A-Z]", lambda m: f"_{m[0].lower()}", key): _snake(item)
            for key, item in value.items()
        }
    return [_snake(item) for item in value] if isinstance(value, list) else value
