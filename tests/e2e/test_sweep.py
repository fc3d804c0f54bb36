"""A sweep by the command line: several trainings, one row, the best exported."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from mlflow import MlflowClient

from benchmarks.waiting import HANG_S
from tests.e2e.conftest import SETTINGS

pytestmark = pytest.mark.slow


def test_the_best_trial_is_judged_exported_and_the_runs_row_is_its_own(
    tmp_path: Path, tiny_root: Path, repository: Path
) -> None:
    first = _sweep(tmp_path, tiny_root, repository, "0.00001,0.003")
    folder = (tmp_path / "runs" / "latest").resolve()
    assert "learning_rate=0.003, val mIoU" in first
    table = (folder / "selection.md").read_text().splitlines()[2:]
    assert [line.split(" |")[0] for line in table] == [
        "| learning_rate=0.003",
        "| learning_rate=1e-05",
    ]
    provenance = json.loads((folder / "model" / "provenance.json").read_text())
    assert provenance["train"]["trial"] == {"learning_rate": 0.003}
    assert (folder / "export" / "lineage.json").is_file()
    client = MlflowClient(f"sqlite:///{tmp_path}/runs/mlflow.db")
    rows = {row.info.run_name: row for row in client.search_runs(["1"])}
    row, trials = (
        rows[folder.name],
        [run for name, run in rows.items() if name.startswith("train ")],
    )
    assert row.data.params["learning_rate"] == "0.003"
    assert row.data.tags["trial"] == "learning_rate=0.003"
    assert row.data.tags["verdict"] == "promote"
    assert {run.data.params["learning_rate"] for run in trials} == {"1e-05", "0.003"}
    best = rows["train learning_rate=0.003"].data.metrics["curves/val_miou"]
    points = client.get_metric_history(row.info.run_id, "curves/val_miou")
    assert len(points) == SETTINGS["epochs"]
    assert points[-1].value == best
    client._tracking_client.store._dispose_engine()

    more = _sweep(tmp_path, tiny_root, repository, "0.00001,0.003,0.001")
    log = ((tmp_path / "runs" / "latest").resolve() / "pipeline.log").read_text()
    assert log.count("train-model cache hit") == 2, "only what is new is trained"
    assert "the best of 3" in more


def test_a_trial_that_cannot_be_trained_falls_out_and_the_others_go_on(
    tmp_path: Path, tiny_root: Path, repository: Path
) -> None:
    first = _sweep(tmp_path, tiny_root, repository, "1e30,0.003")
    assert "! failed trial learning_rate=1e+30: The loss is " in first
    assert "learning_rate=0.003, val mIoU" in first
    assert "\nfailed trial learning_rate=1e+30: The loss is " in first
    folder = (tmp_path / "runs" / "latest").resolve()
    assert "| learning_rate=1e+30 | failed |" in (folder / "selection.md").read_text()
    assert (folder / "export" / "lineage.json").is_file()
    client = MlflowClient(f"sqlite:///{tmp_path}/runs/mlflow.db")
    rows = {row.info.run_name: row for row in client.search_runs(["1"])}
    row, fallen = rows[folder.name], rows["train learning_rate=1e+30"]
    assert (row.info.status, fallen.info.status) == ("FINISHED", "FAILED")
    assert "training diverged" in fallen.data.tags["fell_out"]
    assert row.data.tags["fell_out"].startswith("learning_rate=1e+30: The loss is ")
    client._tracking_client.store._dispose_engine()


def test_only_a_trial_that_would_fall_out_on_any_machine_is_reused(
    tmp_path: Path, tiny_root: Path, repository: Path
) -> None:
    choice = ("architecture=compact_small,segnet", "encoder=compact_small")
    for again in (False, True):
        said = _sweep(tmp_path, tiny_root, repository, "1e30", choice, status=1)
        assert "! failed trial architecture=segnet: `segnet` needs an encoder" in said
        assert (
            "! failed trial architecture=compact_small: The loss" in said
        ) is not again
        assert "select: No trial is left: all failed." in said
        assert ("(reused from run " in said) is again
    log = ((tmp_path / "runs" / "latest").resolve() / "pipeline.log").read_text()
    assert log.count("train-model cache hit") == 1


def _sweep(
    folder: Path,
    data: Path,
    repository: Path,
    rates: str,
    changes: tuple[str, ...] = (),
    *,
    status: int = 0,
) -> str:
    fixed = [f"{name}={value}" for name, value in SETTINGS.items()]
    changes += tuple(change for change in fixed if "learning_rate" not in change)
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pipeline", "sweep", "--data", str(data)),
            *("--runs", str(folder / "runs"), "--set", f"learning_rate={rates}"),
            *(part for change in changes for part in ("--set", change)),
        ],
        cwd=repository,
        env={**os.environ, "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=HANG_S,
        check=False,
    )
    assert done.returncode == status, done.stdout[-3000:] + done.stderr[-3000:]
    assert "executor_input" not in done.stdout
    return done.stdout
