"""Steps in containers: their image, KFP's runner of them, and how to stop them."""

import os
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pipeline.dag.compile import import_kfp
from seglib.environment import CACHE, TRACKING_URI
from seglib.errors import SegError

_LABEL = "seglib.run"
_CREDENTIALS = ("AWS_", "MLFLOW_TRACKING_")
_HERE = ("localhost", "127.0.0.1", "::1")
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


def docker_runner(folder: Path, *, remote: str, told: Mapping[str, str]) -> Any:
    """KFP's runner, for the steps of a run.

    Everything is mounted at its own path, so that a path means the same inside and
    outside: the folder of runs and the cache of fetched data to write, a dataset's
    folder or remote to read. Credentials are those of this process.

    Args:
        folder: of the run, in the folder of runs.
        told: further variables of the steps.
    """
    from docker.types import Mount
    from kfp.local import DockerRunner

    cache = Path(os.environ.get(CACHE) or Path.home() / ".cache" / "seglib").resolve()
    cache.mkdir(parents=True, exist_ok=True)
    read_only = {str(folder.parent): False, str(cache): False}
    if not remote.startswith("s3://"):
        read_only[remote] = True
    own = {k: v for k, v in os.environ.items() if k.startswith(_CREDENTIALS)}
    server = urlsplit(os.environ.get(TRACKING_URI, "")).hostname
    return DockerRunner(
        mounts=[
            Mount(path, path, type="bind", read_only=only)
            for path, only in read_only.items()
        ],
        user=f"{os.getuid()}:{os.getgid()}",  # nobody wants files of root's
        labels={_LABEL: folder.name},
        # It overrides a task's own. The user id has no home inside.
        environment={**own, CACHE: str(cache), "HOME": "/tmp", **told},
        init=True,  # or a stopped step lingers: process 1 has no default handlers
        **({"network_mode": "host"} if server in _HERE else {}),
    )


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
