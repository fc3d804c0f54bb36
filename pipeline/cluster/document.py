"""A compiled pipeline, as it is submitted."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from seglib.errors import SegError


@dataclass(frozen=True)
class Document:
    """A compiled pipeline's file."""

    path: Path
    text: str

    @cached_property
    def digest(self) -> str:
        """Of its content: a version of the pipeline is known by it."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    @property
    def version(self) -> str:
        """The name of its version in KFP."""
        return f"sha256-{self.digest[:16]}"

    @property
    def name(self) -> str:
        """The pipeline's."""
        return str(self.spec["pipelineInfo"]["name"])

    @cached_property
    def spec(self) -> Mapping[str, Any]:
        """The first document: the PipelineSpec."""
        return next(iter(yaml.safe_load_all(self.text)))

    @property
    def image(self) -> str:
        """The image of the steps.

        Raises:
            SegError: they have several.
        """
        executors = self.spec.get("deploymentSpec", {}).get("executors", {})
        found = {
            e["container"]["image"] for e in executors.values() if "container" in e
        }
        if len(found) != 1:
            raise SegError(
                f"{self.path}: expected one image for all steps. Received: "
                f"{', '.join(sorted(found)) or 'none'}. Compile it anew."
            )
        return str(found.pop())

    @property
    def parameters(self) -> Mapping[str, Mapping[str, Any]]:
        """What it takes: name → type, whether it has a default."""
        definitions = self.spec["root"].get("inputDefinitions", {})
        return dict(definitions.get("parameters", {}))

    def check_parameters(self, given: Mapping[str, Any]) -> None:
        """See that it takes just what it is given.

        Raises:
            SegError: it is of another code than this.
        """
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
    """A compiled file.

    Raises:
        SegError: it cannot be read, or is no compiled pipeline.
    """
    try:
        document = Document(path, path.read_text(encoding="utf-8"))
        named = document.name and document.spec["root"]["dag"]
    except (OSError, UnicodeDecodeError) as error:
        raise SegError(f"{path}: cannot be read: {error}") from error
    except (yaml.YAMLError, KeyError, TypeError, StopIteration) as error:
        raise SegError(
            f"{path}: not a compiled pipeline. `python -m pipeline compile -o {path}` "
            "writes one."
        ) from error
    if not named:
        raise SegError(f"{path}: a pipeline without steps.")
    return document
