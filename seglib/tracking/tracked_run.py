"""The MLflow run of a pipeline run, found by its tag `kfp.run_id`.

The events of the steps fill it (seglib/delivery/recording.py); each step that a run
executes has a run of its own below it (seglib/tracking/children.py). What is logged
twice changes nothing the second time: the sender relies on it.
"""

import json
import re
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from seglib.runtime.kfp_run import about, page_of
from seglib.tracking.children import PARENT_TAG, Children
from seglib.tracking.mlflow_client import connect, experiment_id
from seglib.tracking.names import experiment_name

EXPERIMENT = "segmentation-training"  # of runs that do not tell their dataset
RUN_TAG = "kfp.run_id"
_LONGEST_DIGEST = 36  # characters: MLflow's limit, and a DVC hash's length
_LONGEST_TAG = 5000  # characters
_MOST_AT_ONCE = 100  # metrics: MLflow takes 1000, and 1 MB
NOTE = "mlflow.note.content"  # MLflow's own: the description of a run, in Markdown
_TABLES = "mlflow.loggedArtifacts"  # MLflow's own: the files that it shows as tables
PYFUNC = "seglib.inference.pyfunc"  # how MLflow loads a model
_PREFIX = "seg/"  # of our parameters where KFP's launcher logs its own
_PREVIEW_SIZE = (256, 256)  # of the small copy that MLflow's grid shows, at the most


