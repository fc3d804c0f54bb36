"""What each event puts into the MLflow run, partly read from the step's files.

MLflow itself stays behind `seglib.tracking.tracked_run.TrackedRun`.
"""

import hashlib
import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from seglib.config import Config
from seglib.registry.description import describe_model
from seglib.registry.promotion import (
    record_contender,
    record_promotion,
    record_withdrawal,
)
from seglib.registry.release import record_publication
from seglib.report.verdict import REPORT
from seglib.runtime.events import Event
from seglib.runtime.provenance import (
    AUGMENTATION_PAGE,
    FAILURE_REASON,
    TRAINED_BY,
    total_s,
)
from seglib.runtime.trials import TABLE, label
from seglib.storage.files import TRAINING
from seglib.tracking.names import (
    CLASS_TABLE,
    CURVES,
    SETTINGS_TABLE,
    dataset_name,
    key,
)
from seglib.tracking.run_end import record_end
from seglib.tracking.tracked_run import TrackedRun

_FOLDERS = {"manifest": "verification", "evaluation": "evaluation", "decision": "gate"}
_TRAINING_FILES = ("curves.png", "history.csv", AUGMENTATION_PAGE)  # of a model
_PARAMETERS = ("architecture", "encoder", "epochs", "batch_size", "learning_rate")
_CLASS_SCORES = (
    *("class_iou", "class_dice", "class_precision", "class_recall"),
    "class_boundary_iou",
)


def record_identity(run: TrackedRun, event: Event) -> None:
    """Data, code and settings: the same from the runner and from the exit task.

    The end of a run that was killed tells none of them.
    """
    parameters = event.get("parameters", {})
    tags = {
        **event.get("tags", {}),
        "data_md5": event.get("data_md5"),
        "data_remote": event.get("remote"),
        "code_version": event.get("code_version"),
        "seed": parameters.get("train_seed"),
    }
    if parameters:
        text = json.dumps(parameters, sort_keys=True)
        tags["config_hash"] = hashlib.sha256(text.encode()).hexdigest()[:12]
    known = {name: value for name, value in tags.items() if value is not None}
    run.log(tags=known)
    _log_settings(run, parameters)


def record_start(run: TrackedRun, event: Event) -> None:
    """The start of a step's own run, below the pipeline run, and its inputs."""
    step, child, time_ms = event["step"], _child(event), event["time_ms"]
    is_repeated = 0 < run.children.ended_ms(child) <= time_ms
    run.children.go_on(repeated=step if is_repeated else "", time_ms=time_ms)
    run.children.begin(child, time_ms=time_ms, adopted=event.get("adopted", ""))
    inputs = {k: v for k, v in event["lineage"].items() if k != step}
    record_lineage(run, {"lineage": inputs})  # this step may not come to its end
    tags = {f"input.{name}": f"run {one['run_id']}" for name, one in inputs.items()}
    tags["folder"] = event["lineage"][step]["folder"]
    run.log(parameters=event.get("trial"), tags=tags, child=child)


def record_finish(run: TrackedRun, event: Event) -> None:
    """The end of a step's run, and its duration."""
    origin = event["lineage"][event["step"]]
    run.log(metrics={"duration_s": total_s(origin)}, child=_child(event))
    _end_child(run, event, "FAILED" if FAILURE_REASON in origin else "FINISHED")


def record_load(run: TrackedRun, event: Event) -> None:
    """The load of the machine, in the system metrics of the step's run."""
    run.log(metrics=event["values"], step=event["number"], child=_child(event))


def record_lineage(run: TrackedRun, event: Event) -> None:
    """Whether this run executed a step, or which run its output is from."""
    if event.get("trial") and event["kind"] != "selected":
        return  # one of several; the run's is the chosen one
    tags = {}
    for step, origin in event.get("lineage", {}).items():
        if TRAINED_BY in origin:
            tags[TRAINED_BY] = origin[TRAINED_BY]
        if origin["run_id"] != run.name:
            made_by = f"run {origin['run_id']} of {origin.get('finished', '?')}"
            tags[f"step.{step}"] = f"cached from {made_by}"
            continue
        tags[f"step.{step}"] = "executed"
    run.log(tags=tags)


def record_settings(run: TrackedRun, event: Event) -> None:
    """The settings of the steps, for a run whose opening tells none."""
    configured = {
        name: value
        for origin in event.get("lineage", {}).values()
        if event["kind"] == "selected" or "trial" not in origin
        for name, value in origin.get("settings", {}).items()
    }
    _log_settings(run, configured)


