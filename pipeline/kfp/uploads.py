"""What a run needs beforehand: experiment, pipeline, version. Each is made once."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.kfp.connection import Cluster, model
from pipeline.kfp.document import Document
from pipeline.kfp.failures import ClusterError
from pipeline.kfp.limits import VERSION_WIDTH, check_text, sendable

PAGE = 100


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
    found = every(
        cluster,
        cluster.client.experiments.experiment_service_list_experiments,
        "experiments",
        where={"display_name": name},
        doing="list experiments",
        among=cluster.scope,
    )
    return next((one.experiment_id for one in found if one.display_name == name), "")


def ensure_experiment(cluster: Cluster, name: str) -> str:
    """The id of an experiment, which is made where it is missing."""
    if known := find_experiment(cluster, name):
        return known
    wanted = sendable("V2beta1Experiment", display_name=name, **cluster.scope)
    create = cluster.client.experiments.experiment_service_create_experiment
    try:
        made = cluster.call(create, experiment=wanted, doing="create the experiment")
    except ClusterError as error:
        if error.kind != "conflict":
            raise
        return find_experiment(cluster, name)  # somebody was faster, or it had worked
    return str(made.experiment_id)


def ensure_version(cluster: Cluster, document: Document, *, told: str = "") -> Version:
    """The version that holds a document's content; it is uploaded once.

    Args:
        told: its description, where it is made.
    """
    what = f"the version's name ({document.path})"
    check_text(what, document.version, width=VERSION_WIDTH)
    pipeline_id = _ensure_pipeline(cluster, document.name)
    known = _find_version(cluster, pipeline_id, document)
    if not known:
        try:
            cluster.call(
                cluster.client.pipeline_uploads.upload_pipeline_version,
                str(document.path),
                name=document.version,
                display_name=document.version,
                pipelineid=pipeline_id,
                description=told,
                doing="upload the pipeline",
            )
        except ClusterError as error:
            if error.kind != "conflict":
                raise
        known = _find_version(cluster, pipeline_id, document)
    if not known:
        raise ClusterError(
            f"{cluster.client.address}: took {document.version}, but does not list it.",
            kind="broken",
        )
    return Version(pipeline_id=pipeline_id, version_id=known, name=document.version)


def find_pipeline(cluster: Cluster, name: str) -> str:
    """The id of a pipeline; empty where there is none."""
    found = every(
        cluster,
        cluster.client.pipelines.pipeline_service_list_pipelines,
        "pipelines",
        where={"display_name": name},
        doing="list pipelines",
        among=cluster.scope,
    )
    return next((one.pipeline_id for one in found if one.display_name == name), "")


def every(
    cluster: Cluster,
    operation: Any,
    key: str,
    *,
    where: Mapping[str, str] | None = None,
    part: Mapping[str, str] | None = None,
    doing: str,
    sort_by: str = "created_at desc",
    given: tuple[Any, ...] = (),
    among: Mapping[str, str] | None = None,
) -> Iterator[Any]:
    """All items of a list, page by page.

    Args:
        operation: of the client, such as `runs.run_service_list_runs`.
        key: of the items in its answer.
        where: field → value it equals (KFP compares without case).
        part: field → text it contains.
        given: what the operation takes by position.
        among: the namespace or experiment that the items belong to.
    """
    predicates = [
        {"operation": operation_name, "key": name, "string_value": value}
        for operation_name, wanted in (("EQUALS", where), ("IS_SUBSTRING", part))
        for name, value in (wanted or {}).items()
    ]
    options: dict[str, Any] = dict(among or {})
    if predicates:
        options["filter"] = json.dumps({"predicates": predicates})
    options |= {"page_size": PAGE, "sort_by": sort_by}
    while True:
        page = cluster.call(operation, *given, doing=doing, **options)
        yield from getattr(page, key) or ()
        if not page.next_page_token:
            return
        options["page_token"] = page.next_page_token


def _ensure_pipeline(cluster: Cluster, name: str) -> str:
    if known := find_pipeline(cluster, name):
        return known
    wanted = sendable("V2beta1Pipeline", display_name=name, name=name, **cluster.scope)
    create = cluster.client.pipelines.pipeline_service_create_pipeline
    try:
        made = cluster.call(create, pipeline=wanted, doing="create the pipeline")
    except ClusterError as error:
        if error.kind != "conflict":
            raise
        if known := find_pipeline(cluster, name):
            return known
        raise
    return str(made.pipeline_id)


def _find_version(cluster: Cluster, pipeline_id: str, document: Document) -> str:
    found = every(
        cluster,
        cluster.client.pipelines.pipeline_service_list_pipeline_versions,
        "pipeline_versions",
        where={"display_name": document.version},
        doing="list the pipeline's versions",
        given=(pipeline_id,),
    )
    wanted = document.version
    same = (one for one in found if one.display_name == wanted)
    return next((one.pipeline_version_id for one in same), "")
