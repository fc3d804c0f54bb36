"""The whole pipeline on the local runner, as a person runs it."""

import json
import re
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from pipeline.__main__ import app
from seglib.storage.publishing import fetch_published
from tests.e2e.conftest import Runs

STEPS = ("verify", "augment", "train", "evaluate")


def test_a_run_ends_with_scores_a_verdict_and_where_to_look(first: Any) -> None:
    assert first.status == 0, first.text
    scores = first.json("metrics.json")
    table = dict(re.findall(r"│ ([\w ]+?) +│ +([\w.]+) │", first.text))
    ious = {**scores["class_iou"], "mIoU": scores["miou"]}
    ious["majority class"] = scores["baseline_miou"]
    assert table == {k: "absent" if v is None else f"{v:.3f}" for k, v in ious.items()}
    assert "verdict      promote" in first.text
    for name in ("report.html", "overlays", "export", "model", "verification.html"):
        assert f" {first.folder / name}" in first.text
        assert (first.folder / name).exists()


def test_every_step_is_seen_while_it_runs_and_kfp_is_not(first: Any) -> None:
    for step in (*STEPS, "gate", "export"):
        assert f"▸ {step}" in first.text
        assert f"✓ {step}" in first.text
    assert "epoch 1/6" in first.text, "what a step prints"
    for noise in ("KFP Executor", "executor_input", "Streamed logs", "oneDNN"):
        assert noise not in first.text
    assert "KFP Executor" in (first.folder / "pipeline.log").read_text()


def test_the_promoted_model_was_exported(first: Any) -> None:
    assert (first.folder / "export" / "saved_model").is_dir()
    assert (first.folder / "export" / "SHA256SUMS").is_file()
    assert (
        first.json("export/comparison.json")["formats"]["saved_model"]["equal_pixels"]
        >= 0.999
    )


def test_the_export_was_published_as_the_newest_of_its_name(
    first: Any, runs: Any, tmp_path: Path
) -> None:
    place = str(runs.folder.parent / "published")
    root = fetch_published(place, "model", cache=tmp_path)
    assert f"published to {place} as {root.name}.dir" in first.text
    assert f"published    {root.name}.dir, latest of model at {place}" in first.text
    sums = (root / "SHA256SUMS").read_text()
    assert sums == (first.folder / "export" / "SHA256SUMS").read_text()


def test_a_runs_row_is_whole(first: Any, rows: Callable[[Any], Any]) -> None:
    row = rows(first)
    assert row.info.status == "FINISHED"
    assert row.data.metrics["miou"] == first.json("metrics.json")["miou"]
    assert row.data.params["epochs"] == "6"
    assert row.data.tags["verdict"] == "promote"
    steps = (*STEPS, "gate", "export")
    assert {row.data.tags[f"step.{step}"] for step in steps} == {"executed"}


def test_a_second_run_reuses_all_that_it_may_and_says_so(
    first: Any, second: Any
) -> None:
    assert second.status == 0, second.text
    for step in STEPS:
        assert f"↺ {step}" in second.text
    assert f"reused       {', '.join(STEPS)} (from {first.folder.name})" in second.text
    assert second.folder != first.folder
    scores = (second.folder / "metrics.json").resolve()
    assert scores == (first.folder / "metrics.json").resolve()
    report = (second.folder / "report.html").read_text()
    assert 'aria-label="Verdict of the gate"' in report
    assert (second.folder / "export").as_uri() in report
    assert (second.folder / "per_image.js").is_file()  # beside the page
    export = (second.folder / "export").resolve()
    assert export.is_relative_to(second.folder), "exported anew"


def test_a_second_runs_row_is_as_full_and_tells_the_truth(
    first: Any, second: Any, rows: Callable[[Any], Any]
) -> None:
    before, row = rows(first), rows(second)
    assert row.info.status == "FINISHED"
    assert row.data.metrics == before.data.metrics
    for step in STEPS:
        tag = row.data.tags[f"step.{step}"]
        assert tag.startswith(f"cached from run {first.folder.name} of 20")
    assert row.data.tags["step.export"] == "executed"
    (trained,) = before.outputs.model_outputs
    assert [model.model_id for model in row.inputs.model_inputs] == [trained.model_id]
    assert not row.outputs.model_outputs, "it made none"


