"""All checks of a document, and of its surroundings."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.preflight.around.looking import Look, Seen, look_at_all
from pipeline.preflight.around.surroundings import Surroundings
from pipeline.preflight.checks.caching import check_caching
from pipeline.preflight.checks.constructs import check_constructs
from pipeline.preflight.checks.credentials import find_credentials, hide
from pipeline.preflight.checks.images import check_images
from pipeline.preflight.checks.pods import check_pods
from pipeline.preflight.checks.sources import check_sources
from pipeline.preflight.checks.wiring import check_wiring
from pipeline.preflight.document import Document
from pipeline.preflight.findings import Diagnosis, Finding, in_order
from pipeline.preflight.reading import read
from seglib.errors import SegError

_CHECKS = (
    check_wiring,
    check_images,
    check_constructs,
    check_sources,
    check_caching,
    check_pods,
)
_LISTING_S = 60.0  # of a dataset: some hundred answers of a store


@dataclass(frozen=True, kw_only=True)
class Data:
    """The dataset of a run."""

    data_md5: str
    remote: str


def examine(
    path: Path,
    *,
    data: Data | None = None,
    around: Surroundings | None = None,
    ignored: Collection[str] = (),
) -> Diagnosis:
    """Examine a compiled pipeline.

    Args:
        path: of the file that a KFP compiler wrote.
        data: what the pipeline is to run on; sizes are then compared with its needs.
        around: what of the surroundings to look at. Default: nothing.
        ignored: codes that are not reported.

    Raises:
        UsageError: the file cannot be read.
    """
    reading = read(path)
    document = reading.document
    credentials = find_credentials(reading.trees)
    findings = [*reading.findings, *credentials.findings]
    findings += [finding for check in _CHECKS for finding in check(document)]
    looks = around.looks(document) if around else []
    if data:
        subject = f"dataset {data.data_md5} at {data.remote}"
        looks.append(Look(subject, lambda: _weigh(document, data), _LISTING_S))
    seen = look_at_all(looks)
    findings += [finding for one in seen for finding in one.findings]
    hidden = credentials.values
    subjects = (_subject(document), *(look.subject for look in looks))
    return Diagnosis(
        document=str(path),
        findings=in_order(_shown(findings, hidden), ignored=ignored),
        checked=tuple(hide(text, hidden) for text in subjects),
        notes=tuple(hide(note, hidden) for one in seen for note in one.notes),
    )


def _weigh(document: Document, data: Data) -> Seen:
    """Compare the sizes of pods with the dataset's."""
    from pipeline.preflight.checks.dataset_size import MissingFilesError, measure
    from pipeline.preflight.checks.estimates import describe, settings_of
    from pipeline.preflight.checks.sizing import check_sizes

    where = f"dataset {data.data_md5} at {data.remote}"
    try:
        size = measure(data.data_md5, data.remote)
    except MissingFilesError as error:
        return Seen((Finding(code="S271", where=where, what=str(error).rstrip(".")),))
    except SegError as error:
        return Seen((Finding(code="S270", where=where, what=str(error).rstrip(".")),))
    note = describe(size, settings_of(document.defaults, size))
    return Seen(tuple(check_sizes(document, size)), (note,))


def _shown(findings: Iterable[Finding], values: Collection[str]) -> list[Finding]:
    """The findings, without any value that must not be shown."""
    return [
        replace(
            finding,
            where=hide(finding.where, values),
            what=hide(finding.what, values),
            remedy=hide(finding.remedy, values),
        )
        for finding in findings
    ]


def _subject(document: Document) -> str:
    steps, tasks = len(list(document.steps())), len(list(document.tasks()))
    return f"document {document.name or '(no name)'}: {tasks} tasks, {steps} executors"
