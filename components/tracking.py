"""The row of a pipeline run in MLflow; the only importer of mlflow.

One run of the pipeline is one MLflow run, found by its tag `kfp.run_id`. The messages
of the steps (components/step.py) fill it: parameters and tags when it opens, a point
of each curve an epoch, everything that the gate saw, the exported files, and how it
all ended. Because the gate is never cached, a run that reuses earlier outputs has a
full row, too, and each step's tag tells where its output is from.

The store is MLFLOW_TRACKING_URI; without it nothing is tracked. A failure to track is
a warning, never an error.
"""

import functools
import json
import logging
import os
import re
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from components.mlflow_client import SQLITE, connect
from components.recording import PARTS
from components.step import config, send, step

__all__ = ["Row", "Tracker", "apply", "config", "send", "step"]

logger = logging.getLogger(__name__)

EXPERIMENT = "segmentation-training"
RUN_TAG = "kfp.run_id"
_LONGEST_DIGEST = 36  # characters: MLflow's limit, and a DVC hash's length
_LONGEST_TAG = 5000  # characters
_FAILURES_BEFORE_GIVING_UP = 3
_STATUS = {"SUCCEEDED": "FINISHED", "CANCELLED": "KILLED", "CANCELED": "KILLED"}


def apply(message: Mapping[str, Any]) -> None:
    """Track a message from this process, if a tracking store is named."""
    uri = os.environ.get("MLFLOW_TRACKING_URI")
    if uri:
        _tracker(uri).apply(message)


class Tracker:
    """Applies messages to the rows of one tracking store."""

    def __init__(
        self, uri: str, *, warn: Callable[[str], None] = logger.warning
    ) -> None:
        self.uri = uri
        self.rows: dict[str, Row] = {}
        self._warn = warn
        self._failures = 0

    def apply(self, message: Mapping[str, Any]) -> None:
        """Track one message; a failure warns and is otherwise swallowed."""
        for part in PARTS.get(message["kind"], ()):
            given_up = self._failures >= _FAILURES_BEFORE_GIVING_UP
            if given_up and message["kind"] != "close":  # none should stay RUNNING
                return
            try:
                part(self._row(message["run"], int(message["time_ms"])), message)
                self._failures = 0
            except Exception as error:  # noqa: BLE001 (whatever it is, the run goes on)
                self._failures += 1
                what = part.__name__.removeprefix("record_")
                self._warn(f"not tracked: {what} ({_first_line(error)})")
                if self._failures == _FAILURES_BEFORE_GIVING_UP:
                    self._warn(f"nothing more is tracked in this run at {self.uri}")

    def _row(self, run: str, time_ms: int) -> "Row":
        if run not in self.rows:
            self.rows[run] = Row(self.uri, run, time_ms=time_ms)
        self.rows[run].time_ms = time_ms
        return self.rows[run]


