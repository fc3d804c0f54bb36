"""What a training has cost in all its attempts."""

import pytest

from seglib.runtime.provenance import add_earlier_attempts, next_notes, total_s


@pytest.fixture(autouse=True)
def run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KFP_RUN_ID", "this-run")


def test_checkpoints_carry_the_sum_of_all_attempts() -> None:
    found = {"run": "this-run", "attempts": 2, "spent_s": 100.0}
    notes = next_notes(found, 5.0)
    assert notes == {"run": "this-run", "attempts": 3, "spent_s": 105.0}


@pytest.mark.parametrize(
    ("made_by", "trained_by"),
    [("this-run", None), ("train-0123456", "run train-0123456 in 2 attempts")],
)
def test_a_run_names_another_whose_training_it_takes_over(
    made_by: str, trained_by: str | None
) -> None:
    origin = {"duration_s": 5.0}
    add_earlier_attempts(origin, {"run": made_by, "attempts": 2, "spent_s": 100.0})
    assert origin.get("trained_by") == trained_by
    assert total_s(origin) == 105.0


@pytest.mark.parametrize(
    "found", [{}, {"run": "x"}, {"attempts": "2", "spent_s": 1.0}, {"attempts": 2}]
)
def test_malformed_notes_of_a_checkpoint_are_ignored(found: dict[str, object]) -> None:
    origin = {"duration_s": 5.0}
    add_earlier_attempts(origin, found)
    assert total_s(origin) == 5.0
    assert "trained_by" not in origin
