"""A forge on loopback, and a client of it that waits as shortly as tests like."""

from collections.abc import Iterator

import pytest

from pipeline.retraining.github import HEADERS, GitHub
from pipeline.retraining.http import Api
from tests.retraining.forge_server import (
    REPOSITORY,
    TOKEN,
    ForgeServer,
    serve_forge,
)


@pytest.fixture
def forge_server() -> Iterator[ForgeServer]:
    with serve_forge() as server:
        yield server


@pytest.fixture
def github(forge_server: ForgeServer) -> GitHub:
    api = Api(forge_server.uri, token=TOKEN, headers=HEADERS, pause_s=0.01)
    return GitHub(api, REPOSITORY)
