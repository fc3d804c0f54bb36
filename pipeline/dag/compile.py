"""Compile a pipeline: for Kubeflow Pipelines' API, or for kubectl."""

import hashlib
import inspect
import os
import re
import sys
import tempfile
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import yaml

from pipeline.dag.cluster_config import ClusterConfig
from pipeline.dag.inputs import Data, code_version, refuse_placeholders
from seglib.errors import SegError, UsageError

if TYPE_CHECKING:
    from pipeline.dag.sweep import Sweep
    from seglib.config import Config

_PINNED = re.compile(r"[\w.:/-]+@sha256:[0-9a-f]{64}")
_SUFFIXES = (".yaml", ".yml")


class Compiled(NamedTuple):
    """A compiled pipeline."""

    path: Path
    version: str  # changes with the content of the file, and only with that
    image: str


def compile_pipeline(
    output: Path,
    *,
    image: str,
    cluster: ClusterConfig,
    checkpoints: str = "",
    manifest: bool = False,
    allow_tag: bool = False,
    config: "Config | None" = None,
    data: Data | None = None,
    plan: "tuple[Config, Sweep] | None" = None,
) -> Compiled:
    """Write the pipeline as a YAML file, whole or not at all.

    The same arguments give the same bytes.

    Args:
        image: of every step, by its digest.
        checkpoints: where the training step keeps its state: s3://bucket/prefix.
        manifest: write Kubernetes' resources Pipeline and PipelineVersion, instead of
            what KFP's API takes.
        allow_tag: take an image without a digest.
        config: the settings that KFP's form shows. Default: the usual ones.
        data: the dataset that the form shows. Default: none.
        plan: compile a sweep: the shared settings, and what is tried.
    """
    if output.suffix not in _SUFFIXES:
        raise SegError(f"{output}: expected a name that ends in .yaml.")
    require_digest(image, allow_tag=allow_tag)
    refuse_placeholders(image=image, checkpoints=checkpoints)
    refuse_placeholders(**cluster.environment)
    import_kfp()
    from pipeline.dag.sweep import sweep_pipeline
    from pipeline.dag.training import training_pipeline

    made: dict[str, Any] = {
        "image": image,
        "cluster": cluster,
        "checkpoints": checkpoints,
        "given": {"code_version": code_version()},
    }
    if data:
        made["given"] |= {"data_md5": data.data_md5, "remote": data.remote}
    if plan:
        config, sweep = plan
        pipeline = sweep_pipeline(sweep, config, **made)
    else:
        pipeline = training_pipeline(config=config, **made)
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=output.parent) as place:
            written = Path(place) / "pipeline.yaml"
            version = _write(pipeline, written)
            if manifest:
                _write_manifest(pipeline, written, version, cluster.namespace)
                _put_in_order(pipeline, written)
            written.replace(output)
    except OSError as error:
        raise SegError(f"{output}: cannot be written ({error.strerror}).") from error
    return Compiled(output, version, image)


def import_kfp() -> None:
    """Import kfp without its client, which loads all of Kubernetes' API: 2 s less.

    KFP has this switch for its own use inside of a step.
    """
    if "kfp" not in sys.modules:
        os.environ["_KFP_RUNTIME"] = "true"
        import kfp  # noqa: F401

        del os.environ["_KFP_RUNTIME"]


def _write(pipeline: Any, path: Path) -> str:
    """Write what KFP's API takes; returns the name of this version."""
    from kfp.compiler import Compiler

    Compiler().compile(pipeline, str(path))
    _put_in_order(pipeline, path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return f"{pipeline.name}-{digest[:12]}"


def _put_in_order(pipeline: Any, path: Path) -> None:
    """Put the pipeline's parameters in the order of its signature; KFP sorts them.

    Those that are required come first, then the settings, section by section.
    """
    order = list(inspect.signature(pipeline.pipeline_func).parameters)
    text = path.read_text(encoding="utf-8")
    documents = list(yaml.load_all(text, yaml.CSafeLoader))
    for document in documents:
        spec = document.get("spec", {}).get("pipelineSpec", document)
        if "root" in spec:
            inputs = spec["root"]["inputDefinitions"]
            found = inputs["parameters"]
            inputs["parameters"] = {name: found[name] for name in order}
            texts = {name: one["description"] for name, one in found.items()}
    head = list(takewhile(lambda line: line.startswith("#"), text.splitlines(True)))
    at = {_name_of_input(line): line.rstrip() for line in head}
    ordered = (f"{at[name]}  {texts[name]}\n" for name in order)
    lines = [next(ordered) if _name_of_input(ln) in texts else ln for ln in head]
    body = yaml.dump_all(documents, Dumper=yaml.CSafeDumper, sort_keys=False)
    path.write_text("".join(lines) + body, encoding="utf-8")


def _name_of_input(line: str) -> str:
    """The parameter that a line of KFP's comment is about; empty: none."""
    found = re.match(r"#    (\w+): ", line)
    return found[1] if found else ""


def _write_manifest(pipeline: Any, path: Path, version: str, namespace: str) -> None:
    """Write the Kubernetes resources Pipeline and PipelineVersion."""
    from kfp.compiler import Compiler
    from kfp.compiler.compiler_utils import KubernetesManifestOptions

    title = pipeline.pipeline_spec.pipeline_info.display_name
    options = KubernetesManifestOptions(
        pipeline_name=pipeline.name,
        pipeline_display_name=title,
        pipeline_version_name=version,
        pipeline_version_display_name=f"{title} {version.rpartition('-')[2]}",
        namespace=namespace,
        include_pipeline_manifest=True,
    )
    Compiler().compile(
        pipeline,
        str(path),
        kubernetes_manifest_options=options,
        kubernetes_manifest_format=True,
    )


def require_digest(image: str, *, allow_tag: bool = False) -> None:
    """Raise a UsageError, with the remedy, if an image is not named by its digest."""
    if allow_tag or _PINNED.fullmatch(image):
        return
    if "@" in image:
        raise UsageError(
            f"{image}: expected NAME@sha256: and 64 digits of 0-9 and a-f."
        )
    raise UsageError(
        f"{image}: an image is named by its digest, NAME@sha256:…; behind a tag it can "
        "change, and KFP's cache would not see it. Push it, and take the name that "
        f"`docker image inspect -f '{{{{index .RepoDigests 0}}}}' {image}` gives. "
        "For a trial: --allow-tag."
    )
