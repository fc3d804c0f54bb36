"""All checks of a compiled pipeline and of its surroundings."""

from collections.abc import Collection
from dataclasses import replace
from functools import partial
from pathlib import Path

from pipeline.dag.document import read_document
from pipeline.dag.inputs import Data
from pipeline.preflight.credentials import find_credentials, hide
from pipeline.preflight.findings import Diagnosis, Finding, in_order
from pipeline.preflight.looking import Look, look_at_all
from pipeline.preflight.origin import check_origin, check_schema, require_ours
from pipeline.preflight.pods import check_pods, pods_of
from pipeline.preflight.surroundings import Surroundings

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
    tasks = 0
    if not findings:
        tasks = sum(1 for _ in document.tasks())
        found, hidden = find_credentials(document)
        findings = [*check_origin(document), *check_pods(pods), *found]
        if data:
            from pipeline.preflight.sizes import check_sizes

            name = f"dataset {data.data_md5} at {data.remote}"
            see = partial(check_sizes, document, pods, data)
            looks.append(Look(name, see, _LISTING_S))
    seen = look_at_all(looks)
    findings += [one for one in seen if isinstance(one, Finding)]
    subject = f"document {document.name}: {tasks} tasks, {len(pods)} executors"

    def shown(text: str) -> str:
        return hide(text, hidden)

    return Diagnosis(
        document=str(path),
        findings=in_order(
            (
                replace(
                    one,
                    where=shown(one.where),
                    what=shown(one.what),
                    own_remedy=shown(one.own_remedy),
                )
                for one in findings
            ),
            ignored=ignored,
        ),
        checked=tuple(map(shown, (subject, *(look.subject for look in looks)))),
        notes=tuple(shown(one) for one in seen if isinstance(one, str)),
    )
