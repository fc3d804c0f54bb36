"""The registry after whole runs, by the commands that a person types."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from seglib.storage.publishing import fetch_published


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


def test_the_champions_lineage_holds_back_to_the_masks(first: Any, runs: Any) -> None:
    done = runs.command("verify-lineage", "--masks")
    assert done.status == 0, done.stdout + done.stderr
    for claim in (
        *("lineage", "exported files", "SHA256SUMS", "registered model"),
        *("run of train", "run of evaluate", "score", "masks of the dataset"),
        "masks on the remote",
    ):
        assert f"✓ {claim} " in done.stdout
    assert "The lineage holds: 9 claims checked." in done.stdout


def test_a_changed_file_of_an_export_is_named(
    first: Any, runs: Any, tmp_path: Path
) -> None:
    export = tmp_path / "export"
    shutil.copytree(first.folder / "export", export)
    contract = export / "contract.json"
    contract.write_text(contract.read_text().replace("ignore_index", "ignore index"))
    done = runs.command("verify-lineage", str(export))
    assert done.status == 1
    assert "✗ exported files         differ: contract.json" in done.stdout
    assert "The lineage does not hold: exported files." in done.stderr


def test_a_first_champion_cannot_be_rolled_back(first: Any, runs: Any) -> None:
    done = runs.command("rollback")
    assert done.status == 1
    assert "is its first champion: there is none to go back to" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_champion_can_be_published_elsewhere(
    first: Any, runs: Any, tmp_path: Path
) -> None:
    place = str(tmp_path / "elsewhere")
    done = runs.command("publish", "--to", place, "--name", "street")
    assert done.status == 0, done.stdout + done.stderr
    root = fetch_published(place, "street", cache=tmp_path / "cache")
    assert f"latest of street at {place}: {root.name}.dir" in done.stdout
    sums = (root / "SHA256SUMS").read_text()
    assert sums == (first.folder / "export" / "SHA256SUMS").read_text()


def test_an_unknown_model_names_those_that_there_are(
    first: Any, runs: Any, tiny_root: Path
) -> None:
    done = runs.command("rollback", "strets")
    assert done.status == 2
    assert "No registered model 'strets' in sqlite:///" in done.stderr
    assert f"There are: {tiny_root.name}" in done.stderr
