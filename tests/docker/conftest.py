"""The container engine, with the image; a test that needs it skips without."""

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import docker
import pytest

from components.base import IMAGE


@pytest.fixture(scope="session")
def engine() -> Iterator[Any]:
    try:
        client = docker.from_env()
    except docker.errors.DockerException as error:
        pytest.skip(f"No container engine answers ({error}). Start one, e.g. dockerd.")
    with closing(client):
        try:
            client.images.get(IMAGE)
        except docker.errors.ImageNotFound:
            pytest.skip(f"There is no image {IMAGE}. Build it with `make image`.")
        yield client
