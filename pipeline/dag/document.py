"""A compiled pipeline: the file that `python -m pipeline compile` writes."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from seglib.errors import SegError, UsageError
from seglib.storage.documents import MAX_PROGRAM_BYTES, parse_all_yaml
from seglib.storage.files import read_file

_REMEDY = "`python -m pipeline compile -o FILE.yaml` writes a compiled pipeline."


@dataclass(frozen=True)
class Document:
    """A compiled pipeline."""

    path: Path
    text: str  # the file's content
    spec: Mapping[str, Any]  # KFP's PipelineSpec
    platform: Mapping[str, Any]  # KFP's PlatformSpec, with the pods' settings; or empty
    is_manifest: bool = False  # a Kubernetes manifest, for `kubectl apply`

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the text, which identifies a version of the pipeline."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    @property
    def version(self) -> str:
        """Name of its version in KFP, as `compile --manifest` writes it."""
        return f"{self.name}-{self.digest[:12]}"

    @property
    def name(self) -> str:
        """Name of the pipeline."""
        return str(self.spec["pipelineInfo"]["name"])

    @property
    def executors(self) -> Mapping[str, Mapping[str, Any]]:
        """The executor of each component: image, command, environment, resources."""
        return dict(self.spec.get("deploymentSpec", {}).get("executors", {}))

    @property
    def settings(self) -> Mapping[str, Mapping[str, Any]]:
        """Of each executor, the Kubernetes settings of its pod."""
        kubernetes = self.platform.get("platforms", {}).get("kubernetes", {})
        return dict(kubernetes.get("deploymentSpec", {}).get("executors", {}))

    @property
    def image(self) -> str:
        """The image of the steps; an error if they have several."""
        containers = (e["container"] for e in self.executors.values() if e)
        found = {container["image"] for container in containers}
        if len(found) != 1:
            raise SegError(
                f"{self.path}: expected one image for all steps. Received: "
                f"{', '.join(sorted(found)) or 'none'}. Compile it again."
            )
        return str(found.pop())

    @property
    def parameters(self) -> Mapping[str, Mapping[str, Any]]:
        """The pipeline's parameters: type, description, default value."""
        definitions = self.spec["root"].get("inputDefinitions", {})
        return dict(definitions.get("parameters", {}))

    @property
    def defaults(self) -> dict[str, Any]:
        """Default values of the parameters that have one."""
        return {
            name: one["defaultValue"]
            for name, one in self.parameters.items()
            if "defaultValue" in one
        }

    def tasks(self) -> Iterator[Mapping[str, Any]]:
        """Every task (PipelineTaskSpec) of every DAG."""
        for component in (self.spec["root"], *self.spec.get("components", {}).values()):
            yield from component.get("dag", {}).get("tasks", {}).values()

    def check_parameters(self, given: Mapping[str, Any]) -> None:
        """Raise a SegError if a run's values are not those that the file takes."""
        known = self.parameters
        needed = {k for k, v in known.items() if not v.get("isOptional")}
        wrong = sorted(given.keys() - known.keys())
        missing = sorted(needed - given.keys())
        if wrong or missing:
            raise SegError(
                f"{self.path}: its parameters are not those of this code: unknown to "
                f"it: {', '.join(wrong) or 'none'}; not given: "
                f"{', '.join(missing) or 'none'}. Compile it with this checkout."
            )


def read_document(path: Path) -> Document:
    """Read a compiled pipeline, or the Kubernetes manifest of one.

    Raises:
        UsageError: the file cannot be read, or is no compiled pipeline.
    """
    try:
        text = read_file(path, max_bytes=MAX_PROGRAM_BYTES).decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        raise UsageError(f"{path}: cannot be read ({reason}). {_REMEDY}") from error
    spec: Any = {}
    platform: Any = {}
    is_manifest = False
    for tree in parse_all_yaml(text, name=str(path), error=UsageError, remedy=_REMEDY):
        if not isinstance(tree, Mapping):
            continue
        version = tree.get("spec")
        if tree.get("kind") == "PipelineVersion" and isinstance(version, Mapping):
            spec, platform = version.get("pipelineSpec"), version.get("platformSpec")
            is_manifest = True
        elif "platforms" in tree:
            platform = tree
        elif "pipelineInfo" in tree:
            spec = tree
    try:
        document = Document(path, text, spec, platform or {}, is_manifest)
        complete = document.name and spec["root"]["dag"]
    except (KeyError, TypeError) as error:
        raise UsageError(f"{path}: not a compiled pipeline. {_REMEDY}") from error
    if not complete:
        raise UsageError(f"{path}: a pipeline without steps. {_REMEDY}")
    return document