def test_only_what_a_run_executed_has_a_run_of_its_own(
    first: Any, second: Any, rows: Any
) -> None:
    executed = {*STEPS, "gate", "export"}
    children = rows.children(first)
    assert {child.data.tags["step"] for child in children} == executed
    assert {child.info.status for child in children} == {"FINISHED"}
    (train,) = (child for child in children if child.data.tags["step"] == "train")
    assert train.data.tags["input.verify"] == f"run {first.folder.name}"
    assert any(name.startswith("system/") for name in train.data.metrics)
    again = {child.data.tags["step"] for child in rows.children(second)}
    assert again == {"gate", "export"}


def test_a_row_says_enough_to_make_the_run_again(
    first: Any, rows: Any, repository: Path, tiny_root: Path
) -> None:
    tags = rows(first).data.tags
    assert tags["data_remote"] == str(tiny_root)
    assert {"data_md5", "code_version", "config_hash", "seed"} <= tags.keys()
    if (repository / ".git").exists():
        assert re.fullmatch(r"[0-9a-f]{40}(-dirty)?", tags["git_commit"])


def test_compare_shows_and_writes_what_differs(
    first: Any, held: Any, runs: Any, tmp_path: Path
) -> None:
    written = tmp_path / "comparison.json"
    names = (first.folder.name, str(held.folder), "latest")
    done = runs.command("compare", *names, "-o", str(written))
    table = json.loads(written.read_text())
    assert [run["name"] for run in table["runs"]][:2] == [
        first.folder.name,
        held.folder.name,
    ]
    lines = {(line["section"], line["name"]): line for line in table["lines"]}
    assert lines["setting", "min_miou"]["values"][:2] == ["0.0", "1.0"]
    mious = [run.json("metrics.json")["miou"] for run in (first, held)]
    assert lines["score", "miou"]["values"][:2] == mious
    assert lines["score", "miou"]["differences"][1] == mious[1] - mious[0]
    assert lines["end", "verdict"]["values"][:2] == ["promote", "hold"]
    assert ("setting", "epochs") not in lines or len(table["runs"]) > 2
    assert "setting: min_miou" in done.stdout


@pytest.mark.slow
def test_tracking_that_is_required_fails_a_run_before_it_starts(
    repository: Path, tiny_root: Path, tmp_path: Path
) -> None:
    runs = Runs(tmp_path / "runs", repository)
    required = ("--data", str(tiny_root), "--tracking", "required")
    # Nothing listens there.
    done = runs.command("run", *required, MLFLOW_TRACKING_URI="http://127.0.0.1:9")
    assert done.status == 1
    assert "takes no events, and tracking is required" in done.stderr
    assert "verify" not in done.stdout, "no step ran"


@pytest.mark.slow  # one more training
def test_a_run_can_be_reproduced(first: Any, runs: Any) -> None:
    done = runs.command("reproduce", first.folder.name)
    assert done.status == 0, done.stdout + done.stderr
    assert "reproduced: mIoU" in done.stdout
    assert "↺" not in done.stdout, "nothing is reused"


def test_a_held_model_is_a_successful_run_without_an_export(
    held: Any, rows: Callable[[Any], Any]
) -> None:
    assert held.status == 0, held.text
    assert "verdict      hold (mIoU" in held.text
    assert "held back by the gate" in held.text
    assert not (held.folder / "export").exists()
    row = rows(held)
    assert row.info.status == "FINISHED"
    assert row.data.tags["step.train"].startswith("cached from run")
    assert row.data.tags["step.evaluate"] == "executed"
    assert row.data.tags["verdict"] == "hold"
    assert row.data.tags["step.export"] == "held back"


def test_a_failed_step_is_one_line_with_its_remedy(
    first: Any, failed: Any, rows: Callable[[Any], Any]
) -> None:
    assert failed.status == 1
    cause = "`class_weights` must be one number for each of the"
    assert f"failed       train: {cause}" in failed.text
    assert "✗ train" in failed.text
    assert "Traceback" not in failed.text
    row = rows(failed)
    assert row.info.status == "FAILED"
    assert row.data.tags["failed_step"] == "train"
    assert row.data.tags["failure"].startswith(cause)
    assert row.data.tags["step.verify"].startswith("cached from run")
    assert "class_weights=1,2" in row.data.tags["changed"]


