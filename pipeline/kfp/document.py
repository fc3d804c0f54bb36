"""The compiled pipeline that a command submits: a file, or compiled now."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.dag.document import Document, read_document
from seglib.errors import UsageError


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
        if document.is_manifest:
            raise UsageError(
                f"{file} is a Kubernetes manifest. Expected a file that `compile` "
                "wrote without --manifest. `kubectl apply -f` takes this one."
            )
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
