"""Queries of the MLflow runs of pipeline runs."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from seglib.errors import UsageError
from seglib.tracking.children import PARENT_TAG
from seglib.tracking.mlflow_client import connect, require_active
from seglib.tracking.names import SETTINGS_TABLE, key
from seglib.tracking.tracked_run import EXPERIMENT, RUN_TAG, read_table, read_text

_OURS = f"tags.`{RUN_TAG}` != ''"
_IS_RUNNING = "attributes.status = 'RUNNING'"
_MOST = 1000  # of a search
_NEWEST = ["attributes.start_time DESC"]
_PREFIX = "seg/"  # of parameters beside those of KFP's launcher


@dataclass(frozen=True)
class RunFacts:
    """The facts of one pipeline run in MLflow."""

    id: str
    name: str
    status: str
    start_ms: int
    duration_s: float | None
    parameters: Mapping[str, str]
    metrics: Mapping[str, float]
    tags: Mapping[str, str]


class TrackedRuns:
    """Queries of one store."""

    def __init__(self, uri: str):
        self.uri = uri
        self._client = connect(uri)

    def find(self, word: str) -> RunFacts:
        """A run by its MLflow id, its name, folder or KFP's id, or `latest`.

        Raises:
            UsageError: there is none; names the newest.
        """
        name = Path(word).resolve().name if Path(word).is_dir() else word
        if name == "latest":
            found = next(iter(self.newest(1)), None)
        elif re.fullmatch(r"[0-9a-f]{32}", name):
            found = self._by_id(name)
        else:
            found = self.of_run(name) or self._first("attributes.run_name", name)
        if not found:
            known = ", ".join(run.name for run in self.newest(3)) or "none"
            raise UsageError(
                f"No run {word!r} in {self.uri}. Expected its name, "
                f"folder or MLflow id. The newest are: {known}."
            )
        return found

    def newest(self, count: int) -> list[RunFacts]:
        """The newest runs, the newest first."""
        return self._search(_OURS, count)

    def of_run(self, run: str) -> RunFacts | None:
        """A run by its name or KFP's id; None if there is none."""
        return self._first(f"tags.`{RUN_TAG}`", run)

    def running(self) -> list[RunFacts]:
        """All runs that have not ended."""
        return self._search(f"{_OURS} and {_IS_RUNNING}", _MOST)

    def open_jobs(self) -> list[RunFacts]:
        """The trainings in several pods that have not ended."""
        is_job = "tags.`train_job` != ''"
        return self._search(f"{_OURS} and {_IS_RUNNING} and {is_job}", _MOST)

    def last_sign_ms(self, run: RunFacts) -> int:
        """Time of the last measurement or start, of a run and its steps."""
        own, signs = self._client.get_run(run.id), []
        steps = f"tags.`{PARENT_TAG}` = '{run.id}'"
        for one in (own, *self._client.search_runs([own.info.experiment_id], steps)):
            signs.append(int(one.info.start_time))
            for name in one.data.metrics:
                history = self._client.get_metric_history(one.info.run_id, name)
                signs += [point.timestamp for point in history]
        return max(signs)

    def read_file(self, run: RunFacts, path: str) -> str:
        """The text of a small file that a run keeps; empty if it has no such file."""
        return read_text(self._client, run.id, path)

    def whole(self, run: RunFacts) -> RunFacts:
        """A run with all its settings and scores, which lie in files beside its row.

        The row of an earlier run has them itself, under the same names.

        Returns:
            With every setting, and as metrics each score, `iou/CLASS`, the comparison
            of the gate, and `duration_s/STEP`.
        """
        table = read_table(self._client, run.id, SETTINGS_TABLE)
        settings = {row["setting"]: row["configured"] for row in table}
        scores = json.loads(self.read_file(run, "evaluation/metrics.json") or "{}")
        decision = json.loads(self.read_file(run, "gate/decision.json") or "{}")
        ious = scores.get("class_iou", {})
        measured = {
            **{k: v for k, v in scores.items() if isinstance(v, float)},
            **{f"iou/{key(k)}": iou for k, iou in ious.items() if iou is not None},
            **_compared(decision.get("comparison") or {}),
            **self._durations(run),
        }
        return replace(
            run,
            parameters={**run.parameters, **settings},
            metrics={**measured, **run.metrics},
        )

    def _durations(self, run: RunFacts) -> dict[str, float]:
        """How long each step took that the run executed."""
        experiment = self._client.get_run(run.id).info.experiment_id
        steps = self._client.search_runs(
            [experiment], f"tags.`{PARENT_TAG}` = '{run.id}'"
        )
        return {
            f"duration_s/{step.data.tags['step']}": step.data.metrics["duration_s"]
            for step in steps
            if "step" in step.data.tags and "duration_s" in step.data.metrics
        }

    def _by_id(self, run_id: str) -> RunFacts | None:
        try:
            return _facts(self._client.get_run(run_id))
        except Exception as error:  # MLflow's, which only one module may import
            if getattr(error, "error_code", "") == "RESOURCE_DOES_NOT_EXIST":
                return None
            raise

    def _first(self, field: str, name: str) -> RunFacts | None:
        quoted = name.replace("'", "")
        return next(iter(self._search(f"{field} = '{quoted}' and {_OURS}", 1)), None)

    def _search(self, condition: str, count: int) -> list[RunFacts]:
        experiments = self._client.search_experiments()
        # Runs of a cluster lie in the experiment that KFP chose.
        experiments.sort(key=lambda experiment: experiment.name != EXPERIMENT)
        ids = [experiment.experiment_id for experiment in experiments]
        runs = self._client.search_runs(
            ids, condition, max_results=count, order_by=_NEWEST
        )
        if not runs:
            require_active(self._client, self.uri, EXPERIMENT)
        return [_facts(run) for run in runs]


def _compared(comparison: Mapping[str, Any]) -> dict[str, float]:
    """The scores of a comparison with the champion, as a decision.json tells them."""
    if not comparison:
        return {}
    change = comparison["miou"]
    found = {
        "champion_miou": comparison["champion_miou"],
        "delta_miou": change["estimate"],
        "delta_miou_low": change["low"],
        "delta_miou_high": change["high"],
    }
    return {name: value for name, value in found.items() if value is not None}


def _facts(run: Any) -> RunFacts:
    info, data = run.info, run.data
    duration = (info.end_time - info.start_time) / 1000 if info.end_time else None
    return RunFacts(
        id=str(info.run_id),
        name=str(info.run_name or data.tags.get(RUN_TAG)),
        status=str(info.status),
        start_ms=int(info.start_time),
        duration_s=duration,
        parameters={k.removeprefix(_PREFIX): v for k, v in data.params.items()},
        metrics=dict(data.metrics),
        tags=dict(data.tags),
    )
