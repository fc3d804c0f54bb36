"""MLFLOW_TRACKING_URI as people write it."""

import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seglib.environment import TRACKING_URI
from seglib.errors import UsageError
from seglib.plain_text import without_login
from seglib.tracking.mlflow_address import split_login, tracking_uri

CANARY = "can@ry"
LOGIN = ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD")


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in (TRACKING_URI, *LOGIN):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    return monkeypatch


@pytest.mark.parametrize(
    ("given_password", "password"),
    [
        ("secret", "secret"),
        ("can@ry", "can@ry"),
        ("can%40ry", "can@ry"),
        ("c:a:n", "c:a:n"),
        ("c%2Fa%3Fn%23", "c/a?n#"),
        ("100%", "100%"),
        ("пароль", "пароль"),
    ],
)
def test_a_login_moves_out_of_a_servers_address(
    given_password: str, password: str, environment: pytest.MonkeyPatch
) -> None:
    environment.setenv(TRACKING_URI, f" HTTP://me:{given_password}@host:5000/mlflow\n")
    for _ in range(2):  # what is called again finds the same
        assert tracking_uri() == "http://host:5000/mlflow"
        assert os.environ[TRACKING_URI] == "http://host:5000/mlflow"
        assert [os.environ[name] for name in LOGIN] == ["me", password]


@pytest.mark.parametrize(
    "uri",
    [
        "http://me:can/ary@host:5000",
        "http://me:12/ary@host",
        "http://me:can#ary@host",
        "http://me:can?ary@host",
        "http://me:can ary@host",
        "http://me:can\\ary@host",
        "http://canary:@host",
        "http://:canary@host",
        "http://me:canary@host:port",
        "http://me:canary@:80",
        "http://me:canary@[::1",
        "ftp://me:canary@host",
        "me:canary@host",
    ],
)
def test_an_invalid_address_is_refused_without_its_login(
    uri: str, environment: pytest.MonkeyPatch
) -> None:
    environment.setenv(TRACKING_URI, uri)
    with pytest.raises(UsageError, match=TRACKING_URI) as refused:
        tracking_uri()
    assert "ary" not in str(refused.value)


@pytest.mark.parametrize("uri", ["file:///tmp/mlruns", "mlruns", "./runs/mlruns"])
def test_a_folder_is_refused_with_a_remedy(
    uri: str, environment: pytest.MonkeyPatch
) -> None:
    environment.setenv(TRACKING_URI, uri)
    with pytest.raises(UsageError, match="MLflow 3 keeps no runs in folders") as told:
        tracking_uri()
    assert "sqlite:///" in str(told.value)
    environment.setenv("MLFLOW_ALLOW_FILE_STORE", "true")  # MLflow's own way out
    assert tracking_uri() == uri


@pytest.mark.parametrize(
    "uri",
    [
        "https://host",
        "http://[::1]:5000/a/b",
        "sqlite:////tmp/me@work/mlflow.db",
        "postgresql://me:pw@host/mlflow",
        "databricks",
        "databricks://profile",
    ],
)
def test_a_valid_address_is_not_changed(
    uri: str, environment: pytest.MonkeyPatch
) -> None:
    environment.setenv(TRACKING_URI, uri)
    assert tracking_uri() == uri


def test_without_the_variable_the_default_is_the_store(
    environment: pytest.MonkeyPatch,
) -> None:
    assert tracking_uri("sqlite:///x.db") == "sqlite:///x.db"
    assert tracking_uri() == ""


def test_a_databases_login_is_written_as_its_driver_reads_it() -> None:
    from sqlalchemy.engine import make_url

    for password in ("p@ss/w:rd", "p%40ss%2Fw%3Ard"):
        url = make_url(split_login(f"postgresql+pg8000://me:{password}@host/db")[0])
        assert (url.username, url.password, url.host) == ("me", "p@ss/w:rd", "host")


@settings(deadline=None)
@given(
    st.sampled_from(["http", "https", "postgresql", "mysql+pymysql", "socks5"]),
    st.text(st.characters(exclude_categories=("Z", "C")), min_size=1),
)
def test_messages_hold_no_password(scheme: str, password: str) -> None:
    hidden = f"0{CANARY}{password}{CANARY}0"
    text = f"at '{scheme}://me:{hidden}@host:80/x', twice: {scheme}://me:{hidden}@host"
    shown = without_login(text)
    assert shown == f"at '{scheme}://host:80/x', twice: {scheme}://host"
