"""One comment, whoever writes it at the same time, and whatever gets lost."""

import threading

import pytest

from benchmarks.waiting import HANG_S
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
def test_a_lost_answer_leaves_one_comment(
    forge_server: ForgeServer, github: GitHub, status: int, *, after: bool
) -> None:
    forge_server.faults.append(Fault("POST", "comments", status, after=after))
    assert keep_one(github, PULL, "diff", "one", pause_s=0.01) in (
        "created",
        "unchanged",
    )
    assert forge_server.bodies(PLACE) == [f"{MARKER}\none"]


def test_of_two_that_were_created_at_once_the_oldest_stays(
    forge_server: ForgeServer, github: GitHub
) -> None:
    """Another writes its comment between our look and our own."""

    def meanwhile(method: str, path: str) -> None:
        if method == "POST" and not forge_server.bodies(PLACE):
            forge_server.add_comment(PLACE, f"{MARKER}\nanother's")

    forge_server.meanwhile = meanwhile
    assert keep_one(github, PULL, "diff", "ours") == "updated"
    assert forge_server.bodies(PLACE) == [f"{MARKER}\nours"]
    assert forge_server.comments[PLACE][0]["id"] == 1001  # the oldest


def test_eight_at_once_leave_one_comment(
    forge_server: ForgeServer, github: GitHub
) -> None:
    # All have looked, and found none, before the first may write.
    barrier, looked = threading.Barrier(8, timeout=HANG_S), threading.local()

    def meanwhile(method: str, path: str) -> None:
        if method == "POST" and not hasattr(looked, "once"):
            looked.once = True
            barrier.wait()

    forge_server.meanwhile = meanwhile
    errors: list[Exception] = []

    def write() -> None:
        try:
            keep_one(github, PULL, "diff", "the same")
        except Exception as error:  # noqa: BLE001 (raised again, in effect)
            errors.append(error)

    threads = [threading.Thread(target=write) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert forge_server.bodies(PLACE) == [f"{MARKER}\nthe same"]
    creations = [r for r in forge_server.requests if r.startswith("POST")]
    assert len(creations) == 8  # they did meet


def test_a_person_who_writes_the_marker_does_not_get_our_comment(
    forge_server: ForgeServer, github: GitHub
) -> None:
    forged = f"{MARKER}\nall is well"
    forge_server.add_comment(PLACE, forged, login="eve", kind="User")
    keep_one(github, PULL, "diff", "one")
    assert forge_server.bodies(PLACE) == [forged, f"{MARKER}\none"]


def test_a_forge_that_takes_nothing_is_an_error(
    forge_server: ForgeServer, github: GitHub
) -> None:
    forge_server.faults += [Fault("POST", "comments", 500)] * 9
    with pytest.raises(ForgeError, match="in 4 attempts"):
        keep_one(github, PULL, "diff", "one", pause_s=0.01)


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
