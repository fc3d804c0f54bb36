"""The client of GitHub's API against a real server that misbehaves."""

import pytest

from pipeline.ci.github import (
    ForgeError,
    GitHub,
    Place,
    State,
    Status,
    commit_page,
    find_forge,
    missing,
    pull_request,
)
from tests.fakes.forge_server import REPOSITORY, TOKEN, Fault, ForgeServer

SHA = "c0ffee" * 6 + "c0ff"
PULL = pull_request(7)
PLACE = "issues/7"
MARKER = "<!-- seglib:diff -->"


def test_a_status_that_is_set_is_the_one_that_is_read_and_is_set_once(
    github: GitHub, forge_server: ForgeServer
) -> None:
    context = "seglib/retrain"
    assert github.status(SHA, context) is None
    for state in (State.pending, State.success):
        status = Status(context, state, "a run", "https://a.test/run")
        assert github.set_status(SHA, status)
        assert not github.set_status(SHA, status)
    github.set_status(SHA, Status("other", State.error, "another's"))
    assert github.status(SHA, context) == status
    assert len(forge_server.statuses[SHA]) == 3


def test_texts_that_the_forge_would_refuse_are_cut(
    forge_server: ForgeServer, github: GitHub
) -> None:
    status = Status("a", State.pending, "y" * 200)
    assert github.set_status(SHA, status)
    assert not github.set_status(SHA, status)
    assert forge_server.statuses[SHA][0]["description"] == "y" * 139 + "…"
    github.keep_comment(PULL, "diff", "x" * 100_000)
    (body,) = forge_server.bodies(PLACE)
    assert len(body) < 65_536
    assert "100,000 characters long" in body


@pytest.mark.parametrize("place", [PULL, commit_page(SHA)], ids=lambda one: one.name)
def test_a_comment_is_updated_in_place(
    forge_server: ForgeServer, github: GitHub, place: Place
) -> None:
    forge_server.permissions.add("contents")
    assert github.keep_comment(place, "diff", "one", create=False) == "not needed"
    assert github.keep_comment(place, "diff", "one") == "created"
    assert github.keep_comment(place, "diff", "one") == "unchanged"
    assert github.keep_comment(place, "diff", "two") == "updated"
    assert github.keep_comment(place, "other", "three") == "created"
    assert forge_server.bodies(PLACE if place is PULL else f"commits/{SHA}") == [
        f"{MARKER}\ntwo",
        "<!-- seglib:other -->\nthree",
    ]


@pytest.mark.parametrize("status", [500, 0])
@pytest.mark.parametrize("after", [False, True], ids=["not done", "done"])
def test_a_lost_answer_is_not_sent_again_blindly_and_is_repaired_by_the_next_run(
    forge_server: ForgeServer, github: GitHub, status: int, *, after: bool
) -> None:
    forge_server.faults.append(Fault("POST", "comments", status, after=after))
    with pytest.raises(ForgeError):
        github.keep_comment(PULL, "diff", "one")
    assert len(forge_server.bodies(PLACE)) == after
    assert github.keep_comment(PULL, "diff", "one") in ("created", "unchanged")
    assert forge_server.bodies(PLACE) == [f"{MARKER}\none"]


def test_of_many_that_were_created_at_once_the_oldest_stays(
    forge_server: ForgeServer, github: GitHub
) -> None:
    forge_server.page_size = 3
    for text in ("ours", *"abcdefg"):
        forge_server.add_comment(PLACE, f"{MARKER}\n{text}")
    # One that is gone meanwhile is no error.
    forge_server.faults.append(Fault("DELETE", "comments", 404, after=True))
    assert github.keep_comment(PULL, "diff", "ours") == "unchanged"
    assert forge_server.bodies(PLACE) == [f"{MARKER}\nours"]


def test_a_person_who_writes_the_marker_does_not_get_our_comment(
    forge_server: ForgeServer, github: GitHub
) -> None:
    forged = f"{MARKER}\nall is well"
    forge_server.add_comment(PLACE, forged, login="eve", kind="User")
    forge_server.add_comment(PLACE, forged)["user"] = None  # as GitHub may
    github.keep_comment(PULL, "diff", "one")
    assert forge_server.bodies(PLACE) == [forged, forged, f"{MARKER}\none"]


