"""What keeps results from being reused, or reuses the wrong ones: P150 … P152."""

import re
from collections.abc import Iterator

from pipeline.preflight.document import ROOT, Document, Task
from pipeline.preflight.findings import Finding

# Placeholders that stand for something else in every run.
_OF_A_RUN = re.compile(
    r"\{\{\$\.(pipeline_job_(?:uuid|name|resource_name|create_time_utc|"
    r"schedule_time_utc)|pipeline_task_uuid)\}\}"
)
_ENDS = (
    ("run", "id"),
    ("run", "name"),
    ("job", "id"),
    ("build", "id"),
    ("build", "number"),
    ("request", "id"),
    ("git", "sha"),
    ("git", "commit"),
    ("git", "ref"),
    ("created", "at"),
    ("started", "at"),
)
_LAST = {"uuid", "guid", "commit", "timestamp", "datetime", "today", "now", "nonce"}
_WHOLE = {"date", "time", "revision", "sha"}
_VARYING = re.compile(
    r"(?:19|20)\d{2}-?[01]\d-?[0-3]\d|[0-9a-f]{8}-[0-9a-f]{4}-|\b1[5-9]\d{8}\b|"
    r"(?=[0-9a-f]*[a-f])(?=[0-9a-f]*\d)\b[0-9a-f]{12,40}\b"
)


def check_caching(document: Document) -> Iterator[Finding]:
    """What belongs to one run and gets into the key of a cached task."""
    steps = {step.executor: step for step in document.steps()}
    for task in document.tasks():
        component = document.components.get(task.component, {})
        step = steps.get(component.get("executorLabel", ""))
        if step is None or not task.is_cached:
            continue
        yield from _check_values(task)
        used = sorted({m for text in step.texts for m in _OF_A_RUN.findall(text)})
        for placeholder in used:
            what = f"its command has {placeholder}, of the run that was executed"
            yield Finding(code="P150", where=task.where, what=what)
    yield from _check_parameters(document)
    if _VARYING.search(document.name):
        yield Finding(
            code="P152",
            where="pipelineInfo",
            what="the pipeline's name holds a date, an id or a hash",
        )


def changes_with_every_run(name: str) -> bool:
    """Whether a parameter is called like something that no two runs share.

    >>> changes_with_every_run("git_commit"), changes_with_every_run("data_md5")
    (True, False)
    """
    words = tuple(re.findall(r"[a-z]+|\d+", _snake(name)))
    if not words:
        return False
    return words[-1] in _LAST or words[-2:] in _ENDS or "_".join(words) in _WHOLE


def _check_values(task: Task) -> Iterator[Finding]:
    for name, source in task.parameters.items():
        constant = source.get("runtimeValue", {}).get("constant")
        found = _OF_A_RUN.search(constant) if isinstance(constant, str) else None
        if found:
            what = f"its input {name} is {found[1]}, another one in every run"
            yield Finding(code="P150", where=task.where, what=what)


def _check_parameters(document: Document) -> Iterator[Finding]:
    for name in document.declared(ROOT, "parameters"):
        if changes_with_every_run(name):
            users = sorted(t.name for t in _cached_users(document, ROOT, name))
            if users:
                yield Finding(
                    code="P151",
                    where=f"pipeline parameter {name}",
                    what=f"it is part of the cache's key of {', '.join(users)}",
                )


def _cached_users(
    document: Document, dag: str, name: str, seen: frozenset[str] = frozenset()
) -> Iterator[Task]:
    """The cached tasks that a DAG's input gets to, through the DAGs within."""
    if dag in seen:  # a DAG within itself
        return
    for task in document.tasks():
        if task.dag != dag:
            continue
        for inner, source in task.parameters.items():
            if source.get("componentInputParameter") != name:
                continue
            if "dag" in document.components.get(task.component, {}):
                yield from _cached_users(document, task.component, inner, seen | {dag})
            elif task.is_cached:
                yield task


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
