"""The commands that ask MLflow, while it is away, refuses, or is something else."""

import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from pipeline.__main__ import app
from seglib.environment import TRACKING_URI
from seglib.errors import SegError
from seglib.tracking.mlflow_client import explained
from seglib.tracking.tracked_run import TrackedRun
from tests.fakes.loopback import Answering, Reply
from tests.fakes.servers import free_port

pytestmark = pytest.mark.filterwarnings(
    # MLflow's own use of SQLAlchemy.
    "ignore:The ``noload`` loader strategy is deprecated"
)
CANARY = "c@n:ary"
OPENING = {"kind": "open", "run": "run", "time_ms": 1, "parameters": {}}
COMMANDS = (
    ("compare", "latest"),
    ("reproduce", "latest"),
    ("rollback",),
    ("publish",),
    ("verify-lineage",),
    ("track", "run"),
)
Answer = tuple[int, str, str]
HTML, JSON = "text/html", "application/json"


@pytest.fixture
def said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], dict[str, str]]:
    """What each command says of a store, in one line and without the password."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    for name in ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"):
        monkeypatch.setenv(name, "")  # put back what the address changes
    messages = Path("run/events.jsonl")
    messages.parent.mkdir()
    messages.write_text(json.dumps(OPENING) + "\n")

    def call(uri: str) -> dict[str, str]:
        texts = {}
        for command in COMMANDS:
            monkeypatch.setenv(TRACKING_URI, uri)
            done = CliRunner().invoke(app, list(command))
            assert done.exit_code != 0
            text = done.output
            if not isinstance(done.exception, SystemExit):
                assert isinstance(done.exception, SegError), "no traceback"
                text = str(done.exception)
                assert "\n" not in text
            texts[command[0]] = text
        written = "".join(p.read_text() for p in Path("run").iterdir())
        for part in ("ary", "c@n", "c%40n"):
            assert part not in written + "".join(texts.values())
        return texts

    return call


@pytest.mark.parametrize(
    ("answer", "meaning"),
    [
        ((200, HTML, "<html>Hello</html>"), "is something else than an MLflow server"),
        ((404, HTML, "<html>Where?</html>"), "is something else than an MLflow server"),
        ((302, HTML, ""), "is something else than an MLflow server"),
        ((401, HTML, "<html>Log in</html>"), "refuses the login"),
        ((403, JSON, '{"error_code": "PERMISSION_DENIED"}'), "refuses the login"),
        ((403, "text/plain", "Invalid Host header"), "does not know the name under wh"),
        ((500, HTML, "<html>Sorry</html>"), "fails. Its own log says why"),
        ((500, JSON, '{"error_code": "INTERNAL_ERROR"}'), "fails. Its own log says"),
    ],
    ids=lambda value: f"{value[0]} {value[1]}" if isinstance(value, tuple) else "",
)
def test_each_command_says_what_is_wrong_with_the_server(
    answer: Answer, meaning: str, said: Any
) -> None:
    status, kind, text = answer
    reply = Reply(status, text, {"Content-Type": kind})
    with Answering(lambda _: reply) as server:
        uri = server.url.replace("://", f"://me:{CANARY}@")
        for command, told in said(uri).items():
            assert f"MLflow at {server.url} {meaning}" in told, command


@pytest.mark.parametrize("scheme", ["http", "postgresql+pg8000"])
def test_each_command_says_that_nothing_answers(scheme: str, said: Any) -> None:
    place = f"127.0.0.1:{free_port()}/mlflow"
    for command, text in said(f"{scheme}://me:{CANARY}@{place}").items():
        wrong = f"MLflow at {scheme}://{place} does not answer: the connection is ref"
        assert wrong in text, command


@pytest.mark.parametrize(
    ("uri", "wrong"),
    [
        ("file:///tmp/mlruns", "a folder, and MLflow 3 keeps no runs in folders"),
        ("mlruns", "a folder, and MLflow 3 keeps no runs in folders"),
        (f"http://me:{CANARY}/@host", "is no address of a server"),
        (f"gopher://me:{CANARY}@host", "MLflow has no store for gopher://"),
    ],
)
def test_each_command_refuses_what_can_never_be_a_store(
    uri: str, wrong: str, said: Any
) -> None:
    for command, text in said(uri).items():
        assert wrong in text, command


@pytest.mark.parametrize("command", ["run", "sweep --set epochs=1,2"])
@pytest.mark.parametrize("uri", ["file:///tmp/mlruns", "sqlite:///notes.txt"])
def test_no_training_starts_without_a_store_that_can_be(
    command: str,
    uri: str,
    tiny_root: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("notes.txt").write_text("These are my notes, and no database at all. " * 9)
    monkeypatch.setenv(TRACKING_URI, uri)
    options = [*command.split(), "--data", str(tiny_root)]
    done = CliRunner().invoke(app, options)
    assert isinstance(done.exception, SegError)
    assert not Path("runs").exists()


def test_an_unknown_host_is_named() -> None:
    with pytest.raises(OSError) as failed:  # noqa: PT011
        socket.getaddrinfo("host.invalid", 80, flags=socket.AI_NUMERICHOST)
    text = explained(failed.value, "http://host.invalid")
    assert text.startswith("MLflow at http://host.invalid has an unknown host. Check")


def test_a_deleted_experiment_is_restored_and_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(TRACKING_URI, raising=False)
    monkeypatch.chdir(tmp_path)
    messages = Path("runs/run/events.jsonl")
    messages.parent.mkdir(parents=True)
    messages.write_text(json.dumps(OPENING) + "\n")
    row = TrackedRun(f"sqlite:///{tmp_path}/runs/mlflow.db", "before", time_ms=1)
    row._client.delete_experiment(row.experiment_id)
    restore = f"mlflow experiments restore --experiment-id {row.experiment_id}"
    for command in (("compare",), ("reproduce", "before"), ("track", "runs/run")):
        done = CliRunner().invoke(app, list(command))
        assert done.exit_code != 0
        assert restore in f"{done.exception} {done.output}", command
    row._client.restore_experiment(row.experiment_id)
    assert CliRunner().invoke(app, ["compare", "before"]).exit_code == 0
    row._client._tracking_client.store._dispose_engine()