class TrackedRun:
    """The MLflow run of one pipeline run: found by its tag, else created.

    Args:
        name: the pipeline run's name, or KFP's id of it.
        time_ms: of the event that is being applied, which may be from a while ago.
        title: what a person calls it. Default: KFP's name for it, else `name`.
        experiment: for a new run. Default: of its parameters in KFP, else EXPERIMENT.
        adopted: the MLflow run that KFP made for the step that tells this. The run is
            then the topmost run above it, which KFP made for the pipeline run.

    Attributes:
        promotion: what the registry made of the model, once it was told.
        publication: where the export is, once that was told.
    """

    def __init__(
        self,
        uri: str,
        name: str,
        *,
        time_ms: int,
        title: str = "",
        experiment: str = "",
        adopted: str = "",
    ) -> None:
        self.uri = uri
        self.name = name
        self.time_ms = time_ms
        self._client = connect(uri)
        self.promotion = ""
        self.publication = ""
        self._model_id = ""
        self._steps: dict[str, set[int]] = {}  # of metrics, as far as asked for
        task = self._task(adopted) if adopted else None
        self._prefix = _PREFIX if task else ""
        found = self._find(name) or self._adopt(task)
        self.id = found or self._create(title, experiment, task)
        self.experiment_id = str(self._client.get_run(self.id).info.experiment_id)
        self.children = Children(
            self._client, experiment_id=self.experiment_id, parent_id=self.id, run=name
        )

    @property
    def model_id(self) -> str | None:
        """The LoggedModel that the run made or took, if it has come to it."""
        self._model_id = self._model_id or self.tags().get("model_id", "")
        return self._model_id or None

    def tags(self) -> dict[str, str]:
        """The tags of the run, as the store has them."""
        return dict(self._client.get_run(self.id).data.tags)

    def log(
        self,
        *,
        parameters: Mapping[str, Any] | None = None,
        tags: Mapping[str, Any] | None = None,
        metrics: Mapping[str, float] | None = None,
        step: int = 0,
        scored_on: tuple[str, str] | None = None,
        time_ms: int | None = None,
        child: str = "",
    ) -> None:
        """Log a batch.

        Args:
            scored_on: name and digest of the dataset that the metrics were measured
                on: with it, models can be searched by their scores on it.
            time_ms: of the metrics. Default: the event's.
            child: the step in whose run this is logged. Default: this run.
        """
        from mlflow.entities import Metric, Param, RunTag

        parameters, tags, metrics = parameters or {}, tags or {}, metrics or {}
        if not (parameters or tags or metrics):
            return
        run_id = self._child(child) if child else self.id
        scored: dict[str, Any] = {}
        if scored_on:
            name, digest = scored_on
            scored = {
                "run_id": self.id,
                "model_id": self.model_id,
                "dataset_name": name,
                "dataset_digest": digest[:_LONGEST_DIGEST],
            }
        moment = self.time_ms if time_ms is None else time_ms
        points = [Metric(k, v, moment, step, **scored) for k, v in metrics.items()]
        params = [Param(f"{self._prefix}{k}", str(v)) for k, v in parameters.items()]
        labels = [RunTag(k, str(v)[:_LONGEST_TAG]) for k, v in tags.items()]
        for start in range(0, len(points) or 1, _MOST_AT_ONCE):
            batch = points[start : start + _MOST_AT_ONCE]
            self._client.log_batch(run_id, metrics=batch, params=params, tags=labels)
            params, labels = [], []
        for name in self._steps.keys() & metrics.keys() if not child else ():
            self._steps[name].add(step)

    def missing(self, metrics: Mapping[str, float], *, step: int) -> dict[str, float]:
        """Of some metrics, those that have no value at a step."""
        for name in metrics.keys() - self._steps.keys():
            history = self._client.get_metric_history(self.id, name)
            self._steps[name] = {point.step for point in history}
        return {k: v for k, v in metrics.items() if step not in self._steps[k]}

    def describe(self, text: str) -> None:
        """Set the run's description, Markdown."""
        self.log(tags={NOTE: text})

    def log_table(self, path: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Log a table as JSON that MLflow shows as one; a second time replaces it."""
        columns = list(rows[0]) if rows else []
        data = [[row[column] for column in columns] for row in rows]
        content = {"columns": columns, "data": data}
        self._client.log_dict(self.id, content, path)
        tables = json.loads(self.tags().get(_TABLES, "[]"))
        table = {"path": path, "type": "table"}
        if table not in tables:
            self.log(tags={_TABLES: json.dumps([*tables, table])})

    def read_table(self, path: str) -> list[dict[str, Any]]:
        """The rows of a table that was logged; none if there is none."""
        return read_table(self._client, self.id, path)

    def log_dataset(
        self,
        name: str,
        *,
        digest: str,
        source: Mapping[str, Any],
        profile: Mapping[str, Any],
    ) -> None:
        """Log the dataset that the run was trained on."""
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

        client = self._client
        found = client.search_logged_models(
            self._experiments(), f"tags.`{RUN_TAG}` = '{made_by}'", max_results=1
        )
        model = (found and found[0]) or client.create_logged_model(
            self.experiment_id,
            name=name,
            source_run_id=self._find(made_by) or self.id,
            tags={RUN_TAG: made_by},
            params={k: str(v) for k, v in parameters.items()},
            model_type="segmentation",
        )
        model_id = str(model.model_id)
        if model.status != "READY":
            self._upload_model(model_id, folder)
        self._model_id = model_id
        self.log(tags={"model_id": model_id})
        here = client.get_run(self.id)
        known = [*here.inputs.model_inputs, *here.outputs.model_outputs]
        if any(one.model_id == model_id for one in known):
            return  # a retry
        if made_by == self.name:
            client.log_outputs(self.id, [LoggedModelOutput(model_id, 0)])
        else:
            client.log_inputs(self.id, models=[LoggedModelInput(model_id)])

    def log_pictures(self, pictures: Mapping[str, Path]) -> None:
        """Log pictures under their keys; those that are there stay as they are."""
        from PIL import Image

        client, folder = self._client, "images"
        there = [Path(one.path).name for one in client.list_artifacts(self.id, folder)]
        for key, path in pictures.items():
            stem = f"{key.replace('/', '~')}+"  # as MLflow writes it
            parts = [name for name in there if name.startswith(stem)]
            full = next((name for name in parts if name.endswith(".png")), "")
            with Image.open(path) as picture:
                if not full:
                    client.log_image(self.id, picture, key=key, step=0)
                elif len(parts) == 1:  # it broke off before the small copy
                    with tempfile.TemporaryDirectory() as place:
                        small = f"{place}/{Path(full).stem}+compressed.webp"
                        picture.thumbnail(_PREVIEW_SIZE)
                        picture.save(small)
                        client.log_artifact(self.id, small, folder)
        if pictures:
            client.set_tag(self.id, "mlflow.loggedImages", "True")

    def log_file(self, path: Path, place: str) -> None:
        """Log a file, or all files of a folder."""
        log = self._client.log_artifacts if path.is_dir() else self._client.log_artifact
        log(self.id, str(path), place)

    def close(self, status: str, *, name: str = "") -> None:
        """End the run: FINISHED, FAILED or KILLED; call it as KFP does, if known."""
        # A step that has not told its end did not come to it.
        left = "KILLED" if status == "KILLED" else "FAILED"
        self.children.end_all(left, time_ms=self.time_ms)
        if name:
            self._client.update_run(self.id, name=name)
        self._client.set_terminated(self.id, status, end_time=self.time_ms)

    def _task(self, run_id: str) -> Any:
        """The run that KFP made for a task; None if it is no longer there."""
        from mlflow.exceptions import MlflowException

        try:
            return self._client.get_run(run_id)
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return None
            raise

    def _adopt(self, task: Any) -> str:
        """Take KFP's own run of the pipeline run; empty if there is none."""
        top, above = "", task.data.tags.get(PARENT_TAG, "") if task else ""
        while above:  # conditions and exit handlers have runs in between
            top = above
            above = self._client.get_run(top).data.tags.get(PARENT_TAG, "")
        if top:
            self._client.set_tag(top, RUN_TAG, self.name)
        return top

    def _child(self, step: str) -> str:
        """The run of a step, even if its start has not been told."""
        found = self.children.find(step)
        return found or self.children.begin(step, time_ms=self.time_ms)

    def _find(self, run: str) -> str:
        """The MLflow id of a pipeline run; empty if there is none."""
        if not re.fullmatch(r"[\w.:+-]+", run):
            return ""
        found = self._client.search_runs(
            self._experiments(), f"tags.`{RUN_TAG}` = '{run}'", max_results=1
        )
        return str(found[0].info.run_id) if found else ""

    def _experiments(self) -> list[str]:
        """All of them: a run may reuse what was made for another dataset's name."""
        found = self._client.search_experiments()
        return [str(experiment.experiment_id) for experiment in found]

    def _create(self, title: str, experiment: str, task: Any) -> str:
        if not (title or experiment):
            title, given = about(self.name)
            experiment = experiment_name(given, given.get("remote", ""))
        if task:
            place = str(task.info.experiment_id)
        else:
            place = experiment_id(self._client, self.uri, experiment or EXPERIMENT)
        created = self._client.create_run(
            place,
            start_time=self.time_ms,
            run_name=title or self.name or None,
            tags={RUN_TAG: self.name, **page_of(self.name)},
        )
        return str(created.info.run_id)

    def _upload_model(self, model_id: str, folder: Path) -> None:
        from mlflow.models import Model

        with tempfile.TemporaryDirectory() as description:
            flavours = Model(model_id=model_id)
            flavours.add_flavor("python_function", loader_module=PYFUNC, env={})
            flavours.save(f"{description}/MLmodel")
            self._client.log_model_artifacts(model_id, description)
        self._client.log_model_artifacts(model_id, str(folder))
        self._client.finalize_logged_model(model_id, "READY")


def read_table(client: Any, run_id: str, path: str) -> list[dict[str, Any]]:
    """The rows of a table that `TrackedRun.log_table` logged; none if there is none."""
    text = read_text(client, run_id, path)
    table = json.loads(text) if text else {"columns": [], "data": []}
    return [dict(zip(table["columns"], row, strict=True)) for row in table["data"]]


def read_text(client: Any, run_id: str, path: str) -> str:
    """The text of a small file that a run keeps; empty if it has no such file."""
    folder = str(PurePosixPath(path).parent)
    kept = client.list_artifacts(run_id, "" if folder == "." else folder)
    if not any(one.path == path for one in kept):
        return ""
    with tempfile.TemporaryDirectory() as place:
        found = client.download_artifacts(run_id, path, place)
        return Path(found).read_text(encoding="utf-8")
