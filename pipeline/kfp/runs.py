"""Runs of the cluster, and their steps, as they are now."""

import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from pipeline.kfp.connection import KfpServer
from pipeline.kfp.failures import ClusterError
from pipeline.kfp.objects import find_experiment, find_pipeline
from pipeline.kfp.order import tag_of
from seglib.errors import SegError
from seglib.runtime.workflow import (
    CANCELED,
    FAILED,
    PENDING,
    RUNNING,
    SKIPPED,
    SUCCEEDED,
    RunStep,
    workflow_of,
)

CANCELING = "CANCELING"
FINISHED = (SUCCEEDED, FAILED, CANCELED, SKIPPED)
# Of the exit status of `submit --wait`, `wait` and `status`.
EXIT_STATUSES = {SUCCEEDED: 0, SKIPPED: 0, FAILED: 1, CANCELED: 3}
_IN_VAIN = (CANCELED, CANCELING, FAILED, SKIPPED)
_AT_ONCE = timedelta(minutes=2)
_NO_WORKFLOW = ("missing", "invalid", "broken", "not-kfp")  # kinds of errors
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass(frozen=True, kw_only=True)
class Run:
    """A run, with the steps that it has come to."""

    run_id: str
    name: str
    state: str  # KFP's, but CANCELED where it was stopped; PENDING before it is said
    created: datetime
    ended: datetime | None
    description: str
    error: str
    recurring: bool
    pipeline_id: str  # empty: of no pipeline that KFP keeps
    parameters: dict[str, Any]
    steps: tuple[RunStep, ...] = ()
    note: str = ""  # why the steps are not known

    @property
    def finished(self) -> bool:
        return self.state in FINISHED

    @property
    def tag(self) -> str:
        """Key and what tells it apart; empty for a run that was not submitted here."""
        return tag_of(self.name)

    @property
    def age(self) -> tuple[datetime, str]:
        """Sorts runs from the oldest, the same way for everybody."""
        return self.created, self.run_id

    def duration_s(self, now: datetime | None = None) -> float:
        """Until its end, or until now."""
        return ((self.ended or now or datetime.now(UTC)) - self.created).total_seconds()

    def to_json(self) -> dict[str, Any]:
        """For programs: times as text, in UTC."""
        content = asdict(self)
        attempts = [one for step in content["steps"] for one in step["attempts"]]
        for one in (content, *content["steps"], *attempts):
            for name, value in one.items():
                if isinstance(value, datetime):
                    one[name] = value.astimezone(UTC).isoformat()
        return content


def get_run(server: KfpServer, run_id: str) -> Run:
    """A run as it is now, with its steps."""
    get = server.runs.run_service_get_run
    run = to_run(server.call(get, run_id, doing=f"read the run {run_id}"))
    try:
        # What Argo has of it, by KFP's API of version 1, which alone gives that.
        path = f"/apis/v1beta1/runs/{run_id}"
        workflow = workflow_of(server.read(path, doing="read the run's workflow"))
    except SegError as error:
        if isinstance(error, ClusterError) and error.kind not in _NO_WORKFLOW:
            raise
        return replace(run, note=f"The steps are not known: {error}")
    stopped, failed = workflow.stopped and run.state == FAILED, workflow.failed
    reason = f"{failed.label}: {failed.message}" if failed and failed.message else ""
    return replace(
        run,
        steps=workflow.steps,
        state=CANCELED if stopped else run.state,
        error=run.error or reason,
    )


def list_runs(
    server: KfpServer, *, experiment: str = "", part: str = "", archived: bool = False
) -> Iterator[Run]:
    """Runs, the newest first.

    Args:
        experiment: only its runs.
        part: of their names.
        archived: whether to give those, too, that were put away.
    """
    scope = server.scope
    if experiment:
        known = find_experiment(server, experiment)
        if not known:
            raise SegError(f"No experiment {experiment!r} on {server.address}.")
        scope = {"experiment_id": known}
    listing = server.runs.run_service_list_runs
    for one in server.pages(listing, "runs", part=part, among=scope, doing="list runs"):
        if archived or one.storage_state != "ARCHIVED":
            yield to_run(one)


