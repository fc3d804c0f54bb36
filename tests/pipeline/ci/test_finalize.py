"""The verdict of a run on its commit: one status, one comment."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from seglib.runtime.kfp_run import ending
from tests.fakes.forge_server import Fault
from tests.pipeline.ci.world import KFP_TOKEN, Tracking, World

pytestmark = pytest.mark.filterwarnings(
    # MLflow's own use of SQLAlchemy.
    "ignore:The ``noload`` loader strategy is deprecated"
)

Run = Callable[..., str]


@pytest.fixture
def finalize(run: Run, tracking: Tracking) -> Run:
    def finalize(*words: str, **options: str) -> str:
        return run(
            "finalize", *words, **{"MLFLOW_TRACKING_URI": tracking.uri, **options}
        )

    return finalize


def test_a_promoted_model_is_a_success_with_its_scores_in_a_comment(
    world: World, finalize: Run, tracking: Tracking
) -> None:
    run_id = world.submitted("SUCCEEDED")
    tracking.add_row(run_id, "promote", promotion="streets: version 4 is the champion")
    finalize()
    assert world.statuses[-1] == (
        "success",
        "promoted, mIoU 0.7912 (+0.0120 to the champion)",
    )
    (comment,) = world.comments
    assert comment.startswith("<!-- seglib:retrain -->\n### ✓ Training: promoted")
    assert "streets: version 4 is the champion" in comment
    assert (
        "|  | this model | change to the champion, version 3 | 95% interval |"
        in comment
    )
    assert "| **mIoU** | 0.7912 | +0.0120 | +0.0050 … +0.0190 |" in comment
    assert "| pixel accuracy | 0.9100 | – | – |" in comment
    assert "| IoU road | 0.9500 | +0.0120 | +0.0050 … +0.0190 |" in comment
    assert f"[{world.new[:7]}-" in comment
    assert f"{world.kfp.url}/#/runs/details/{run_id}" in comment
    assert f"| commit | `{world.new}` |" in comment
    assert "0 commit(s) wait" in finalize()
    assert "comment unchanged" in finalize(world.new)
    assert "comment unchanged" in finalize(run_id)
    assert len(world.statuses) == 2


def test_a_held_model_is_a_success_with_the_reason_in_a_comment(
    world: World, finalize: Run, tracking: Tracking
) -> None:
    tracking.add_row(world.submitted("SUCCEEDED"), "hold")
    finalize()
    state, description = world.statuses[-1]
    assert state == "success"  # the training went well; its model is not better
    assert description.startswith("held, mIoU 0.7912 (+0.0120 to the champion): mIoU")
    (comment,) = world.comments
    assert "- mIoU +0.0120 wanted" in comment
    assert "| min_delta | **failed** |" in comment
    # Names of classes cannot become markup, and are found for all that.
    assert "@all" not in comment
    assert "<b>" not in comment
    assert "-0.0042" in comment


def test_a_first_model_has_no_champion_to_be_compared_with(
    world: World, finalize: Run, tracking: Tracking
) -> None:
    tracking.add_row(world.submitted("SUCCEEDED"), "promote", compared=False)
    finalize()
    assert world.statuses[-1] == ("success", "promoted, mIoU 0.7912")
    (comment,) = world.comments
    assert "| **mIoU** | 0.7912 |\n" in comment
    assert "no champion yet" in comment


def test_a_run_that_failed_says_where(
    world: World, finalize: Run, tracking: Tracking
) -> None:
    tracking.add_failure(world.submitted("FAILED"), "train", "out of memory")
    finalize()
    assert world.statuses[-1] == ("failure", "failed: train: out of memory")
    assert "### ✗ Training: failed: train: out of memory" in world.comments[0]


@pytest.mark.parametrize(
    ("submitted", "told"),
    [
        ({"state": "CANCELED"}, ("error", "the run was canceled")),
        (  # a verdict that does not come in a day is missed
            {"state": "SUCCEEDED", "ended": timedelta(hours=25)},
            ("error", "the run succeeded, but MLflow has no verdict of it"),
        ),
        ({"state": "RUNNING"}, None),
        ({"state": "SUCCEEDED"}, None),  # its verdict may still come
    ],
    ids=["stopped", "missed", "goes on", "no verdict yet"],
)
def test_a_run_without_a_row_is_told_or_left_for_the_next_time(
    world: World, finalize: Run, submitted: Any, told: tuple[str, str] | None
) -> None:
    world.submitted(**submitted)
    said = finalize()
    if told:
        assert world.statuses[-1] == told
    else:
        assert "not ended yet" in said or "no row of it yet" in said
        assert [state for state, _ in world.statuses] == ["pending"]
        assert not world.comments


OOM_POD = "segmentation-training-r2hsb-retry-system-container-impl-194004551"


@pytest.mark.parametrize(
    ("case", "word", "told"),
    [
        ("held", "RUNNING", ("success", "held, mIoU 0.7912 (+0.0120 to the champion)")),
        ("cancelled", "RUNNING", ("error", "the run was canceled")),
        ("oom", "FAILED", ("failure", "failed: train: OOMKilled (exit code 1)")),
    ],
)
def test_a_recorded_run_gets_the_status_that_its_exit_task_found(
    case: str,
    word: str,
    told: tuple[str, str],
    world: World,
    finalize: Run,
    tracking: Tracking,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run_id = world.submitted("RUNNING")
    world.kfp.become(run_id, case)
    world.kfp.logs[run_id, OOM_POD] = "epoch 1\n```\n# no title\n"
    if case == "held":
        tracking.add_row(run_id, "hold")
    monkeypatch.setenv("KFP_RUN_ID", run_id)
    monkeypatch.setenv("SEGLIB_KFP_API", world.kfp.url)
    world.kfp.token = ""  # within the cluster none is asked for
    message = ending(word)
    world.kfp.token = KFP_TOKEN
    status = tracking.close_row(run_id, message)
    assert status == {"success": "FINISHED", "error": "KILLED"}.get(told[0], "FAILED")
    finalize()
    assert world.statuses[-1][0] == told[0]
    assert world.statuses[-1][1].startswith(told[1])
    has_lines = "\n```\nepoch 1\n` ` `\n# no title\n```\n" in world.comments[0]
    assert has_lines == (case == "oom")


def test_a_deleted_run_is_an_error(world: World, finalize: Run) -> None:
    run_id = world.submitted("SUCCEEDED")
    del world.kfp.runs[run_id]
    finalize()
    assert world.statuses[-1][0] == "error"
    assert "not on the cluster any more" in world.statuses[-1][1]


def test_a_store_that_is_away_leaves_the_commit_waiting(
    world: World, finalize: Run
) -> None:
    world.submitted("SUCCEEDED")
    said = finalize(
        status=1,
        MLFLOW_TRACKING_URI="http://127.0.0.1:9",
        MLFLOW_HTTP_REQUEST_MAX_RETRIES="0",
    )
    assert "MLflow at http://127.0.0.1:9 does not answer" in said
    assert [state for state, _ in world.statuses] == ["pending"]


def test_the_newest_run_of_a_commit_is_the_one_that_is_told(
    world: World, finalize: Run, tracking: Tracking
) -> None:
    first, second = world.submitted("SUCCEEDED"), world.submitted("SUCCEEDED")
    tracking.add_row(first, "promote")
    tracking.add_row(second, "hold")
    finalize()
    (comment,) = world.comments
    assert second in comment
    assert first not in comment


def test_a_commit_whose_status_was_never_set_is_found_by_its_run(
    world: World, finalize: Run, tracking: Tracking
) -> None:
    run_id = world.add_run("SUCCEEDED")
    stopped = world.add_run("CANCELED", ended=timedelta(minutes=4))
    tracking.add_row(run_id, "promote")
    finalize("HEAD")
    assert run_id in world.comments[0]
    assert stopped not in world.comments[0]
    said = finalize("f" * 40, status=1)
    assert "No run of the commit ffffffffffff" in said


def test_a_run_that_was_stopped_as_one_too_many_gives_way_to_the_other(
    world: World, finalize: Run, tracking: Tracking
) -> None:
    other = world.add_run("SUCCEEDED", key="a" * 16)
    tracking.add_row(other, "promote")
    world.submitted("CANCELED", key="a" * 16)
    finalize()
    assert world.statuses[-1][0] == "success"
    assert other in world.comments[0]


def test_a_commit_of_another_branch_gets_its_status(
    world: World, finalize: Run, tracking: Tracking
) -> None:
    tracking.add_row(world.submitted("SUCCEEDED"), "promote")
    world.git._ask("checkout", "-q", "-b", "side", world.old)
    finalize()
    assert world.statuses[-1][0] == "success"


def test_without_a_forge_the_page_is_printed(
    world: World, finalize: Run, tracking: Tracking
) -> None:
    run_id = world.add_run("SUCCEEDED")
    tracking.add_row(run_id, "promote")
    said = finalize(run_id, GITHUB_TOKEN="")
    assert "| **mIoU** | 0.7912 | +0.0120 |" in said
    assert not world.forge.requests
    assert "GITHUB_TOKEN" in finalize(status=2, GITHUB_TOKEN="")


def test_a_comment_that_cannot_be_changed_says_which_permission_it_takes(
    world: World, finalize: Run, tracking: Tracking
) -> None:
    run_id = world.submitted("SUCCEEDED")
    tracking.add_row(run_id, "promote")
    world.forge.add_comment(f"commits/{world.new}", "<!-- seglib:retrain -->\nolder")
    said = finalize(status=1)
    assert "the token needs contents: write" in " ".join(said.split())
    world.forge.permissions.add("contents")
    world.forge.faults.append(Fault("PATCH", "comments", 502))
    finalize()
    assert len(world.comments) == 1
    assert run_id in world.comments[0]
