"""Whether a file is ours, KFP can read it, and nobody changed it: P101 … P105."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache
from typing import Any

from pipeline.dag.compile import import_kfp
from pipeline.dag.document import Document
from pipeline.preflight.findings import Finding, first_places
from seglib.errors import UsageError

# A user sets these: by the configuration, the cluster file or --parallel.
_SETTINGS = frozenset({"retryPolicy", "iteratorPolicy"})
_VALUES = frozenset({"defaultValue", "isOptional"})  # of a parameter


def require_ours(document: Document) -> None:
    """Raise a UsageError for a pipeline of another project."""
    names = sorted(_builders())
    if document.name not in names:
        raise UsageError(
            f"{document.path}: the pipeline {document.name!r} is not one of this "
            f"project. Expected {' or '.join(names)}. `doctor` examines what `python "
            "-m pipeline compile -o FILE.yaml` and `python -m pipeline sweep -o "
            "FILE.yaml` write."
        )


def check_schema(document: Document) -> tuple[Document, list[Finding]]:
    """Parse the document by KFP's protobuf schemas.

    Returns:
        The document with every message as its schema writes it, and the findings. With
        findings, its shapes are not certain and it must not be examined further.
    """
    import_kfp()
    from google.protobuf import json_format
    from kfp.kubernetes.kubernetes_executor_config_pb2 import KubernetesExecutorConfig
    from kfp.pipeline_spec import pipeline_spec_pb2 as specs

    findings: list[Finding] = []

    def parse(message: Any, tree: Any, code: str, where: str) -> dict[str, Any]:
        try:
            json_format.ParseDict(tree, message)
            return dict(json_format.MessageToDict(message))  # fails on infinity
        except (json_format.Error, TypeError, ValueError, AttributeError) as error:
            kind = message.DESCRIPTOR.name
            findings.append(Finding(code, where, _reason(error, kind)))
            return {}

    spec = parse(specs.PipelineSpec(), document.spec, "P101", "the pipeline")
    spec["deploymentSpec"] = parse(
        specs.PipelineDeploymentConfig(),
        spec.get("deploymentSpec", {}),
        "P101",
        "deploymentSpec",
    )
    platform = parse(specs.PlatformSpec(), document.platform, "P102", "the platform")
    checked = replace(document, spec=spec, platform=platform)
    if checked.settings:
        platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"] = {
            name: parse(KubernetesExecutorConfig(), pod, "P103", f"executor {name}")
            for name, pod in checked.settings.items()
        }
    return (document if findings else checked), findings


def check_origin(document: Document) -> Iterator[Finding]:
    """Compare components, wiring and commands with what this checkout compiles."""
    expected, found = _compiled_parts(document.name), _parts(document.spec)
    names = sorted(expected.keys() | found.keys())
    if places := [name for name in names if expected.get(name) != found.get(name)]:
        what = "differs from what this checkout compiles"
        yield Finding("P105", first_places(places, 4), what)


def _reason(error: Exception, kind: str) -> str:
    """Protobuf's message, without the values that it quotes."""
    text = " ".join(str(error).split())
    unknown = re.search(r'has no field named "([\w.-]{1,60})"(?: at "([^"]*)")?', text)
    if unknown:
        name, place = unknown.groups()
        return f"{kind} knows no field `{name}`" + (f" (at {place})" if place else "")
    field = re.search(r"Failed to parse (\w{1,60}) field", text)
    if field:
        return f"the field `{field[1]}` of {kind} has a value of the wrong type"
    return f"it is not a {kind}"


@cache
def _compiled_parts(name: str) -> dict[str, Any]:
    from google.protobuf.json_format import MessageToDict

    return _parts(MessageToDict(_builders()[name]().pipeline_spec))


def _builders() -> dict[str, Any]:
    """The pipelines of this project: name -> function that builds it."""
    import_kfp()
    from pipeline.dag import sweep, training
    from seglib.config import Config

    one = sweep.Sweep(({"epochs": 1},))
    return {
        training.NAME: training.training_pipeline,
        sweep.NAME: lambda: sweep.sweep_pipeline(one, Config()),
    }


def _parts(spec: Mapping[str, Any]) -> dict[str, Any]:
    """What no setting changes, by place."""
    executors = spec.get("deploymentSpec", {}).get("executors", {})
    return {
        "the pipeline": _without(spec["root"], _SETTINGS | _VALUES),
        **{
            f"component {name}": _without(component, _SETTINGS)
            for name, component in spec.get("components", {}).items()
        },
        **{
            f"executor {name}": [
                executor.get("container", {}).get(key) for key in ("command", "args")
            ]
            for name, executor in executors.items()
        },
    }


def _without(tree: Any, keys: frozenset[str]) -> Any:
    if isinstance(tree, Mapping):
        return {k: _without(v, keys) for k, v in tree.items() if k not in keys}
    return [_without(v, keys) for v in tree] if isinstance(tree, list) else tree
