"""A forge, KFP and MLflow on loopback, and commands that meet them."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pipeline.ci.github import HEADERS, GitHub
from pipeline.ci.http import Api
from tests.fakes.forge_server import (
    REPOSITORY,
    TOKEN,
    ForgeServer,
    serve_forge,
)
from tests.fakes.kfp_api import KfpApi
from tests.pipeline.ci.nursery import Command, Nursery
from tests.pipeline.ci.world import (
    KFP_TOKEN,
    Tracking,
    World,
    new_tracking,
    new_world,
)


@pytest.fixture
def forge_server() -> Iterator[ForgeServer]:
    with serve_forge() as server:
        yield server


@pytest.fixture
def github(forge_server: ForgeServer) -> GitHub:
    api = Api(forge_server.uri, token=TOKEN, headers=HEADERS, pause_s=0.01)
    return GitHub(api, REPOSITORY)


@pytest.fixture(scope="session")
def nursery(
    tmp_path_factory: pytest.TempPathFactory, repository: Path
) -> Iterator[Nursery]:
    nursery = Nursery(tmp_path_factory.mktemp("nursery"), repository)
    yield nursery
    nursery.close()


@pytest.fixture(scope="session")
def tracking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tracking]:
    with new_tracking(tmp_path_factory.mktemp("tracking")) as tracking:
        yield tracking


@pytest.fixture
def kfp() -> Iterator[KfpApi]:
    with KfpApi(token=KFP_TOKEN) as api:
        yield api
    assert not api.violations


@pytest.fixture
def world(tmp_path: Path, forge_server: ForgeServer, kfp: KfpApi) -> World:
    return new_world(tmp_path, forge_server, kfp)


@pytest.fixture
def run(world: World, nursery: Nursery) -> Callable[..., Command]:
    """Runs a command to its end, and checks its exit status."""

    def run(*words: str, status: int = 0, **changes: str) -> Command:
        environment = {**world.environment, **changes}
        command = nursery.start(words, folder=world.git.root, environment=environment)
        assert command.go().wait() == status, command.output
        return command

    return run