def record_resolved(run: TrackedRun, event: Event) -> None:
    """What `auto`, 0 and "" came to, beside what was configured."""
    contract = _read_json(event["model"], "contract.json")
    manifest = _read_json(event["manifest"], "manifest.json")
    training = Path(event["model"]) / TRAINING
    height, width = contract["image_size"]
    resolved = {
        "num_classes": contract["num_classes"],
        "ignore_index": contract["ignore_index"],
        "class_names": ",".join(contract["class_names"]),
        "encoder": contract["encoder"],
        "image_height": height,
        "image_width": width,
        "split": _read_json(event["evaluation"], "metrics.json")["split"],
        "registered_model": event.get("registry", {}).get("name")
        or dataset_name(manifest),
        # A model of before has no such file.
        **(json.loads(training.read_text())["resolved"] if training.exists() else {}),
    }
    _log_settings(run, {}, resolved)


def record_epoch(run: TrackedRun, event: Event) -> None:
    """A point of each curve, while the training runs."""
    epoch, values = _curve_values(event["row"])
    if event.get("trial"):
        run.log(metrics=values, step=epoch, child=_child(event))
    else:
        # A pod that was retried tells it again, and the finished model's history may
        # have overtaken an event that had to wait.
        run.log(metrics=run.missing(values, step=epoch), step=epoch)


def record_failure(run: TrackedRun, event: Event) -> None:
    """Which step failed, and its message."""
    step = event["step"]
    if run.children.ended_ms(_child(event)) > event["time_ms"]:
        return  # told late: another attempt has ended since
    told = {"failed_step": step, "failure": event["message"]}
    run.log(tags={**told, f"step.{step}": "failed"})
    _end_child(run, event, "FAILED")


def record_failed_trial(run: TrackedRun, event: Event) -> None:
    """Why a trial of a sweep gave no model, in its own run."""
    run.log(tags={"fell_out": event["reason"]}, child=_child(event))


def record_selection(run: TrackedRun, event: Event) -> None:
    """Which trial of a sweep was chosen: its settings are the run's."""
    trial = event["trial"]
    tags = {"trial": label(trial), "trials": event["trials"]}
    if fell_out := event.get("fell_out"):
        tags["fell_out"] = "; ".join(f"{k}: {v}" for k, v in fell_out.items())
    run.log(
        parameters=trial,
        tags=tags,
        metrics={"selected_val_miou": event["val_miou"]},
    )
    run.log_file(Path(event["table"]) / TABLE, "selection")


def record_verdict(run: TrackedRun, event: Event) -> None:
    """What the gate decided, and why."""
    tags = {"verdict": event["verdict"], "reasons": event["reasons"]}
    if event["verdict"] != "promote":
        tags["step.export"] = "held back"
    run.log(tags=tags)


def record_dataset(run: TrackedRun, event: Event) -> None:
    """The dataset, with its DVC hash as digest."""
    manifest = _read_json(event["manifest"], "manifest.json")
    sizes = {split: len(pairs) for split, pairs in manifest["splits"].items()}
    run.log_dataset(
        dataset_name(manifest),
        digest=manifest["data_md5"],
        source={key: manifest[key] for key in ("remote", "data_md5")},
        profile={**sizes, "num_classes": manifest["num_classes"]},
    )


def record_curves(run: TrackedRun, event: Event) -> None:
    """Complete the curves; points that were logged live are not repeated."""
    for epoch_row in _read_json(event["model"], "history.json"):
        epoch, values = _curve_values(epoch_row)
        run.log(metrics=run.missing(values, step=epoch), step=epoch)


def record_model(run: TrackedRun, event: Event) -> None:
    """The model, logged once by the run that trained it; other runs refer to it."""
    contract = _read_json(event["model"], "contract.json")
    run.log_model(
        key(str(contract["architecture"])),
        folder=Path(event["model"]),
        made_by=event["lineage"]["train"]["run_id"],
        parameters=contract,
    )


def record_scores(run: TrackedRun, event: Event) -> None:
    """The mIoU, by which runs are compared, and a table of the classes.

    MLflow draws a chart for each metric: the other scores are in the table and in
    `evaluation/metrics.json`.
    """
    scores = _read_json(event["evaluation"], "metrics.json")
    manifest = _read_json(event["manifest"], "manifest.json")
    if scores["miou"] is not None:
        run.log(
            metrics={"miou": scores["miou"]},
            scored_on=(dataset_name(manifest), manifest["data_md5"]),
        )
    columns = [name for name in _CLASS_SCORES if name in scores]
    rows = [
        {"class": name, **{c.removeprefix("class_"): scores[c][name] for c in columns}}
        for name in scores["class_iou"]
    ]
    run.log_table(CLASS_TABLE, rows)