def find_run(server: KfpServer, name: str) -> Run:
    """The run of an id, a name or a part of one; `latest` is the newest of ours.

    Raises:
        SegError: none, or several.
    """
    if _UUID.fullmatch(name):
        return get_run(server, name)
    if name == "latest":
        return get_run(server, _newest(server).run_id)
    found = list(list_runs(server, part=name))
    exact = [run for run in found if run.name == name] or found
    if len(exact) == 1:
        return get_run(server, exact[0].run_id)
    if not exact:
        raise SegError(
            f"No run {name!r} on {server.address}. Expected an id, a name or a "
            "part of one, or `latest`. `python -m pipeline status` lists them."
        )
    listed = "\n".join(f"  {run.run_id}  {run.name}  {run.state}" for run in exact[:10])
    raise SegError(
        f"{len(exact)} runs are called {name!r}. Name one by its id:\n{listed}"
    )


def alive_runs(server: KfpServer, tag: str) -> list[Run]:
    """Of the runs with a tag those that go on or have succeeded, oldest first."""
    found = _submitted(server, tag.partition("-")[0])
    return [run for run in found if run.tag == tag and run.state not in _IN_VAIN]


def run_of(server: KfpServer, key: str) -> Run | None:
    """The run that makes another one of this key needless.

    Returns:
        One that succeeded, else one that is still running; `None` where there is none.
    """
    best = (SUCCEEDED, RUNNING, "PAUSED", PENDING)
    found = (run for run in _submitted(server, key) if run.state in best)
    return min(found, key=lambda run: best.index(run.state), default=None)


def was_stopped(run: Run) -> bool:
    """Whether a run was stopped, or is about to be."""
    return run.state in (CANCELED, CANCELING)


def in_its_place(server: KfpServer, run: Run) -> Run | None:
    """The run that a run gave way to, when two were submitted at once."""
    if not was_stopped(run) or not run.tag:
        return None
    others = alive_runs(server, run.tag)
    near = (o for o in others if abs(o.created - run.created) < _AT_ONCE)
    return next(near, None)


def terminate(server: KfpServer, run_id: str) -> None:
    """Stop a run; one that has ended stays as it is."""
    try:
        server.call(server.runs.run_service_terminate_run, run_id, doing="stop the run")
    except ClusterError as error:
        # A run that ends just now, or a stop that had worked at the first try.
        ending = get_run(server, run_id).state in (*FINISHED, CANCELING)
        if error.kind not in ("invalid", "broken") or not ending:
            raise


def to_run(found: Any) -> Run:
    """From an answer of the API; it knows no steps."""
    config, version = found.runtime_config, found.pipeline_version_reference
    ended = found.finished_at
    return Run(
        run_id=found.run_id,
        name=found.display_name or "",
        state=_state(found),
        created=found.created_at or datetime.fromtimestamp(0, UTC),
        ended=ended if ended and ended.year > 1970 else None,  # 1970: not yet
        description=found.description or "",
        error=found.error.message or "" if found.error else "",
        recurring=bool(found.recurring_run_id),
        pipeline_id=(version.pipeline_id or "") if version else "",
        parameters=dict((config.parameters if config else None) or {}),
    )


def _newest(server: KfpServer) -> Run:
    """The newest run of the training pipeline or of the sweep."""
    from pipeline.dag.sweep import NAME as SWEEP
    from pipeline.dag.training import NAME as TRAINING

    ours = {find_pipeline(server, name) for name in (TRAINING, SWEEP)} - {""}
    for run in list_runs(server) if ours else ():
        if run.pipeline_id in ours:
            return run
    raise SegError(f"No runs of {TRAINING} on {server.address} yet.")


def _submitted(server: KfpServer, key: str) -> list[Run]:
    """Every run of a key that was submitted here, forced ones too, oldest first."""
    found = {
        run.run_id: run  # a list that grows may show one on two pages
        for run in list_runs(server, part=key, archived=True)
        if run.tag.startswith(key) and not run.recurring
    }
    return sorted(found.values(), key=lambda run: run.age)


def _state(found: Any) -> str:
    """KFP says FAILED of a run that was stopped; its history alone tells."""
    text = str(found.state or "")
    if text == FAILED and any(
        entry.state == CANCELING for entry in found.state_history or ()
    ):
        return CANCELED
    return PENDING if text in ("", "RUNTIME_STATE_UNSPECIFIED") else text
