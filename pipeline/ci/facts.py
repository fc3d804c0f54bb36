"""Facts about a run: its own description, KFP's state, its row in MLflow."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from pipeline.ci.verdict import Outcome
from seglib.errors import SegError, UsageError

if TYPE_CHECKING:
    from pipeline.kfp.connection import Cluster
    from pipeline.kfp.runs import Run
    from seglib.tracking.queries import RunFacts, TrackedRuns

DECISION = "gate/decision.json"
_PATIENCE = timedelta(hours=24)  # messages that had to wait may come that late


def described(run: "Run") -> dict[str, str]:
    """The lines of the run's description: commit, data, config, image, triple."""
    lines = (line.partition(": ") for line in run.description.splitlines())
    return {name: value for name, colon, value in lines if colon}


def newest_run(cluster: "Cluster", commit: str) -> "Run":
    """The run of a commit that was started last, if possible one not stopped.

    Raises:
        SegError: there is none.
    """
    from pipeline.kfp.runs import list_runs, was_stopped

    runs = [
        run
        for run in list_runs(cluster, part=commit[:7])
        if described(run).get("commit") == commit
    ]
    if not runs:
        raise SegError(
            f"No run of the commit {commit[:12]} on {cluster.client.address}. "
            "`python -m pipeline retrain` starts one."
        )
    return max(runs, key=lambda run: (not was_stopped(run), run.age))


def find_outcome(run: "Run", url: str, *, tracking_uri: str) -> Outcome | None:
    """How a run ended.

    Args:
        run: that has ended.
        url: its page.
        tracking_uri: of the MLflow server; empty: none is named.

    Returns:
        None where its verdict may still come: the run succeeded not long ago, and
        MLflow does not have its row.

    Raises:
        SegError: MLflow does not answer.
    """
    row, decision = _ask_mlflow(run.run_id, tracking_uri)
    if run.state == "SUCCEEDED" and not (row and row.tags.get("verdict")):
        ended = run.ended or run.created
        if datetime.now(UTC) - ended < _PATIENCE:
            return None
    tags: Mapping[str, str] = row.tags if row else {}
    return Outcome(
        state=run.state,
        run=run.name,
        url=url,
        facts=_facts(run, row),
        verdict=tags.get("verdict", ""),
        reasons=tags.get("reasons", ""),
        promotion=tags.get("promotion", ""),
        failure=_failure(run, tags),
        metrics=row.metrics if row else {},
        decision=decision,
    )


def _ask_mlflow(run_id: str, uri: str) -> tuple["RunFacts | None", Mapping[str, Any]]:
    if not uri:
        return None, {}
    from seglib.tracking.mlflow_client import answering
    from seglib.tracking.queries import TrackedRuns

    try:
        with answering(uri):
            rows = TrackedRuns(uri)
            row = _find_row(rows, run_id)
            text = rows.read_file(row, DECISION) if row else ""
    except SegError as error:
        raise SegError(
            f"It is not known what became of the run {run_id}. {error} Then run the "
            "same command again."
        ) from error
    return row, _parse(text)


def _find_row(rows: "TrackedRuns", run_id: str) -> "RunFacts | None":
    try:
        return rows.find(run_id)
    except UsageError:
        return None


def _parse(text: str) -> Mapping[str, Any]:
    try:
        found = json.loads(text or "{}")
    except ValueError:
        return {}  # the row's tags say the most important of it
    return found if isinstance(found, dict) else {}


def _facts(run: "Run", row: "RunFacts | None") -> dict[str, str]:
    found = {k: v for k, v in described(run).items() if k != "triple"}
    minutes = run.duration_s() / 60
    found["duration"] = f"{minutes:.0f} min"
    if row:
        found["MLflow run"] = row.id
    return found


def _failure(run: "Run", tags: Mapping[str, str]) -> str:
    """The step that failed, and why, as far as anybody said."""
    if tags.get("failed_step"):
        return f"{tags['failed_step']}: {tags.get('failure', '')}".rstrip(": ")
    failed = [step for step in run.steps if step.state == "FAILED"]
    names = ", ".join(step.label for step in failed)
    said = next((step.message for step in failed if step.message), run.error)
    return ": ".join(filter(None, (names, said)))
