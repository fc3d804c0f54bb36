"""A password in MLFLOW_TRACKING_URI works, and nothing says or keeps it."""

import base64
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.e2e.conftest import SETTINGS
from tests.fakes.servers import MlflowServer, Proxy

pytestmark = pytest.mark.slow
PARTS = ("kx9left", "zq7right")
PASSWORD = f"{PARTS[0]}@%:/?#{PARTS[1]}"
LOGIN = f"me:{PASSWORD}"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    server = MlflowServer(tmp_path_factory.mktemp("server"))
    server.start()
    yield server
    server.kill()


def test_no_message_log_or_file_holds_the_password(
    server: MlflowServer, tiny_root: Path, tmp_path: Path, repository: Path
) -> None:
    proxy = Proxy(server.uri, login=LOGIN)
    host = proxy.uri.removeprefix("http://")
    texts = []

    def pipeline(*arguments: str, password: str = quote(PASSWORD, safe="@")) -> str:
        """All that a command prints, with its exit status before it."""
        done = subprocess.run(
            [sys.executable, "-m", "pipeline", *arguments],
            cwd=tmp_path,
            env={
                **os.environ,
                "PYTHONPATH": str(repository),
                "MLFLOW_TRACKING_URI": f"http://me:{password}@{host}",
                "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        texts.append(f"{done.returncode} {done.stdout}")
        return texts[-1]

    settings = [part for k, v in SETTINGS.items() for part in ("--set", f"{k}={v}")]
    run = ("run", "--data", str(tiny_root), *settings)
    text = pipeline(*run)
    assert text.startswith("0 ")
    assert "is the champion, the first" in text
    assert "wait" not in text, "it is tracked"
    assert pipeline("compare").startswith("0 ")
    assert pipeline("verify-lineage").startswith("0 ")
    assert pipeline("publish", "--to", str(tmp_path / "there")).startswith("0 ")
    assert "its first champion" in pipeline("rollback")
    assert "reproduced" in pipeline("reproduce", "latest")
    assert pipeline("compile", "-o", "pipeline.yaml", "--allow-tag").startswith("0 ")
    pipeline("doctor", "pipeline.yaml")
    everywhere = ("compare", "verify-lineage", "publish", "rollback")
    other = f"{PARTS[1]}{PARTS[0]}"
    for command in everywhere:
        assert "refuses the login" in pipeline(command, password=other)
    text = pipeline(*run, password=other)
    assert text.startswith("0 ")
    assert "refuses the login" in text
    assert "event(s) sent, 0 left" in pipeline("track", "runs/latest")
    proxy.close()
    for command in everywhere:
        assert "does not answer" in pipeline(command)
    assert "Once that is solved" in pipeline(*run)
    login = base64.b64encode(LOGIN.encode()).decode()
    files = [*tmp_path.rglob("*"), *server.folder.rglob("*")]
    kept = {str(path): path.read_bytes() for path in files if path.is_file()}
    for part in (*PARTS, login):
        assert part not in "".join(texts)
        assert [name for name, text in kept.items() if part.encode() in text] == []
