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
import hashlib
import json
import logging
import math
import os
import re
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from components.step import Origin, config, run_id, send, step

__all__ = ["Tracker", "apply", "config", "run_id", "send", "step"]

logger = logging.getLogger(__name__)

EXPERIMENT = "segmentation-training"
RUN_TAG = "kfp.run_id"
_SQLITE = "sqlite:///"
_FAILURES_BEFORE_GIVING_UP = 3
_STATUS = {"SUCCEEDED": "FINISHED", "CANCELLED": "KILLED", "CANCELED": "KILLED"}
# Neither asks nor tells anything outside, and does not wait long for a dead server.
_ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "GIT_PYTHON_REFRESH": "quiet",
}


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
        content = dict(message)
        kind, run = content.pop("kind"), content.pop("run")
        if kind not in _PARTS:
            return
        for part in _PARTS[kind]:
            if self._failures >= _FAILURES_BEFORE_GIVING_UP and kind != "close":
                return
            try:
                part(self._row(run), content)
                self._failures = 0
            except Exception as error:  # noqa: BLE001 (whatever it is: never an error)
                self._failures += 1
                self._warn(f"not tracked: {part.__name__[5:]} ({_first_line(error)})")

    def _row(self, run: str) -> "Row":
        if run not in self.rows:
            self.rows[run] = Row(self.uri, run)
        return self.rows[run]


class Row:
    """The MLflow run of one pipeline run: found by its tag, else created."""

    def __init__(self, uri: str, run: str) -> None:
        self.client = _client(uri)
        self.run = run
        self.experiment_id = _experiment(self.client, uri)
        self.id = self.find(run) or self._create()

    def find(self, run: str) -> str:
        """The MLflow id of a pipeline run's row; empty if there is none."""
        if not re.fullmatch(r"[\w.:+-]+", run):
            return ""
        found = self.client.search_runs(
            [self.experiment_id], f"tags.`{RUN_TAG}` = '{run}'", max_results=1
        )
        return str(found[0].info.run_id) if found else ""

    def _create(self) -> str:
        created = self.client.create_run(
            self.experiment_id, run_name=self.run or None, tags={RUN_TAG: self.run}
        )
        return str(created.info.run_id)

    def log(
        self,
        *,
        parameters: Mapping[str, Any] | None = None,
        tags: Mapping[str, Any] | None = None,
        metrics: list[Any] | None = None,
    ) -> None:
        """Log a batch."""
        from mlflow.entities import Param, RunTag

        self.client.log_batch(
            self.id,
            params=[Param(k, str(v)) for k, v in (parameters or {}).items()],
            tags=[RunTag(k, str(v)[:5000]) for k, v in (tags or {}).items()],
            metrics=metrics or [],
        )


def _log_identity(row: Row, content: Mapping[str, Any]) -> None:
    """What went in: the same whoever tells it, the runner first or the exit task."""
    parameters = content.get("parameters", {})
    text = json.dumps(parameters, sort_keys=True)
    row.log(
        parameters=parameters,
        tags={
            **content.get("tags", {}),
            "data_md5": content["data_md5"],
            "code_version": content["code_version"],
            "config_hash": hashlib.sha256(text.encode()).hexdigest()[:12],
        },
    )


def _log_epoch(row: Row, content: Mapping[str, Any]) -> None:
    row.log(metrics=_curve_points([content["row"]]))


def _log_failure(row: Row, content: Mapping[str, Any]) -> None:
    step = content["step"]
    row.log(
        tags={
            f"step.{step}": "failed",
            "failed_step": step,
            "failure": content["message"],
        }
    )


def _log_lineage(row: Row, content: Mapping[str, Any]) -> None:
    lineage: dict[str, Origin] = content.get("lineage", {})
    row.log(
        tags={
            f"step.{name}": "executed"
            if origin["run_id"] == row.run
            else f"cached from run {origin['run_id']} of {origin['finished']}"
            for name, origin in lineage.items()
        },
        metrics=[
            _metric(f"duration_s/{name}", origin["duration_s"])
            for name, origin in lineage.items()
            if origin["run_id"] == row.run and "duration_s" in origin
        ],
    )


