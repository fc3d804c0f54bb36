"""What each message of a step puts into the run's row, read from the step's files.

MLflow itself stays behind `seglib.tracking.run.Row`.
"""

import calendar
import hashlib
import json
import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seglib.registry.promotion import (
    record_contender,
    record_promotion,
    record_withdrawal,
)
from seglib.registry.release import record_publication
from seglib.runtime.attempts import TRAINED_BY, total_s
from seglib.runtime.step import FELL_OUT
from seglib.runtime.trials import TABLE, label
from seglib.tracking.children import FAILURE
from seglib.tracking.names import dataset_name, key
from seglib.tracking.run_end import record_end

if TYPE_CHECKING:
    from seglib.tracking.run import Row

Message = Mapping[str, Any]

_FOLDERS = {"manifest": "verification", "evaluation": "evaluation", "decision": "gate"}


def record_identity(row: "Row", message: Message) -> None:
    """What went in: the same whoever tells it, the runner first or the exit task."""
    parameters = message["parameters"]
    text = json.dumps(parameters, sort_keys=True)
    known = {"data_remote": message.get("remote"), "seed": parameters.get("train_seed")}
    row.log(
        parameters=parameters,
        tags={
            **message.get("tags", {}),
            **{name: value for name, value in known.items() if value is not None},
            "data_md5": message["data_md5"],
            "code_version": message["code_version"],
            "config_hash": hashlib.sha256(text.encode()).hexdigest()[:12],
        },
    )


def record_start(row: "Row", message: Message) -> None:
    """A run of the step's own, under the row, with where its inputs are from."""
    step, child, time_ms = message["step"], _child(message), message["time_ms"]
    is_repeated = 0 < row.children.ended_ms(child) <= time_ms
    row.children.go_on(repeated=step if is_repeated else "", time_ms=time_ms)
    row.children.begin(child, time_ms=time_ms, adopted=message.get("adopted", ""))
    inputs = {k: v for k, v in message["lineage"].items() if k != step}
    record_lineage(row, {"lineage": inputs})  # this step may not come to its end
    tags = {f"input.{name}": f"run {one['run_id']}" for name, one in inputs.items()}
    tags["folder"] = message["lineage"][step]["folder"]
    row.log(parameters=message.get("trial"), tags=tags, child=child)


def record_finish(row: "Row", message: Message) -> None:
    """The end of a step's run."""
    duration_s = total_s(message["lineage"][message["step"]])
    row.log(metrics={"duration_s": duration_s}, child=_child(message))
    has_fallen_out = FELL_OUT in message["lineage"][message["step"]]
    _end_child(row, message, "FAILED" if has_fallen_out else "FINISHED")


def record_load(row: "Row", message: Message) -> None:
    """How busy the machine was, on the page of system metrics of the step's run."""
    row.log(metrics=message["values"], step=message["number"], child=_child(message))


def record_lineage(row: "Row", message: Message) -> None:
    """Whether this run executed a step, or which run its output is from."""
    if message.get("trial") and message["kind"] != "selected":
        return  # one of several; the row is that of the chosen one
    tags = {}
    for step, origin in message.get("lineage", {}).items():
        if TRAINED_BY in origin:
            tags[TRAINED_BY] = origin[TRAINED_BY]
        if origin["run_id"] != row.run:
            made_by = f"run {origin['run_id']} of {origin.get('finished', '?')}"
            tags[f"step.{step}"] = f"cached from {made_by}"
            continue
        tags[f"step.{step}"] = "executed"
        if "duration_s" in origin:
            # At the time of its end: whoever tells it again tells the same point.
            row.log(
                metrics={f"duration_s/{step}": total_s(origin)},
                time_ms=_milliseconds(origin["finished"]),
            )
    row.log(tags=tags)


def record_epoch(row: "Row", message: Message) -> None:
    """A point of each curve, while the training runs."""
    epoch, values = _curve_values(message["row"])
    if message.get("trial"):
        row.log(metrics=values, step=epoch, child=_child(message))
        return
    # A pod that was retried tells it again, and the finished model's history may have
    # overtaken a message that had to wait.
    row.log(metrics=row.missing(values, step=epoch), step=epoch)


def record_failure(row: "Row", message: Message) -> None:
    """Which step failed, and its word for it."""
    step = message["step"]
    if row.children.ended_ms(_child(message)) > message["time_ms"]:
        return  # told late: another attempt has ended since
    tags = dict(zip(FAILURE, (step, message["message"]), strict=True))
    row.log(tags={**tags, f"step.{step}": "failed"})
    _end_child(row, message, "FAILED")


def record_falling_out(row: "Row", message: Message) -> None:
    """Why a trial of a sweep gave no model, in its own run: the others go on."""
    row.log(tags={"fell_out": message["reason"]}, child=_child(message))


def record_selection(row: "Row", message: Message) -> None:
    """Which trial of a sweep was chosen: its settings are the run's."""
    trial = message["trial"]
    tags = {"trial": label(trial), "trials": message["trials"]}
    if fell_out := message.get("fell_out"):
        tags["fell_out"] = "; ".join(f"{k}: {v}" for k, v in fell_out.items())
    row.log(
        parameters=trial,
        tags=tags,
        metrics={"selected_val_miou": message["val_miou"]},
    )
    row.log_file(Path(message["table"]) / TABLE, "selection")