class Row:
    """The MLflow run of one pipeline run: found by its tag, else created."""

    def __init__(self, uri: str, run: str, *, time_ms: int) -> None:
        self.uri = uri
        self.run = run
        self.time_ms = time_ms  # of what is being tracked, which may be a while ago
        self._client = connect(uri)
        self.experiment_id = _experiment(self._client, uri)
        self.id = self._find(run) or self._create()
        self.model_id: str | None = None

    def log(
        self,
        *,
        parameters: Mapping[str, Any] | None = None,
        tags: Mapping[str, Any] | None = None,
        metrics: Mapping[str, float] | None = None,
        step: int = 0,
        scored_on: tuple[str, str] | None = None,
    ) -> None:
        """Log a batch.

        Args:
            scored_on: name and digest of the dataset that the metrics were measured
                on: with it, models can be searched by their scores on it.
        """
        from mlflow.entities import Metric, Param, RunTag

        scored: dict[str, Any] = {}
        if scored_on:
            name, digest = scored_on
            scored = {
                "run_id": self.id,
                "model_id": self.model_id,
                "dataset_name": name,
                "dataset_digest": digest[:_LONGEST_DIGEST],
            }
        self._client.log_batch(
            self.id,
            params=[Param(k, str(v)) for k, v in (parameters or {}).items()],
            tags=[RunTag(k, str(v)[:_LONGEST_TAG]) for k, v in (tags or {}).items()],
            metrics=[
                Metric(key=k, value=v, timestamp=self.time_ms, step=step, **scored)
                for k, v in (metrics or {}).items()
            ],
        )

    def tag(self, name: str) -> str:
        """A tag's value; empty where there is none."""
        return str(self._client.get_run(self.id).data.tags.get(name, ""))

    def steps(self, metric: str) -> set[int]:
        """The steps at which a metric was logged."""
        return {m.step for m in self._client.get_metric_history(self.id, metric)}

    def log_dataset(
        self,
        name: str,
        *,
        digest: str,
        source: Mapping[str, Any],
        profile: Mapping[str, Any],
    ) -> None:
        from mlflow.entities import Dataset, DatasetInput, InputTag

        dataset = Dataset(
            name=name,
            digest=digest[:_LONGEST_DIGEST],
            source_type="dvc",
            source=json.dumps(source),
            profile=json.dumps(profile),
        )
        tag = InputTag("mlflow.data.context", "training")
        self._client.log_inputs(self.id, [DatasetInput(dataset, [tag])])

    def log_model(
        self, name: str, *, folder: Path, made_by: str, parameters: Mapping[str, Any]
    ) -> None:
        """Log a model as this run's output, or refer to the one of another run.

        Args:
            made_by: the pipeline run that trained it.
        """
        from mlflow.entities import LoggedModelInput, LoggedModelOutput

        found = self._client.search_logged_models(
            [self.experiment_id], f"tags.`{RUN_TAG}` = '{made_by}'", max_results=1
        )
        if found:
            self.model_id = str(found[0].model_id)
        else:
            self.model_id = self._create_model(name, folder, made_by, parameters)
        self.log(tags={"model_id": self.model_id})
        here = self._client.get_run(self.id)
        known = [*here.inputs.model_inputs, *here.outputs.model_outputs]
        if any(model.model_id == self.model_id for model in known):
            return  # a retry
        if made_by == self.run:
            self._client.log_outputs(self.id, [LoggedModelOutput(self.model_id, 0)])
        else:
            refer = LoggedModelInput(self.model_id)
            self._client.log_inputs(self.id, models=[refer])

    def log_pictures(self, pictures: Mapping[str, Path]) -> None:
        """Log pictures under their keys; those that are there (a retry) stay."""
        from PIL import Image

        there = self._client.list_artifacts(self.id, "images")
        names = {Path(file.path).name.partition("+")[0] for file in there}
        for key, path in pictures.items():
            if key.replace("/", "~") not in names:  # as MLflow writes it
                with Image.open(path) as picture:
                    self._client.log_image(self.id, picture, key=key, step=0)

    def log_file(self, path: Path, place: str) -> None:
        self._client.log_artifact(self.id, str(path), place)

    def log_folder(self, path: Path, place: str) -> None:
        self._client.log_artifacts(self.id, str(path), place)

    def close(self, state: str) -> None:
        """End the run.

        Args:
            state: KFP's word for how: SUCCEEDED, FAILED, CANCELLED …
        """
        status = _STATUS.get(state, "FAILED")
        self._client.set_terminated(self.id, status, end_time=self.time_ms)

    def _find(self, run: str) -> str:
        """The MLflow id of a pipeline run's row; empty if there is none."""
        if not re.fullmatch(r"[\w.:+-]+", run):
            return ""
        found = self._client.search_runs(
            [self.experiment_id], f"tags.`{RUN_TAG}` = '{run}'", max_results=1
        )
        return str(found[0].info.run_id) if found else ""

    def _create(self) -> str:
        created = self._client.create_run(
            self.experiment_id,
            start_time=self.time_ms,
            run_name=self.run or None,
            tags={RUN_TAG: self.run},
        )
        return str(created.info.run_id)

    def _create_model(
        self, name: str, folder: Path, made_by: str, parameters: Mapping[str, Any]
    ) -> str:
        from mlflow.models import Model

        created = self._client.create_logged_model(
            self.experiment_id,
            name=name,
            source_run_id=self._find(made_by) or self.id,
            tags={RUN_TAG: made_by},
            params={k: str(v) for k, v in parameters.items()},
            model_type="segmentation",
        )
        model_id = str(created.model_id)
        with tempfile.TemporaryDirectory() as description:
            Model(model_id=model_id).save(f"{description}/MLmodel")
            self._client.log_model_artifacts(model_id, description)
        self._client.log_model_artifacts(model_id, str(folder))
        self._client.finalize_logged_model(model_id, "READY")
        return model_id


@functools.cache
def _tracker(uri: str) -> Tracker:
    return Tracker(uri)


def _experiment(client: Any, uri: str) -> str:
    experiment = client.get_experiment_by_name(EXPERIMENT)
    if experiment is None:
        place = None  # a server knows where artifacts go
        if uri.startswith(SQLITE):
            database = Path(uri.removeprefix(SQLITE)).resolve()
            place = (database.parent / "mlflow-artifacts").as_uri()
        return str(client.create_experiment(EXPERIMENT, artifact_location=place))
    return str(experiment.experiment_id)


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).strip() or '?'}".splitlines()[0]
