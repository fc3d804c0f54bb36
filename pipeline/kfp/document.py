"""A compiled pipeline, as it is submitted."""

import hashlib
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
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
        return f"{self.name}-{self.digest[:12]}"  # as `compile --manifest` has it

    @property
    def name(self) -> str:
        """The pipeline's."""
        return str(self.spec["pipelineInfo"]["name"])

    @cached_property
    def spec(self) -> Mapping[str, Any]:
        """The first document: the PipelineSpec."""
        return parse_all_yaml(self.text, name=str(self.path), remedy=_REMEDY)[0]

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

    @property
    def defaults(self) -> dict[str, Any]:
        """Values that it was compiled with: name → value."""
        return {
            name: one["defaultValue"]
            for name, one in self.parameters.items()
            if "defaultValue" in one
        }

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


@contextmanager
def document_of(
    file: Path | None,
    *,
    image: str = "",
    cluster: Path | None = None,
    checkpoints: str = "",
    allow_tag: bool = False,
) -> Iterator[Document]:
    """A compiled file, or the pipeline compiled now into a folder that is removed.

    Args:
        file: what `compile` wrote; it names its image. `None`: compile.
        image: of every step, by its digest.
        cluster: the YAML file of what the steps' pods need.
        checkpoints: where the training step keeps its state: s3://bucket/prefix.

    Raises:
        UsageError: neither file nor image, or both and they differ.
    """
    if file:
        document = read_document(file)
        if image and image != document.image:
            raise UsageError(
                f"{file} is compiled for {document.image}. Received: image={image!r}. "
                "Leave one of them out."
            )
        yield document
        return
    if not image:
        raise UsageError(
            "Expected --image NAME@sha256:… (or SEGLIB_IMAGE), or --pipeline FILE."
        )
    from pipeline.dag.lean_kfp import import_kfp

    import_kfp()
    from pipeline.dag.cluster_config import ClusterConfig
    from pipeline.dag.compile import compile_pipeline

    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "pipeline.yaml"
        compile_pipeline(
            path,
            image=image,
            cluster=ClusterConfig.load(cluster),
            checkpoints=checkpoints,
            allow_tag=allow_tag,
        )
        yield read_document(path)


def service_account_of(cluster: Path | None) -> str:
    """That of the pods, which KFP wants for each run and does not keep in documents."""
    from pipeline.dag.cluster_config import ClusterConfig

    return ClusterConfig.load(cluster).service_account


def read_document(path: Path) -> Document:
    """A compiled file.

    Raises:
        SegError: it cannot be read, or is no compiled pipeline.
    """
    try:
        content = read_file(path, max_bytes=MAX_PROGRAM_BYTES)
        document = Document(path, content.decode("utf-8"))
        named = document.name and document.spec["root"]["dag"]
    except (OSError, UnicodeDecodeError) as error:
        raise SegError(f"{path}: cannot be read: {error}") from error
    except (KeyError, TypeError, IndexError) as error:
        raise SegError(f"{path}: not a compiled pipeline. {_REMEDY}") from error
    if not named:
        raise SegError(f"{path}: a pipeline without steps.")
    return document