def test_a_failed_run_leaves_earlier_outputs_alone(first: Any, failed: Any) -> None:
    assert (first.folder / "model" / "model.keras").is_file()
    earlier = (first.folder / "verification.html").resolve()
    assert (failed.folder / "verification.html").resolve() == earlier
    assert not (failed.folder / "report.html").exists()


def test_ctrl_c_stops_the_steps_and_closes_the_row(
    stopped: Any, rows: Callable[[Any], Any]
) -> None:
    assert stopped.status == 130
    assert "■ train" in stopped.text
    assert "stopped      by SIGINT" in stopped.text
    assert not _processes_that_mention(stopped.folder)
    row = rows(stopped)
    assert row.info.status == "KILLED"
    assert row.data.metrics["curves/loss"] > 0, "the curve up to there"
    assert row.data.tags["step.verify"].startswith("cached from run")
    assert "step.train" not in row.data.tags


@pytest.mark.slow
def test_a_stopped_run_is_gone_on_with_by_the_next_one(
    runs: Any, tiny_root: Path, first: Any
) -> None:
    settings = {"epochs": 12, "train_seed": 1}
    others = set(runs.folder.glob(".checkpoints/*"))
    stopped = runs.run_until(tiny_root, "epoch 3/", signal.SIGINT, **settings)
    assert stopped.status == 130
    again = runs.run(tiny_root, **settings)
    assert again.status == 0, again.text
    found = re.search(r"going on after step (\d+) of 48, from the", again.text)
    assert found, again.text
    assert int(found[1]) >= 4, "an epoch"
    assert "epoch 1/12" not in again.text
    assert [row["epoch"] for row in again.json("model/history.json")] == list(
        range(1, 13)
    )
    assert set(runs.folder.glob(".checkpoints/*")) == others


def test_broken_data_fail_the_first_step_by_the_files_name(
    runs: Any, tiny_root: Path, tmp_path: Path, rows: Callable[[Any], Any], first: Any
) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(tiny_root, broken)
    image = next((broken / "val_images").iterdir())
    image.write_bytes(image.read_bytes()[:200])
    run = runs.run(broken)
    assert run.status == 1
    assert f"{image.name}" in run.text.partition("failed       verify:")[2]
    assert "data report" in run.text
    assert rows(run).info.status == "FAILED"


@pytest.mark.parametrize(
    ("options", "status", "message"),
    [
        (["--set", "epocs=3"], 2, "Did you mean `epochs`"),
        (["--data", "no/such/folder"], 1, "no/such/folder: no such folder"),
        (["--config", "none.yaml"], 2, "none.yaml: cannot be read"),
        (["--name", "a/b"], 2, "letters, digits"),
        (["--runner", "vm"], 2, "is not one of"),
    ],
)
def test_wrong_use_is_told_before_anything_starts(
    repository: Path, tmp_path: Path, options: list[str], status: int, message: str
) -> None:
    done = Runs(tmp_path / "r", repository).command("run", *options)
    assert done.status == status
    assert message in done.stderr
    assert not (tmp_path / "r").exists()


def test_the_help_names_the_steps_settings_and_variables() -> None:
    texts = [
        CliRunner().invoke(app, [*words, "--help"], env={"COLUMNS": "120"}).stdout
        for words in ([], ["run"], ["compile"])
    ]
    assert "verify → augment → train → evaluate → gate → export" in texts[0]
    assert "--set epochs=5" in texts[1]
    assert "MLFLOW_TRACKING_URI" in texts[1]
    assert "exit status" in texts[1]
    assert "digest" in texts[2]


def _processes_that_mention(folder: Path) -> list[str]:
    found = []
    for process in Path("/proc").iterdir():
        try:
            command = (process / "cmdline").read_bytes().decode(errors="replace")
        except OSError:
            continue  # not a process, or one that has ended
        if process.name.isdigit() and str(folder) in command:
            found.append(command)
    return found
