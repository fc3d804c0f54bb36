"""One comment at a place, one status on a commit, however often they are written."""

import pytest

from pipeline.ci.comment import keep_one, set_status
from pipeline.ci.forge import ForgeError, PullRequest, State, Status
from pipeline.ci.github import GitHub
from tests.fakes.forge_server import Fault, ForgeServer

PULL = PullRequest(7)
PLACE = "issues/7"
MARKER = "<!-- seglib:diff -->"


def test_a_comment_is_updated_in_place(
    forge_server: ForgeServer, github: GitHub
) -> None:
    assert keep_one(github, PULL, "diff", "one") == "created"
    assert keep_one(github, PULL, "diff", "one") == "unchanged"
    assert keep_one(github, PULL, "diff", "two") == "updated"
    assert keep_one(github, PULL, "other", "three") == "created"
    assert forge_server.bodies(PLACE) == [
        f"{MARKER}\ntwo",
        "<!-- seglib:other -->\nthree",
    ]


@pytest.mark.parametrize("status", [500, 0])
@pytest.mark.parametrize("after", [False, True], ids=["not done", "done"])
def test_a_lost_answer_is_repaired_by_the_next_run(
    forge_server: ForgeServer, github: GitHub, status: int, *, after: bool
) -> None:
    forge_server.faults.append(Fault("POST", "comments", status, after=after))
    with pytest.raises(ForgeError):
        keep_one(github, PULL, "diff", "one")
    assert keep_one(github, PULL, "diff", "one") in ("created", "unchanged")
    assert forge_server.bodies(PLACE) == [f"{MARKER}\none"]


def test_of_two_that_were_created_at_once_the_oldest_stays(
    forge_server: ForgeServer, github: GitHub
) -> None:
    for text in ("ours", "another's"):
        forge_server.add_comment(PLACE, f"{MARKER}\n{text}")
    assert keep_one(github, PULL, "diff", "ours") == "unchanged"
    assert forge_server.bodies(PLACE) == [f"{MARKER}\nours"]


def test_a_person_who_writes_the_marker_does_not_get_our_comment(
    forge_server: ForgeServer, github: GitHub
) -> None:
    forged = f"{MARKER}\nall is well"
    forge_server.add_comment(PLACE, forged, login="eve", kind="User")
    keep_one(github, PULL, "diff", "one")
    assert forge_server.bodies(PLACE) == [forged, f"{MARKER}\none"]


def test_a_text_that_the_forge_would_refuse_is_cut(
    forge_server: ForgeServer, github: GitHub
) -> None:
    keep_one(github, PULL, "diff", "x" * 100_000)
    (body,) = forge_server.bodies(PLACE)
    assert len(body) < 65_536
    assert "100,000 characters long" in body


def test_a_status_is_set_once_and_cut_to_what_the_forge_takes(
    forge_server: ForgeServer, github: GitHub
) -> None:
    status = Status("seglib/retrain", State.pending, "y" * 200, "https://a.test/")
    assert set_status(github, "c0ffee", status)
    assert not set_status(github, "c0ffee", status)
    (kept,) = forge_server.statuses["c0ffee"]
    assert kept["description"] == "y" * 139 + "…"
