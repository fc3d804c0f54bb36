"""A forge, KFP and MLflow on loopback, and commands that meet them."""

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pipeline.__main__ import main
from pipeline.ci.github import GitHub
from pipeline.http import Patience
from tests.fakes.forge_server import REPOSITORY, TOKEN, ForgeServer
from tests.fakes.kfp_api import KfpApi
from tests.pipeline.ci.world import KFP_TOKEN, Tracking, World, new_world


@pytest.fixture
def forge_server() -> Iterator[ForgeServer]:
    with ForgeServer() as server:
        yield server
    assert not server.violations


@pytest.fixture
def github(forge_server: ForgeServer) -> GitHub:
    patience = Patience(tries=4, pause_s=0.01)
    return GitHub(REPOSITORY, token=TOKEN, address=forge_server.url, patience=patience)


@pytest.fixture(scope="session")
def tracking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tracking]:
    tracking = Tracking(tmp_path_factory.mktemp("tracking"))
    yield tracking
    tracking.close()


@pytest.fixture
def kfp() -> Iterator[KfpApi]:
    with KfpApi(token=KFP_TOKEN) as api:
        yield api


@pytest.fixture
def world(tmp_path: Path, forge_server: ForgeServer, kfp: KfpApi) -> World:
    return new_world(tmp_path, forge_server, kfp)


@pytest.fixture
def run(
    world: World, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[..., str]:
    """Runs a command in the clone, checks its exit status, and gives its output."""

    def run(*words: str, status: int = 0, **changes: str) -> str:
        environment = {**world.environment, **changes}
        with monkeypatch.context() as patch:
            for name in list(os.environ):
                patch.delenv(name)
            for name, value in environment.items():
                patch.setenv(name, value)
            patch.chdir(world.git.root)
            patch.setattr(sys, "argv", ["pipeline", *words])
            with pytest.raises(SystemExit) as ended:
                main()
        output = "".join(capfd.readouterr())
        assert (ended.value.code or 0) == status, output
        return output

    return run
