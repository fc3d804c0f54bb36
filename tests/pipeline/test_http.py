"""The one HTTP client of the pipeline, against a server that misbehaves."""

from collections.abc import Iterator

import pytest
import urllib3

from pipeline.http import Connection, Patience
from tests.fakes.loopback import Loopback, Reply, Request
from tests.fakes.servers import free_port

QUICK = Patience(tries=3, pause_s=0.01)


class Scripted(Loopback):
    """Answers in the given order, the last one for ever."""

    def __init__(self) -> None:
        super().__init__()
        self.replies = [Reply(200, "fine")]
        self.asked: list[str] = []

    def reply(self, request: Request) -> Reply:
        self.asked.append(f"{request.method} {request.path}")
        return self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]


@pytest.fixture
def server() -> Iterator[Scripted]:
    with Scripted() as server:
        yield server


@pytest.mark.parametrize("failure", [Reply(503), Reply(0)], ids=["busy", "dropped"])
def test_a_request_that_reads_is_repeated(server: Scripted, failure: Reply) -> None:
    server.replies[:0] = [failure, failure]
    answer = Connection(patience=QUICK).request("GET", f"{server.url}/a")
    assert (answer.status, answer.data) == (200, b"fine")
    assert server.asked == ["GET /a"] * 3


def test_the_last_answer_is_given_when_patience_ends(server: Scripted) -> None:
    server.replies = [Reply(503, "broken")]
    answer = Connection(patience=QUICK).request("GET", server.url)
    assert (answer.status, answer.data) == (503, b"broken")
    assert len(server.asked) == 4


def test_a_request_that_changes_something_is_sent_once(server: Scripted) -> None:
    server.replies[:0] = [Reply(503), Reply(0)]
    connection = Connection(patience=QUICK)
    assert connection.request("POST", server.url).status == 503
    with pytest.raises(urllib3.exceptions.ProtocolError):
        connection.request("POST", server.url)
    assert len(server.asked) == 2
    server.replies[:0] = [Reply(503)]
    assert connection.request("POST", server.url, repeatable=True).status == 200


def test_a_refusal_for_too_many_requests_is_repeated_whatever_it_was(
    server: Scripted,
) -> None:
    now = {"Retry-After": "0"}
    server.replies[:0] = [Reply(429), Reply(403, headers=now)]
    assert Connection(patience=QUICK).request("POST", server.url).status == 200


def test_a_limit_of_an_hour_is_not_waited_for(server: Scripted) -> None:
    server.replies = [Reply(429, headers={"Retry-After": "3600"})]
    assert Connection(patience=QUICK).request("GET", server.url).status == 429
    assert len(server.asked) == 1


def test_a_redirect_is_an_answer(server: Scripted) -> None:
    server.replies = [Reply(302, headers={"Location": f"{server.url}/login"})]
    assert Connection(patience=QUICK).request("GET", server.url).status == 302
    assert len(server.asked) == 1


def test_a_server_that_never_answered_is_not_waited_for() -> None:
    patience = Patience(tries=3, pause_s=100.0)
    with pytest.raises(urllib3.exceptions.MaxRetryError, match="refused"):
        Connection(patience=patience).request("GET", f"http://127.0.0.1:{free_port()}")


def test_pauses_double_up_to_the_longest() -> None:
    assert Patience(tries=5, pause_s=1, longest_s=4).pauses == [0, 2, 4, 4, 4]
