"""What must be at hand before a run is made again."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipeline.dag.inputs import code_version
from pipeline.history.reproduce import difference, recipe
from seglib.config import Config
from seglib.errors import SegError
from seglib.storage.hashes import hash_folder
from seglib.tracking.queries import RunFacts


@pytest.fixture
def row(tiny_root: Path) -> RunFacts:
    """The row of a run of this very code on the tiny scenes."""
    settings = {**Config().flat(), "epochs": 7, "flip": False, "learning_rate": 3e-3}
    return RunFacts(
        id="id",
        name="then",
        status="FINISHED",
        start_ms=0,
        duration_s=1.0,
        parameters={name: str(value) for name, value in settings.items()},
        metrics={"miou": 0.5},
        tags={
            "data_md5": hash_folder(tiny_root),
            "data_remote": str(tiny_root),
            "code_version": code_version(),
            "git_commit": "0123",
        },
    )


def tagged(row: RunFacts, **tags: Any) -> RunFacts:
    return replace(row, tags={**row.tags, **tags})


def test_a_row_gives_back_its_settings_with_their_types(
    row: RunFacts, tiny_root: Path
) -> None:
    found = recipe(row, any_code=False)
    assert found.config.train.epochs == 7
    assert found.config.train.flip is False
    assert found.config.train.learning_rate == 3e-3
    assert found.config.flat() == {
        **Config().flat(),
        "epochs": 7,
        "flip": False,
        "learning_rate": 3e-3,
    }
    assert found.data.remote == str(tiny_root)


def test_other_code_is_named_with_the_commit_to_check_out(row: RunFacts) -> None:
    other = tagged(row, code_version="other", git_commit="abc-dirty")
    with pytest.raises(SegError, match="git checkout abc.*--any-code") as error:
        recipe(other, any_code=False)
    assert "files differed from that commit" in str(error.value)
    assert recipe(other, any_code=True).config.train.epochs == 7


def test_data_that_changed_or_went_away_are_named(
    row: RunFacts, tmp_path: Path, tiny_root: Path
) -> None:
    with pytest.raises(SegError, match="gone"):
        recipe(tagged(row, data_remote=str(tmp_path / "gone")), any_code=False)
    other = tagged(row, data_md5=f"{'0' * 32}.dir")
    with pytest.raises(SegError):
        recipe(other, any_code=False)
    with pytest.raises(SegError, match="not the data of then"):
        recipe(other, folder=tiny_root, any_code=False)


def test_an_old_row_or_one_without_a_score_cannot_be_reproduced(row: RunFacts) -> None:
    with pytest.raises(SegError, match="does not say how it was made"):
        recipe(replace(row, tags={}), any_code=False)
    with pytest.raises(SegError, match="ended without a score: FAILED"):
        difference(replace(row, metrics={}, status="FAILED"), {"miou": 0.5})
    assert difference(row, {"miou": 0.75}) == (0.5, 0.25)