def record_overlays(run: TrackedRun, event: Event) -> None:
    """Pictures under the same keys in every run, for MLflow's grid of images."""
    paths = sorted(Path(event["evaluation"]).glob("overlays/*.png"))
    run.log_pictures(
        {f"overlays/{key(path.stem, only_ascii=True)}": path for path in paths}
    )


def record_reports(run: TrackedRun, event: Event) -> None:
    """The pages, tables and curves of each step, without their subfolders."""
    for name, place in _FOLDERS.items():
        for path in sorted(Path(event[name]).iterdir()):
            if path.is_file():
                # The gate's copy of the page has the verdict: it replaces the other.
                is_page = name == "decision" and path.name == REPORT
                run.log_file(path, _FOLDERS["evaluation"] if is_page else place)
    for name in _TRAINING_FILES:
        if (path := Path(event["model"]) / name).exists():
            run.log_file(path, "training")


def record_description(run: TrackedRun, event: Event) -> None:
    """The run in words: verdict, scores, data."""
    run.describe(describe_model(event))


def record_export(run: TrackedRun, event: Event) -> None:
    """The exported files."""
    run.log_file(Path(event["export"]), "export")


Part = Callable[[TrackedRun, Event], None]
PARTS: dict[str, tuple[Part, ...]] = {
    "open": (record_identity,),
    "started": (record_start,),
    "load": (record_load,),
    "epoch": (record_epoch,),
    "fell_out": (record_failed_trial,),
    "finished": (record_lineage, record_settings, record_finish),
    "failed": (record_lineage, record_failure),
    "selected": (record_lineage, record_settings, record_selection),
    "decided": (
        record_lineage,
        record_settings,
        record_verdict,
        record_dataset,
        record_curves,
        record_model,
        record_contender,
        record_scores,
        record_resolved,
        record_description,
        record_overlays,
        record_reports,
    ),
    "exported": (
        record_lineage,
        record_settings,
        record_export,
        record_promotion,
        record_publication,
    ),
    "close": (record_identity, record_lineage, record_withdrawal, record_end),
}


# Parts on which no other depends: while only they fail, the others are applied.
SEPARABLE: frozenset[Part] = frozenset(
    {record_load, record_overlays, record_reports, record_publication},
)


def _log_settings(
    run: TrackedRun,
    configured: Mapping[str, Any],
    resolved: Mapping[str, Any] | None = None,
) -> None:
    """Add settings to the run's table of them; name those that were changed in a tag.

    A few are parameters. All would be too many: MLflow writes the parameters of a run
    over each of its pictures, and covers them.
    """
    values, resolved = {k: str(v) for k, v in configured.items()}, resolved or {}
    run.log(parameters={k: values[k] for k in _PARAMETERS if values.get(k)})
    known = {row["setting"]: row for row in run.read_table(SETTINGS_TABLE)}
    rows = []
    for name, default in Config().flat().items():
        before = known.get(name, {})
        value = values.get(name, before.get("configured"))
        if value is not None:
            came_to = str(resolved.get(name, before.get("resolved", value)))
            row = {"setting": name, "configured": value, "resolved": came_to}
            rows.append({**row, "default": str(default)})
    if rows != list(known.values()):
        run.log_table(SETTINGS_TABLE, rows)
        changed = {
            row["setting"]: row["configured"]
            for row in rows
            if row["configured"] != row["default"]
        }
        run.log(tags={"changed": label(changed)})


def _end_child(run: TrackedRun, event: Event, status: str) -> None:
    if not event.get("adopted"):  # KFP ends the run that it made
        run.children.end(_child(event), status, time_ms=event["time_ms"])


def _child(event: Event) -> str:
    """The run of a step, or of one trial of it."""
    trial = event.get("trial")
    if not trial:
        return str(event["step"])
    return f"{event['step']} {label(trial)}".replace("'", "")  # MLflow searches it


def _curve_values(row: Mapping[str, float | None]) -> tuple[int, dict[str, float]]:
    """The epoch, and what was measured in it."""
    values = {
        f"{CURVES}{name}": value
        for name, value in row.items()
        if name != "epoch" and value is not None and not math.isnan(value)
    }
    return int(row["epoch"] or 0), values


def _read_json(folder: str, name: str) -> Any:
    return json.loads((Path(folder) / name).read_text(encoding="utf-8"))