def _log_verdict(row: Row, content: Mapping[str, Any]) -> None:
    tags = {"verdict": content["verdict"], "reasons": content["reasons"]}
    if content["verdict"] != "promote":
        tags["step.export"] = "held back"
    row.log(tags=tags)


def _log_dataset(row: Row, content: Mapping[str, Any]) -> None:
    from mlflow.entities import Dataset, DatasetInput, InputTag

    manifest = _read_json(content["manifest"], "manifest.json")
    profile = {split: len(pairs) for split, pairs in manifest["splits"].items()}
    dataset = Dataset(
        name=_dataset_name(manifest),
        digest=manifest["data_md5"][:36],  # MLflow's limit, and a DVC hash's length
        source_type="dvc",
        source=json.dumps({key: manifest[key] for key in ("remote", "data_md5")}),
        profile=json.dumps({**profile, "num_classes": manifest["num_classes"]}),
    )
    tag = InputTag("mlflow.data.context", "training")
    row.client.log_inputs(row.id, [DatasetInput(dataset, [tag])])


def _log_curves(row: Row, content: Mapping[str, Any]) -> None:
    """Complete the curves: what was logged live is not repeated."""
    points = _curve_points(_read_json(content["model"], "history.json"))
    logged = {
        (key, point.step)
        for key in {point.key for point in points}
        for point in row.client.get_metric_history(row.id, key)
    }
    row.log(metrics=[p for p in points if (p.key, p.step) not in logged])


def _log_model(row: Row, content: Mapping[str, Any]) -> None:
    """Log the model once, with the run that trained it; reusers refer to it."""
    from mlflow.entities import LoggedModelInput, LoggedModelOutput

    trained_by = content["lineage"]["train"]["run_id"]
    found = row.client.search_logged_models(
        [row.experiment_id], f"tags.`{RUN_TAG}` = '{trained_by}'", max_results=1
    )
    model_id = found[0].model_id if found else _create_model(row, content, trained_by)
    if trained_by == row.run:
        row.client.log_outputs(row.id, [LoggedModelOutput(model_id, 0)])
    else:
        row.client.log_inputs(row.id, models=[LoggedModelInput(model_id)])
    row.log(tags={"model_id": model_id})


def _log_scores(row: Row, content: Mapping[str, Any]) -> None:
    scores = _read_json(content["evaluation"], "metrics.json")
    manifest = _read_json(content["manifest"], "manifest.json")
    values = {
        **{key: value for key, value in scores.items() if isinstance(value, float)},
        **{f"iou/{_key(k)}": v for k, v in scores["class_iou"].items()},
    }
    # With these, models can be searched by what they score on which data.
    scored = {
        "model_id": row.client.get_run(row.id).data.tags.get("model_id"),
        "dataset_name": _dataset_name(manifest),
        "dataset_digest": manifest["data_md5"][:36],
        "run_id": row.id,
    }
    row.log(
        metrics=[
            _metric(key, value, **scored)
            for key, value in values.items()
            if value is not None
        ]
    )


def _log_overlays(row: Row, content: Mapping[str, Any]) -> None:
    """The same keys and step in every run line the pictures up in MLflow's grid."""
    from PIL import Image

    if row.client.list_artifacts(row.id, "images"):
        return  # a retried gate
    for path in sorted(Path(content["evaluation"]).glob("overlays/*.png")):
        with Image.open(path) as picture:
            row.client.log_image(
                row.id, picture, key=f"overlays/{_key(path.stem)}", step=0
            )


def _log_reports(row: Row, content: Mapping[str, Any]) -> None:
    for name in ("manifest", "evaluation", "decision"):
        for path in sorted(Path(content[name]).iterdir()):
            if path.is_file():
                row.client.log_artifact(row.id, str(path), _FOLDERS[name])


def _log_export(row: Row, content: Mapping[str, Any]) -> None:
    row.client.log_artifacts(row.id, content["export"], "export")