def record_verdict(row: "Row", message: Message) -> None:
    """What the gate decided, and why."""
    tags = {"verdict": message["verdict"], "reasons": message["reasons"]}
    if message["verdict"] != "promote":
        tags["step.export"] = "held back"
    row.log(tags=tags, metrics=message.get("metrics"))


def record_dataset(row: "Row", message: Message) -> None:
    """The dataset, with its DVC hash as digest."""
    manifest = _read_json(message["manifest"], "manifest.json")
    sizes = {split: len(pairs) for split, pairs in manifest["splits"].items()}
    row.log_dataset(
        dataset_name(manifest),
        digest=manifest["data_md5"],
        source={key: manifest[key] for key in ("remote", "data_md5")},
        profile={**sizes, "num_classes": manifest["num_classes"]},
    )


def record_curves(row: "Row", message: Message) -> None:
    """Complete the curves: what was logged live is not repeated."""
    for epoch_row in _read_json(message["model"], "history.json"):
        epoch, values = _curve_values(epoch_row)
        row.log(metrics=row.missing(values, step=epoch), step=epoch)


def record_model(row: "Row", message: Message) -> None:
    """The model, logged once, with the run that trained it; reusers refer to it."""
    contract = _read_json(message["model"], "contract.json")
    row.log_model(
        key(str(contract["architecture"])),
        folder=Path(message["model"]),
        made_by=message["lineage"]["train"]["run_id"],
        parameters=contract,
    )


def record_scores(row: "Row", message: Message) -> None:
    """The overall scores, and the IoU of each class that occurs."""
    scores = _read_json(message["evaluation"], "metrics.json")
    manifest = _read_json(message["manifest"], "manifest.json")
    values = {
        **{name: value for name, value in scores.items() if isinstance(value, float)},
        **{f"iou/{key(name)}": iou for name, iou in scores["class_iou"].items()},
    }
    row.log(
        metrics={name: value for name, value in values.items() if value is not None},
        scored_on=(dataset_name(manifest), manifest["data_md5"]),
    )


def record_overlays(row: "Row", message: Message) -> None:
    """Pictures under the same keys in every run: MLflow lines them up in a grid."""
    paths = sorted(Path(message["evaluation"]).glob("overlays/*.png"))
    row.log_pictures(
        {f"overlays/{key(path.stem, only_ascii=True)}": path for path in paths}
    )


def record_reports(row: "Row", message: Message) -> None:
    """The files of verification, evaluation and gate, without their subfolders."""
    for name, place in _FOLDERS.items():
        for path in sorted(Path(message[name]).iterdir()):
            if path.is_file():
                row.log_file(path, place)


def record_export(row: "Row", message: Message) -> None:
    """The exported files."""
    row.log_folder(Path(message["export"]), "export")


Part = Callable[["Row", Message], None]
PARTS: dict[str, tuple[Part, ...]] = {
    "open": (record_identity,),
    "started": (record_start,),
    "load": (record_load,),
    "epoch": (record_epoch,),
    "fell_out": (record_falling_out,),
    "finished": (record_lineage, record_finish),
    "failed": (record_lineage, record_failure),
    "selected": (record_lineage, record_selection),
    "decided": (
        record_lineage,
        record_verdict,
        record_dataset,
        record_curves,
        record_model,
        record_contender,
        record_scores,
        record_overlays,
        record_reports,
    ),
    "exported": (record_lineage, record_export, record_promotion, record_publication),
    "close": (record_identity, record_lineage, record_withdrawal, record_end),
}


# Parts that no other stands on: while only they fail, the rest goes on.
SEPARABLE: frozenset[Part] = frozenset(
    {record_load, record_overlays, record_reports, record_publication},
)


def _end_child(row: "Row", message: Message, status: str) -> None:
    if not message.get("adopted"):  # KFP ends the run that it made
        row.children.end(_child(message), status, time_ms=message["time_ms"])


def _child(message: Message) -> str:
    """The run of a step, or of one trial of it."""
    trial = message.get("trial")
    if not trial:
        return str(message["step"])
    return f"{message['step']} {label(trial)}".replace("'", "")  # MLflow searches it


def _milliseconds(moment: str) -> int:
    """2026-11-22T14:05:01Z in MLflow's unit."""
    return calendar.timegm(time.strptime(moment, "%Y-%m-%dT%H:%M:%SZ")) * 1000


def _curve_values(row: Mapping[str, float | None]) -> tuple[int, dict[str, float]]:
    """The epoch, and what was measured in it."""
    names = {"duration_s": "epoch_duration_s"}
    values = {
        names.get(name, name): value
        for name, value in row.items()
        if name != "epoch" and value is not None and not math.isnan(value)
    }
    return int(row["epoch"] or 0), values


def _read_json(folder: str, name: str) -> Any:
    return json.loads((Path(folder) / name).read_text(encoding="utf-8"))
