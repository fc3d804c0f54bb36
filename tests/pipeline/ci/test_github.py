"""The client of GitHub's API against a real server that misbehaves."""

import pytest

from pipeline.ci.forge import Comment, Commit, ForgeError, PullRequest, State, Status
from pipeline.ci.github import GitHub, find_forge, missing
from tests.fakes.forge_server import REPOSITORY, TOKEN, Fault, ForgeServer

SHA = "c0ffee" * 6 + "c0ff"
PULL = PullRequest(7)


def test_a_status_that_is_set_is_the_one_that_is_read(github: GitHub) -> None:
    context = "seglib/retrain"
    assert github.status(SHA, context) is None
    for state in (State.pending, State.success):
        github.set_status(SHA, Status(context, state, "a run", "https://a.test/run"))
    github.set_status(SHA, Status("other", State.error, "another's"))
    found = github.status(SHA, context)
    assert found == Status(context, State.success, "a run", "https://a.test/run")


@pytest.mark.parametrize("place", [PULL, Commit(SHA)], ids=str)
def test_a_comment_is_created_listed_edited_and_deleted(
    forge_server: ForgeServer, github: GitHub, place: PullRequest | Commit
) -> None:
    forge_server.permissions.add("contents")
    created = github.create_comment(place, "first")
    github.edit_comment(place, created, "second")
    assert github.comments(place) == [Comment(created.id, "second")]
    github.delete_comment(place, created)
    github.delete_comment(place, created)  # gone already: no error
    assert github.comments(place) == []
    with pytest.raises(ForgeError, match="404"):
        github.edit_comment(place, created, "third")


def test_lists_are_read_to_their_last_page(
    forge_server: ForgeServer, github: GitHub
) -> None:
    forge_server.page_size = 3
    for number in range(8):
        forge_server.add_comment("issues/7", f"text {number}")
    found = github.comments(PULL)
    assert [one.body for one in found] == [f"text {number}" for number in range(8)]


def test_comments_of_others_are_none_of_ours(
    forge_server: ForgeServer, github: GitHub
) -> None:
    forge_server.add_comment("issues/7", "a person's", login="eve", kind="User")
    forge_server.add_comment("issues/7", "the bot's")
    forge_server.add_comment("issues/7", "nobody's")["user"] = None  # as GitHub may
    assert [one.body for one in github.comments(PULL)] == ["the bot's"]


def test_a_persons_token_knows_its_owners_comments(
    forge_server: ForgeServer, github: GitHub
) -> None:
    forge_server.login = "ada"
    forge_server.add_comment("issues/7", "a bot's")
    forge_server.add_comment("issues/7", "hers", login="ada", kind="User")
    assert [one.body for one in github.comments(PULL)] == ["hers"]


@pytest.mark.parametrize("status", [500, 502, 503, 504, 0])
def test_a_server_that_fails_twice_is_asked_again(
    forge_server: ForgeServer, github: GitHub, status: int
) -> None:
    forge_server.faults += [Fault("POST", "statuses", status)] * 2
    github.set_status(SHA, Status("a", State.success, "text"))
    assert len(forge_server.requests) == 3
    assert len(forge_server.statuses[SHA]) == 1


def test_a_server_that_always_fails_is_named(
    forge_server: ForgeServer, github: GitHub
) -> None:
    forge_server.faults += [Fault("GET", "statuses", 503)] * 20
    with pytest.raises(ForgeError, match="status 503"):
        github.status(SHA, "a")
    assert len(forge_server.requests) == 5


@pytest.mark.parametrize("status", [403, 429])
def test_a_limit_of_requests_is_waited_for(
    forge_server: ForgeServer, github: GitHub, status: int
) -> None:
    headers = {"Retry-After": "1"}
    forge_server.faults.append(Fault("POST", "comments", status, headers=headers))
    github.create_comment(PULL, "text")
    assert forge_server.bodies("issues/7") == ["text"]


def test_a_limit_that_lasts_an_hour_is_not_waited_for(
    forge_server: ForgeServer, github: GitHub
) -> None:
    fault = Fault("GET", "statuses", 429, headers={"Retry-After": "3600"})
    forge_server.faults.append(fault)
    with pytest.raises(ForgeError, match="ends in 60 minutes"):
        github.status(SHA, "a")


@pytest.mark.parametrize("status", [500, 0])
def test_a_comment_whose_answer_was_lost_is_not_sent_again_blindly(
    forge_server: ForgeServer, github: GitHub, status: int
) -> None:
    forge_server.faults.append(Fault("POST", "comments", status, after=True))
    with pytest.raises(ForgeError):
        github.create_comment(PULL, "text")
    assert forge_server.bodies("issues/7") == ["text"]


def test_the_server_notes_what_github_would_not_take(
    forge_server: ForgeServer, github: GitHub
) -> None:
    with pytest.raises(ForgeError, match="404"):
        github._ask("GET", f"{github._root}/status")
    github._ask("POST", github._list(PULL), {"body": "text", "bold": True})
    assert len(forge_server.violations) == 2
    forge_server.violations.clear()


def test_a_commit_that_nobody_pushed_has_no_status(
    forge_server: ForgeServer, github: GitHub
) -> None:
    said = f"No commit found for SHA: {SHA}"
    forge_server.faults.append(Fault("GET", "statuses", 422, message=said))
    assert github.status(SHA, "a") is None


def test_who_asks_is_not_guessed_while_the_server_fails(
    forge_server: ForgeServer, github: GitHub
) -> None:
    """Else a person's comments would not be found, and doubled."""
    forge_server.login = "ada"
    forge_server.add_comment("issues/7", "hers", login="ada", kind="User")
    forge_server.faults += [Fault("GET", "/user", 500)] * 5
    with pytest.raises(ForgeError, match="500"):
        github.comments(PULL)


def test_a_server_that_is_away_is_named() -> None:
    away = GitHub(REPOSITORY, token=TOKEN, address="http://127.0.0.1:9")
    with pytest.raises(ForgeError, match=r"GET http://127\.0\.0\.1:9/\S+: no answer"):
        away.status(SHA, "a")


def test_a_missing_permission_is_named(
    forge_server: ForgeServer, github: GitHub
) -> None:
    comment = github.create_comment(Commit(SHA), "text")
    with pytest.raises(ForgeError, match=r"status 403.*contents: write"):
        github.edit_comment(Commit(SHA), comment, "other")


def test_no_error_repeats_the_token(forge_server: ForgeServer) -> None:
    wrong = GitHub(REPOSITORY, token="wrong-canary", address=forge_server.url)
    with pytest.raises(ForgeError, match="401") as caught:
        wrong.status(SHA, "a")
    assert "canary" not in str(caught.value)
    assert "canary" not in repr(wrong)


def test_a_list_that_goes_on_elsewhere_does_not_take_the_token_there(
    forge_server: ForgeServer, github: GitHub
) -> None:
    fault = Fault(
        "GET", "comments", 200, headers={"Link": '<http://a.test/>; rel="next"'}
    )
    forge_server.faults.append(fault)
    with pytest.raises(ForgeError, match="on another server"):
        github.comments(PULL)


def test_a_redirect_is_not_followed(forge_server: ForgeServer, github: GitHub) -> None:
    fault = Fault("GET", "statuses", 302, headers={"Location": "http://a.test/"})
    forge_server.faults.append(fault)
    with pytest.raises(ForgeError, match="status 302"):
        github.status(SHA, "a")


def test_the_token_does_not_go_over_the_network_unencrypted() -> None:
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
