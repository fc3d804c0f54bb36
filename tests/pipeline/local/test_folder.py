"""Run folders, and the links in them."""

from pathlib import Path

import pytest

from pipeline.local.folder import create_run_folder, link_outputs
from seglib.errors import SegError, UsageError


def test_two_runs_in_one_second_get_folders_of_their_own(tmp_path: Path) -> None:
    folders = {create_run_folder(tmp_path / "runs", "quick") for _ in range(3)}
    assert len(folders) == 3
    assert all("quick" in folder.name for folder in folders)


def test_latest_leads_to_the_newest_run(tmp_path: Path) -> None:
    create_run_folder(tmp_path)
    newest = create_run_folder(tmp_path)
    assert (tmp_path / "latest").resolve() == newest
    assert not (tmp_path / "latest").readlink().is_absolute(), "the folder can move"


def test_outputs_are_linked_under_the_same_names_whichever_run_made_them(
    tmp_path: Path,
) -> None:
    earlier, run = create_run_folder(tmp_path), create_run_folder(tmp_path)
    evaluation = earlier / "steps" / "evaluation"
    evaluation.mkdir(parents=True)
    (evaluation / "report.html").write_text("scores")
    links = link_outputs(run, {"evaluate": evaluation, "export": run / "none"})
    assert links == {"report.html": run / "report.html"}
    assert (run / "report.html").read_text() == "scores"
    gated = run / "steps" / "gate"
    gated.mkdir(parents=True)
    (gated / "report.html").write_text("scores and verdict")
    link_outputs(run, {"gate": gated, "evaluate": evaluation})
    assert (run / "report.html").read_text() == "scores and verdict"


def test_a_name_that_is_no_file_name_is_wrong_use(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"letters, digits.*Received: '\.\./up'"):
        create_run_folder(tmp_path, "../up")


def test_a_folder_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SegError, match="cannot be written.*--runs"):
        create_run_folder(tmp_path / "file" / "runs")
