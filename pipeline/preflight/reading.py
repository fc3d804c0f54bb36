"""A compiled pipeline from its file, read as strictly as the backend reads it."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.preflight.document import Document
from pipeline.preflight.findings import Finding
from seglib.errors import SegError, UsageError
from seglib.storage.documents import MAX_PROGRAM_BYTES, parse_all_yaml
from seglib.storage.files import read_file

_MANIFESTS = ("Pipeline", "PipelineVersion")  # KFP's own Kubernetes resources


class Reading(NamedTuple):
    """A file that was read."""

    document: Document
    trees: tuple[Any, ...]  # its YAML documents, as they are
    findings: tuple[Finding, ...]  # P101 … P103


def read(path: Path) -> Reading:
    """Read a compiled pipeline: YAML or JSON, or KFP's Kubernetes manifest of one.

    Raises:
        UsageError: the file cannot be read.
    """
    try:
        text = read_file(path, max_bytes=MAX_PROGRAM_BYTES).decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        raise UsageError(
            f"{path}: cannot be read ({reason}). Expected a compiled pipeline; "
            "`python -m pipeline compile -o pipeline.yaml` writes one."
        ) from error
    try:
        found = parse_all_yaml(text, name=str(path))
        trees = tuple(tree for tree in found if tree is not None)
    except SegError as error:
        mark = getattr(error.__cause__, "problem_mark", None)
        line = f"line {mark.line + 1}" if mark else "the file"
        # The message would quote the line, and whatever stands in it.
        return Reading(Document(), (), (_wrong("P101", line, "it is not YAML"),))
    return _parse(trees)


def _parse(trees: tuple[Any, ...]) -> Reading:
    findings: list[Finding] = []
    pipeline, platform = _find(trees)
    if pipeline is None:
        kinds = {str(tree.get("kind")) for tree in trees if isinstance(tree, Mapping)}
        what = "it holds no pipeline: neither `root` nor `pipelineInfo`"
        if "Workflow" in kinds:
            what = "it is an Argo workflow, which KFP 1 compiled"
        return Reading(Document(), trees, (_wrong("P101", "the file", what),))
    spec = _message("PipelineSpec", pipeline, "P101", "the pipeline", findings) or {}
    deployment = spec.get("deploymentSpec", {})
    executors = _message(
        "PipelineDeploymentConfig", deployment, "P101", "deploymentSpec", findings
    )
    settings = _message(
        "PlatformSpec", platform or {}, "P102", "the platform", findings
    )
    kubernetes = (settings or {}).get("platforms", {}).get("kubernetes", {})
    pods = kubernetes.get("deploymentSpec", {}).get("executors", {})
    return Reading(
        Document(
            spec=spec,
            executors=(executors or {}).get("executors", {}),
            kubernetes={
                name: _message(
                    "KubernetesExecutorConfig",
                    pod,
                    "P103",
                    f"executor {name}",
                    findings,
                )
                for name, pod in pods.items()
            },
            pipeline_deadline_s=int(
                kubernetes.get("pipelineConfig", {}).get("activeDeadlineSeconds", 0)
            ),
        ),
        trees,
        tuple(findings),
    )


def _find(trees: tuple[Any, ...]) -> tuple[Any, Any]:
    """The PipelineSpec and the PlatformSpec among the documents of a file."""
    pipeline = platform = None
    for tree in trees:
        if not isinstance(tree, Mapping):
            continue
        if tree.get("kind") in _MANIFESTS and isinstance(tree.get("spec"), Mapping):
            pipeline = tree["spec"].get("pipelineSpec", pipeline)
            platform = tree["spec"].get("platformSpec", platform)
        elif "platforms" in tree:
            platform = tree
        elif {"root", "pipelineInfo"} & tree.keys():
            pipeline = tree
    return pipeline, platform


def _message(
    kind: str, tree: Any, code: str, where: str, findings: list[Finding]
) -> dict[str, Any] | None:
    """The tree as a message of its schema, and back; None if it cannot be one.

    What the schema does not know becomes a finding, and the rest is still of use.
    """
    from google.protobuf import json_format

    for lenient in (False, True):
        message = _new(kind)
        try:
            json_format.ParseDict(tree, message, ignore_unknown_fields=lenient)
            return dict(json_format.MessageToDict(message))  # which knows no infinity
        except (json_format.Error, TypeError, ValueError, AttributeError) as error:
            if not lenient:
                what = _reason(error, kind)
                findings.append(_wrong(code, where, what))
    return None


def _new(kind: str) -> Any:
    from pipeline.dag.lean_kfp import import_kfp

    import_kfp()
    from kfp.kubernetes import kubernetes_executor_config_pb2
    from kfp.pipeline_spec import pipeline_spec_pb2

    if kind == "KubernetesExecutorConfig":
        return kubernetes_executor_config_pb2.KubernetesExecutorConfig()
    return getattr(pipeline_spec_pb2, kind)()


def _reason(error: Exception, kind: str) -> str:
    """What protobuf says, without the values that it quotes."""
    text = " ".join(str(error).split())
    unknown = re.search(r'has no field named "([\w.-]{1,60})"(?: at "([^"]*)")?', text)
    if unknown:
        name, place = unknown.groups()
        return f"{kind} knows no field `{name}`" + (f" (at {place})" if place else "")
    field = re.search(r"Failed to parse (\w{1,60}) field", text)
    if field:
        return f"the field `{field[1]}` of {kind} has a value of the wrong type"
    return f"it is not a {kind}"


def _wrong(code: str, where: str, what: str) -> Finding:
    return Finding(code=code, where=where, what=what)
