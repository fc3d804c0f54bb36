"""The registry after whole runs, by the commands that a person types."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from seglib.storage.publishing import fetch_published

pytestmark = pytest.mark.filterwarnings(
    # MLflow's own use of SQLAlchemy.
    "ignore:The ``noload`` loader strategy is deprecated"
)


@pytest.fixture
def pipeline(runs: Any, repository: Path) -> Callable[..., Any]:
    """Runs `python -m pipeline` on the store of these runs."""

    def call(command: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [
                *(sys.executable, "-m", "pipeline", command, *arguments),
                *("--runs", str(runs.folder)),
            ],
            cwd=repository,
            env={**os.environ, "COLUMNS": "200"},
            capture_output=True,
            text=True,
            check=False,
        )

    return call


def test_a_run_says_what_became_of_its_model(
    first: Any, second: Any, held: Any, rows: Callable[[Any], Any]
) -> None:
    name = first.json("request.json")["parameters"]["remote"].rpartition("/")[2]
    promotion = f"{name}: version 1 is the champion, the first"
    assert rows(first).data.tags["promotion"] == promotion
    assert f"registry     {promotion}" in first.text
    again = rows(second).data.tags["promotion"]
    assert again == f"{name}: version 1 is the champion"
    assert rows(second).data.tags["registered_model"].endswith("/1")
    assert "promotion" not in rows(held).data.tags


def test_the_champions_lineage_holds_back_to_the_masks(
    first: Any, pipeline: Callable[..., Any]
) -> None:
    done = pipeline("verify-lineage", "--masks")
    assert done.returncode == 0, done.stdout + done.stderr
    for claim in (
        *("lineage", "exported files", "SHA256SUMS", "registered model"),
        *("run of train", "run of evaluate", "score", "masks of the dataset"),
        "masks on the remote",
    ):
        assert f"✓ {claim} " in done.stdout
    assert "The lineage holds: 9 claims checked." in done.stdout


def test_a_changed_file_of_an_export_is_named(
    first: Any, pipeline: Callable[..., Any], tmp_path: Path
) -> None:
    export = tmp_path / "export"
    shutil.copytree(first.folder / "export", export)
    contract = export / "contract.json"
    contract.write_text(contract.read_text().replace("ignore_index", "ignore index"))
    done = pipeline("verify-lineage", str(export))
    assert done.returncode == 1
    assert "✗ exported files         differ: contract.json" in done.stdout
    assert "The lineage does not hold: exported files." in done.stderr


def test_a_first_champion_cannot_be_rolled_back(
    first: Any, pipeline: Callable[..., Any]
) -> None:
    done = pipeline("rollback")
    assert done.returncode == 1
    assert "is its first champion: there is none to go back to" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_champion_can_be_published_elsewhere(
    first: Any, pipeline: Callable[..., Any], tmp_path: Path
) -> None:
    place = str(tmp_path / "elsewhere")
    done = pipeline("publish", "--to", place, "--name", "street")
    assert done.returncode == 0, done.stdout + done.stderr
    root = fetch_published(place, "street", cache=tmp_path / "cache")
    assert f"latest of street at {place}: {root.name}.dir" in done.stdout
    sums = (root / "SHA256SUMS").read_text()
    assert sums == (first.folder / "export" / "SHA256SUMS").read_text()


def test_an_unknown_model_names_those_that_there_are(
    first: Any, pipeline: Callable[..., Any], tiny_root: Path
) -> None:
    done = pipeline("rollback", "strets")
    assert done.returncode == 2
    assert "No registered model 'strets' in sqlite:///" in done.stderr
    assert f"There are: {tiny_root.name}" in done.stderr
