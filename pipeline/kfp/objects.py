"""What KFP keeps of ours: texts that fit its tables; experiments, pipelines, versions.

KFP makes the workflow first and fills its tables after that: with a text that is too
long for its column it answers 500, and leaves a workflow that runs and that it lists
nowhere. So texts are checked before anything is sent.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import kfp_server_api

from pipeline.dag.document import Document
from pipeline.kfp.connection import KfpServer
from pipeline.kfp.failures import ClusterError
from seglib.errors import SegError

WIDTH = 255  # characters of a name or a description: varchar(255)
_VERSION_WIDTH = 127  # of a version's name, by which KFP has an index
# Of all parameters together, as JSON: a column of older servers, and well below what
# Linux takes as one argument, which is how KFP's driver gets them.
_PARAMETERS_BYTES = 65_535
_KINDS = {
    kfp_server_api.V2beta1Run: "run",
    kfp_server_api.V2beta1RecurringRun: "recurring run",
    kfp_server_api.V2beta1Experiment: "experiment",
    kfp_server_api.V2beta1Pipeline: "pipeline",
}

Model = TypeVar("Model")


def sendable(model: Model) -> Model:
    """A model of kfp-server-api's that KFP can store, such as a V2beta1Run.

    Raises:
        SegError: it is too long, or has a character that the tables do not take.
    """
    for name in model.openapi_types:  # type: ignore[attr-defined]
        value = getattr(model, name)
        if isinstance(value, str):
            what = f"the {_KINDS[type(model)]}'s {name.replace('_', ' ')}"
            _check_text(what, value)
    if config := getattr(model, "runtime_config", None):
        _check_parameters(config.parameters)
        _check_characters("the pipeline root", config.pipeline_root or "")
    return model


def fitted(lines: Mapping[str, str], *, width: int = WIDTH) -> str:
    """A description: `name: value` lines that fit.

    Of the last value only the end is kept where it is too long: an image's name ends in
    its digest, which tells it.
    """
    *others, (name, value) = lines.items()
    head = "".join(f"{key}: {text}\n" for key, text in others) + f"{name}: "
    left = width - len(head)
    return head + (
        value if len(value) <= left else f"...{value[len(value) - left + 3 :]}"
    )


def find_experiment(server: KfpServer, name: str) -> str:
    """The id of an experiment; empty where there is none."""
    listing = server.experiments.experiment_service_list_experiments
    return _find(server, listing, "experiment", name, **server.scope)


def find_pipeline(server: KfpServer, name: str) -> str:
    """The id of a pipeline; empty where there is none."""
    listing = server.pipelines.pipeline_service_list_pipelines
    return _find(server, listing, "pipeline", name, **server.scope)


def ensure_experiment(server: KfpServer, name: str) -> str:
    """The id of an experiment, which is made where it is missing."""
    wanted = sendable(
        kfp_server_api.V2beta1Experiment(display_name=name, **server.scope)
    )
    create = server.experiments.experiment_service_create_experiment
    return _ensure(
        "experiment",
        lambda: find_experiment(server, name),
        lambda: server.call(create, experiment=wanted, doing="create the experiment"),
    )


def ensure_version(server: KfpServer, document: Document) -> Any:
    """A reference to the version that holds a document; it is uploaded once."""
    name, version = document.name, document.version
    _check_text(f"the version's name ({document.path})", version, width=_VERSION_WIDTH)
    wanted = sendable(
        kfp_server_api.V2beta1Pipeline(display_name=name, name=name, **server.scope)
    )
    create = server.pipelines.pipeline_service_create_pipeline
    pipeline_id = _ensure(
        "pipeline",
        lambda: find_pipeline(server, name),
        lambda: server.call(create, pipeline=wanted, doing="create the pipeline"),
    )
    listing = server.pipelines.pipeline_service_list_pipeline_versions
    version_id = _ensure(
        "pipeline version",
        lambda: _find(server, listing, "pipeline_version", version, pipeline_id),
        lambda: server.call(
            server.pipeline_uploads.upload_pipeline_version,
            str(document.path),
            name=version,
            display_name=version,
            pipelineid=pipeline_id,
            description=f"image: {document.image}",
            doing="upload the pipeline",
        ),
    )
    return kfp_server_api.V2beta1PipelineVersionReference(
        pipeline_id=pipeline_id, pipeline_version_id=version_id
    )


def _find(
    server: KfpServer,
    listing: Callable[..., Any],
    kind: str,
    name: str,
    *given: str,
    **scope: str,
) -> str:
    """The id of the item of just this name: KFP's filter compares without case."""
    doing = f"list {kind}s".replace("_", " ")
    found = server.pages(
        listing, f"{kind}s", *given, named=name, among=scope, doing=doing
    )
    ids = (getattr(one, f"{kind}_id") for one in found if one.display_name == name)
    return str(next(ids, ""))


def _ensure(what: str, find: Callable[[], str], make: Callable[[], Any]) -> str:
    """The id of something, which is made where it is missing.

    Another submitter may make it at the same time.
    """
    if known := find():
        return known
    try:
        make()
    except ClusterError as error:
        if error.kind != "conflict" or not (known := find()):
            raise
        return known
    if not (known := find()):
        raise ClusterError(f"KFP took the {what}, and does not list it.", kind="broken")
    return known


def _check_text(what: str, text: str, *, width: int = WIDTH) -> None:
    _check_characters(what, text)
    if len(text) > width:
        raise SegError(
            f"Expected {what} to have at most {width} characters, as Kubeflow "
            f"Pipelines stores it. Received: {len(text)} characters: {text[:60]!r}…. "
            "Shorten it."
        )


def _check_parameters(parameters: Mapping[str, Any]) -> None:
    """Raise a SegError if a run's parameters do not fit, the longest ones named."""
    texts = {name: _json(value) for name, value in parameters.items()}
    for name, text in texts.items():
        _check_characters(f"the parameter `{name}`", text)
    size = len(_json(parameters).encode())
    if size > _PARAMETERS_BYTES:
        sizes = {name: len(text.encode()) for name, text in texts.items()}
        longest = sorted(sizes, key=lambda name: -sizes[name])[:3]
        told = ", ".join(f"{name} has {sizes[name]:,}" for name in longest)
        raise SegError(
            f"Expected parameters of at most {_PARAMETERS_BYTES:,} bytes together. "
            f"Received: {size:,} bytes, of which {told}. Shorten these settings."
        )


def _check_characters(what: str, text: str) -> None:
    """KFP speaks with its tables in MySQL's `utf8`, three bytes a character at most."""
    for character in text:
        if character > "\uffff" or character == "\0":
            raise SegError(
                f"Expected {what} without the character U+{ord(character):04X}: "
                "Kubeflow Pipelines' tables take U+0001 to U+FFFF. Replace it."
            )


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
