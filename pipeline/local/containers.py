"""Steps in containers: what KFP's DockerRunner must be told, and how to stop them."""

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pipeline.dag.lean_kfp import import_kfp
from seglib.environment import CACHE
from seglib.errors import SegError

_LABEL = "seglib.run"
_CREDENTIALS = ("AWS_", "MLFLOW_TRACKING_")
_REMEDY = "Start the engine, or run with --runner subprocess."


def find_image() -> tuple[str, str]:
    """The image's id, "sha256:…", and the commit that it was built from.

    The steps run the code inside it, not that of this checkout.

    Raises:
        SegError: no engine, or no such image.
    """
    import docker

    import_kfp()
    from components.base import IMAGE

    with _client() as client:
        try:
            image = client.images.get(IMAGE)
        except docker.errors.ImageNotFound as error:
            raise SegError(
                f"There is no image {IMAGE}. Build it with `make image`."
            ) from error
        labels = image.labels or {}
        return str(image.id), labels.get("org.opencontainers.image.revision", "")


def container_settings(run: str, *, runs: Path, remote: str) -> dict[str, Any]:
    """What `docker_runner` needs, as JSON values.

    Everything is mounted at its own path, so that a path means the same inside and
    outside: the folder of runs and the cache of fetched data to write, a dataset's
    folder or remote to read.
    """
    cache = Path(os.environ.get(CACHE) or Path.home() / ".cache" / "seglib")
    cache.mkdir(parents=True, exist_ok=True)
    mounts = {str(runs.resolve()): False, str(cache.resolve()): False}
    if not remote.startswith("s3://"):
        mounts[remote] = True
    return {
        "mounts": mounts,
        "user": f"{os.getuid()}:{os.getgid()}",  # nobody wants files of root's
        "labels": {_LABEL: run},
        "environment": {
            CACHE: str(cache.resolve()),
            "HOME": "/tmp",  # the user id has no home inside
        },
    }


def docker_runner(
    *,
    mounts: dict[str, bool],
    user: str,
    labels: dict[str, str],
    environment: dict[str, str],
    network: str = "",
) -> Any:
    """KFP's runner. Its `environment` is the steps': it overrides a task's own.

    Credentials come from this process' environment: what is handed over is written
    to a file.
    """
    from docker.types import Mount
    from kfp.local import DockerRunner

    own = {k: v for k, v in os.environ.items() if k.startswith(_CREDENTIALS)}
    return DockerRunner(
        mounts=[
            Mount(path, path, type="bind", read_only=read_only)
            for path, read_only in mounts.items()
        ],
        user=user,
        labels=labels,
        environment=own | environment,
        init=True,  # or a stopped step lingers: process 1 has no default handlers
        **({"network_mode": network} if network else {}),
    )


def network_to(tracking_uri: str) -> str:
    """The network in which a container reaches a server; empty: the engine's own."""
    host = urlsplit(tracking_uri).hostname or ""
    return "host" if host in ("localhost", "127.0.0.1", "::1") else ""


def stop_containers(run: str) -> None:
    """Stop what still runs: containers outlive the process that started them."""
    with _client() as client:
        for container in client.containers.list(filters={"label": f"{_LABEL}={run}"}):
            container.kill()


@contextmanager
def _client() -> Iterator[Any]:
    import docker

    try:
        client = docker.from_env()
    except docker.errors.DockerException as error:
        raise SegError(f"No container engine answers ({error}). {_REMEDY}") from error
    with closing(client):
        yield client