def _log_end(row: Row, content: Mapping[str, Any]) -> None:
    row.client.set_terminated(row.id, _STATUS.get(content["state"], "FAILED"))


_FOLDERS = {"manifest": "verification", "evaluation": "evaluation", "decision": "gate"}
_PARTS: dict[str, tuple[Callable[[Row, Mapping[str, Any]], None], ...]] = {
    "open": (_log_identity,),
    "epoch": (_log_epoch,),
    "failed": (_log_lineage, _log_failure),
    "decided": (
        _log_lineage,
        _log_verdict,
        _log_dataset,
        _log_curves,
        _log_model,
        _log_scores,
        _log_overlays,
        _log_reports,
    ),
    "exported": (_log_lineage, _log_export),
    "close": (_log_identity, _log_lineage, _log_end),
}


@functools.cache
def _tracker(uri: str) -> Tracker:
    return Tracker(uri)


def _client(uri: str) -> Any:
    for key, value in _ENVIRONMENT.items():
        os.environ.setdefault(key, value)
    from mlflow import MlflowClient

    for name in ("mlflow", "alembic"):  # they narrate how they set up the store
        logging.getLogger(name).setLevel(logging.WARNING)
    with _alone(uri):
        return MlflowClient(uri)


@contextmanager
def _alone(uri: str) -> Iterator[None]:
    """A fresh SQLite store that several processes set up at once stays broken."""
    if not uri.startswith(_SQLITE):
        yield
        return
    import fcntl

    database = Path(uri.removeprefix(_SQLITE))
    database.parent.mkdir(parents=True, exist_ok=True)
    with database.with_name(f".{database.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _experiment(client: Any, uri: str) -> str:
    experiment = client.get_experiment_by_name(EXPERIMENT)
    if experiment is None:
        place = None  # a server knows where artifacts go
        if uri.startswith(_SQLITE):
            database = Path(uri.removeprefix(_SQLITE)).resolve()
            place = (database.parent / "mlflow-artifacts").as_uri()
        return str(client.create_experiment(EXPERIMENT, artifact_location=place))
    return str(experiment.experiment_id)


def _create_model(row: Row, content: Mapping[str, Any], trained_by: str) -> str:
    from mlflow.models import Model

    contract = _read_json(content["model"], "contract.json")
    created = row.client.create_logged_model(
        row.experiment_id,
        name=_key(str(contract["architecture"])),
        source_run_id=row.find(trained_by) or row.id,
        tags={RUN_TAG: trained_by},
        params={key: str(value) for key, value in contract.items()},
        model_type="segmentation",
    )
    model_id = str(created.model_id)
    with tempfile.TemporaryDirectory() as folder:
        Model(model_id=model_id).save(str(Path(folder) / "MLmodel"))
        row.client.log_model_artifacts(model_id, folder)
    row.client.log_model_artifacts(model_id, content["model"])
    row.client.finalize_logged_model(model_id, "READY")
    return model_id


def _curve_points(history: list[dict[str, float | None]]) -> list[Any]:
    names = {"duration_s": "epoch_duration_s"}
    return [
        _metric(names.get(key, key), value, step=int(epoch["epoch"] or 0))
        for epoch in history
        for key, value in epoch.items()
        if key != "epoch" and value is not None and not math.isnan(value)
    ]


def _metric(key: str, value: float, *, step: int = 0, **scored: Any) -> Any:
    from mlflow.entities import Metric

    now_ms = time.time_ns() // 1_000_000
    return Metric(key=key, value=value, timestamp=now_ms, step=step, **scored)


def _dataset_name(manifest: Mapping[str, Any]) -> str:
    return _key(Path(manifest["remote"] or manifest["root"]).name) or "dataset"


def _key(name: str) -> str:
    """A name in the characters that MLflow allows for keys."""
    return re.sub(r"[^\w\-. ]", "_", name, flags=re.ASCII)


def _read_json(folder: str, name: str) -> Any:
    return json.loads((Path(folder) / name).read_text(encoding="utf-8"))


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).strip() or '?'}".splitlines()[0]
