"""What a run needs beforehand: experiment, pipeline, version. Each is made once."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pipeline.kfp.connection import Cluster, model
from pipeline.kfp.document import Document
from pipeline.kfp.failures import ClusterError
from pipeline.kfp.limits import VERSION_WIDTH, check_text, sendable


@dataclass(frozen=True, kw_only=True)
class Version:
    """A version of a pipeline, in KFP."""

    pipeline_id: str
    version_id: str
    name: str

    @property
    def reference(self) -> Any:
        """As runs refer to it."""
        return model(
            "V2beta1PipelineVersionReference",
            pipeline_id=self.pipeline_id,
            pipeline_version_id=self.version_id,
        )


def find_experiment(cluster: Cluster, name: str) -> str:
    """The id of an experiment; empty where there is none."""
    listing = cluster.client.experiments.experiment_service_list_experiments
    found = _find(cluster, listing, "experiments", name, **cluster.scope)
    return str(found.experiment_id) if found else ""


def find_pipeline(cluster: Cluster, name: str) -> str:
    """The id of a pipeline; empty where there is none."""
    listing = cluster.client.pipelines.pipeline_service_list_pipelines
    found = _find(cluster, listing, "pipelines", name, **cluster.scope)
    return str(found.pipeline_id) if found else ""


def ensure_experiment(cluster: Cluster, name: str) -> str:
    """The id of an experiment, which is made where it is missing."""
    wanted = sendable("V2beta1Experiment", display_name=name, **cluster.scope)
    create = cluster.client.experiments.experiment_service_create_experiment
    return _ensure(
        "experiment",
        lambda: find_experiment(cluster, name),
        lambda: cluster.call(create, experiment=wanted, doing="create the experiment"),
    )


def ensure_version(cluster: Cluster, document: Document, *, told: str = "") -> Version:
    """The version that holds a document's content; it is uploaded once.

    Args:
        told: its description, where it is made.
    """
    what = f"the version's name ({document.path})"
    check_text(what, document.version, width=VERSION_WIDTH)
    pipeline_id = _ensure_pipeline(cluster, document.name)
    version_id = _ensure(
        "pipeline version",
        lambda: _find_version(cluster, pipeline_id, document.version),
        lambda: cluster.call(
            cluster.client.pipeline_uploads.upload_pipeline_version,
            str(document.path),
            name=document.version,
            display_name=document.version,
            pipelineid=pipeline_id,
            description=told,
            doing="upload the pipeline",
        ),
    )
    return Version(
        pipeline_id=pipeline_id, version_id=version_id, name=document.version
    )


def _ensure_pipeline(cluster: Cluster, name: str) -> str:
    wanted = sendable("V2beta1Pipeline", display_name=name, name=name, **cluster.scope)
    create = cluster.client.pipelines.pipeline_service_create_pipeline
    return _ensure(
        "pipeline",
        lambda: find_pipeline(cluster, name),
        lambda: cluster.call(create, pipeline=wanted, doing="create the pipeline"),
    )


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


def _find_version(cluster: Cluster, pipeline_id: str, name: str) -> str:
    listing = cluster.client.pipelines.pipeline_service_list_pipeline_versions
    found = _find(cluster, listing, "pipeline_versions", name, pipeline_id)
    return str(found.pipeline_version_id) if found else ""


def _find(
    cluster: Cluster,
    listing: Callable[..., Any],
    key: str,
    name: str,
    *given: str,
    **scope: str,
) -> Any:
    """The item of just this name: KFP's filter compares without case."""
    found = cluster.pages(
        listing,
        key,
        *given,
        where={"display_name": name},
        doing=f"list {key.replace('_', ' ')}",
        among=scope,
    )
    return next((one for one in found if one.display_name == name), None)
