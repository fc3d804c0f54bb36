"""Whether KFP's backend can read a document: P101 … P103."""

import re
from dataclasses import replace
from typing import Any

from pipeline.dag.document import Document
from pipeline.preflight.findings import Finding


def check_schema(document: Document) -> tuple[Document, list[Finding]]:
    """Parse the document by KFP's protobuf schemas.

    Returns:
        The document with every message as its schema writes it, and the findings. With
        findings, its shapes are not certain and it must not be examined further.
    """
    findings: list[Finding] = []

    def parse(kind: str, tree: Any, code: str, where: str) -> dict[str, Any]:
        try:
            return _parsed(kind, tree)
        except _errors() as error:
            findings.append(Finding(code, where, _reason(error, kind)))
            return {}

    spec = parse("PipelineSpec", document.spec, "P101", "the pipeline")
    spec["deploymentSpec"] = parse(
        "PipelineDeploymentConfig",
        spec.get("deploymentSpec", {}),
        "P101",
        "deploymentSpec",
    )
    platform = parse("PlatformSpec", document.platform, "P102", "the platform")
    checked = replace(document, spec=spec, platform=platform)
    if checked.settings:
        kubernetes = platform["platforms"]["kubernetes"]
        kubernetes["deploymentSpec"]["executors"] = {
            name: parse("KubernetesExecutorConfig", pod, "P103", f"executor {name}")
            for name, pod in checked.settings.items()
        }
    return (document if findings else checked), findings


def _errors() -> tuple[type[Exception], ...]:
    from google.protobuf import json_format

    return json_format.Error, TypeError, ValueError, AttributeError


def _parsed(kind: str, tree: Any) -> dict[str, Any]:
    from google.protobuf import json_format

    from pipeline.dag.lean_kfp import import_kfp

    import_kfp()
    from kfp.kubernetes import kubernetes_executor_config_pb2
    from kfp.pipeline_spec import pipeline_spec_pb2

    module: Any = pipeline_spec_pb2
    if kind == "KubernetesExecutorConfig":
        module = kubernetes_executor_config_pb2
    message = getattr(module, kind)()
    json_format.ParseDict(tree, message)
    return dict(json_format.MessageToDict(message))  # fails on infinity


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