def test_a_persons_token_knows_its_owners_comments(
    forge_server: ForgeServer, github: GitHub
) -> None:
    forge_server.login = "ada"
    forge_server.add_comment(PLACE, f"{MARKER}\na bot's")
    forge_server.add_comment(PLACE, f"{MARKER}\nhers", login="ada", kind="User")
    # Who asks is not guessed while the server fails, or the comment would be doubled.
    forge_server.faults += [Fault("GET", "/user", 500)] * 5
    with pytest.raises(ForgeError, match="500"):
        github.keep_comment(PULL, "diff", "new")
    assert github.keep_comment(PULL, "diff", "new") == "updated"
    assert forge_server.bodies(PLACE) == [f"{MARKER}\na bot's", f"{MARKER}\nnew"]


@pytest.mark.parametrize("status", [500, 0])
def test_a_server_that_fails_twice_is_asked_again(
    forge_server: ForgeServer, github: GitHub, status: int
) -> None:
    forge_server.faults += [Fault("POST", "statuses", status)] * 2
    github.set_status(SHA, Status("a", State.success, "text"))
    assert len(forge_server.requests) == 4
    assert len(forge_server.statuses[SHA]) == 1


_ELSEWHERE = {"Link": '<http://a.test/>; rel="next"'}


@pytest.mark.parametrize(
    ("fault", "times", "message"),
    [
        (Fault("GET", "statuses", 503), 5, "status 503"),
        # A limit that lasts an hour is not waited for.
        (
            Fault("GET", "statuses", 429, headers={"Retry-After": "3600"}),
            1,
            "ends in 60 minutes",
        ),
        (Fault("GET", "statuses", 200, headers=_ELSEWHERE), 1, "on another server"),
        (
            Fault("GET", "statuses", 302, headers={"Location": "http://a.test/"}),
            1,
            "status 302",
        ),
    ],
    ids=["always fails", "limit", "next page elsewhere", "redirect"],
)
def test_what_a_server_does_wrong_is_named(
    forge_server: ForgeServer, github: GitHub, fault: Fault, times: int, message: str
) -> None:
    forge_server.faults += [fault] * times
    with pytest.raises(ForgeError, match=message):
        github.status(SHA, "a")
    assert len(forge_server.requests) == times


def test_the_server_notes_what_github_would_not_take(
    forge_server: ForgeServer, github: GitHub
) -> None:
    with pytest.raises(ForgeError, match="404"):
        github._ask("GET", "status")
    github._ask("POST", PULL.comments, {"body": "text", "bold": True})
    assert len(forge_server.violations) == 2
    forge_server.violations.clear()


def test_a_commit_that_nobody_pushed_has_no_status(
    forge_server: ForgeServer, github: GitHub
) -> None:
    said = f"No commit found for SHA: {SHA}"
    forge_server.faults.append(Fault("GET", "statuses", 422, message=said))
    assert github.status(SHA, "a") is None


def test_a_server_that_is_away_is_named() -> None:
    away = GitHub(REPOSITORY, token=TOKEN, address="http://127.0.0.1:9")
    with pytest.raises(ForgeError, match=r"GET http://127\.0\.0\.1:9/\S+: no answer"):
        away.status(SHA, "a")


def test_no_error_repeats_the_token_which_goes_nowhere_unencrypted(
    forge_server: ForgeServer,
) -> None:
    wrong = GitHub(REPOSITORY, token="wrong-canary", address=forge_server.url)
    with pytest.raises(ForgeError, match="401") as caught:
        wrong.status(SHA, "a")
    assert "canary" not in f"{caught.value}{wrong!r}"
    with pytest.raises(ForgeError, match="over https only"):
        GitHub(REPOSITORY, token=TOKEN, address="http://forge.test/api")


def test_the_environment_names_the_forge(forge_server: ForgeServer) -> None:
    environment = {
        "GITHUB_API_URL": forge_server.url,
        "GITHUB_REPOSITORY": REPOSITORY,
        "GITHUB_TOKEN": TOKEN,
    }
    forge = find_forge(environment)
    assert forge is not None
    assert forge.status(SHA, "a") is None
    assert find_forge({}) is None
    assert missing({}) == "GITHUB_TOKEN and GITHUB_REPOSITORY"
    with pytest.raises(ForgeError, match="expected owner/name"):
        find_forge({**environment, "GITHUB_REPOSITORY": "streets"})
