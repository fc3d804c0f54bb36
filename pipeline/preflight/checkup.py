"""All checks of a compiled pipeline and of its surroundings."""

from collections.abc import Collection
from dataclasses import replace
from functools import partial
from pathlib import Path

from pipeline.dag.document import Document, read_document
from pipeline.dag.inputs import Data
from pipeline.preflight.around.looking import Look, Seen, look_at_all
from pipeline.preflight.around.surroundings import Surroundings
from pipeline.preflight.checks.credentials import find_credentials, hide
from pipeline.preflight.checks.origin import check_origin, require_ours
from pipeline.preflight.checks.pods import check_pods
from pipeline.preflight.checks.schema import check_schema
from pipeline.preflight.findings import Diagnosis, Finding, FoundError, in_order
from pipeline.preflight.pod import Pod, pods_of
from seglib.errors import SegError

_LISTING_S = 60.0  # limit of listing a dataset, some hundred requests


def examine(
    path: Path,
    *,
    data: Data | None = None,
    around: Surroundings | None = None,
    ignored: Collection[str] = (),
) -> Diagnosis:
    """Examine a pipeline that `python -m pipeline compile` or `sweep` wrote.

    Args:
        path: of the compiled file, or of its Kubernetes manifest.
        data: dataset of the run, whose size is compared with the pods' resources.
        around: the surroundings to look at. Default: none.
        ignored: codes that are not reported.

    Raises:
        UsageError: the file cannot be read, or is no pipeline of this project.
    """
    document = read_document(path)
    require_ours(document)
    document, findings = check_schema(document)
    pods = [] if findings else pods_of(document)
    looks = around.looks(pods) if around else []
    hidden: Collection[str] = ()
    if not findings:
        findings += [*check_origin(document), *check_pods(pods)]
        found, hidden = find_credentials(document)
        findings += found
        if data:
            see = partial(_check_sizes, document, pods, data)
            looks.append(Look(_name(data), see, _LISTING_S))
    seen = look_at_all(looks)
    findings += [one for one in seen if isinstance(one, Finding)]
    steps, tasks = len(pods), sum(1 for _ in document.tasks()) if pods else 0
    subject = f"document {document.name}: {tasks} tasks, {steps} executors"
    return Diagnosis(
        document=str(path),
        findings=in_order((_shown(one, hidden) for one in findings), ignored=ignored),
        checked=tuple(
            hide(text, hidden) for text in (subject, *(look.subject for look in looks))
        ),
        notes=tuple(hide(one, hidden) for one in seen if isinstance(one, str)),
    )


def _name(data: Data) -> str:
    return f"dataset {data.data_md5} at {data.remote}"


def _check_sizes(document: Document, pods: list[Pod], data: Data) -> Seen:
    """Compare the resources of the pods with the dataset's size."""
    from pipeline.preflight.checks.dataset_size import measure
    from pipeline.preflight.checks.estimates import describe, run_settings
    from pipeline.preflight.checks.sizing import check_sizes

    try:
        size = measure(data.data_md5, data.remote)
    except SegError as error:
        raise FoundError("S270", _name(data), str(error).rstrip(".")) from error
    settings = run_settings(document.defaults, size)
    yield from check_sizes(pods, size, settings)
    yield describe(size, settings)


def _shown(finding: Finding, hidden: Collection[str]) -> Finding:
    """The finding without any credential."""
    return replace(
        finding,
        where=hide(finding.where, hidden),
        what=hide(finding.what, hidden),
        own_remedy=hide(finding.own_remedy, hidden),
    )
