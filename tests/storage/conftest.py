"""A dataset that DVC itself pinned and pushed, to a folder and to an S3 server."""

import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from seglib.storage.backends import ChangedObjectError
from seglib.storage.pins import read_pin

BUCKET = "datasets"
FILES = {
    "dataset.yaml": b"class_names: [road, car]\n",
    "train_images/a.png": b"\x89PNG" + bytes(range(256)) * 40,
    "train_images/deep/er/b.png": b"b" * 3_000_000,  # more than one chunk
    "train_segmentation/a.png": b"same bytes",
    "test_images/c.png": b"same bytes",
    "test_images/stra\u00dfe \u8857\u9053 .png": b"unicode",
    "test_images/Z.PNG": b"capitals sort first",
    "test_images/.hidden": b"hidden",
    "test_images/empty.png": b"",
}

_DVC = """
import sys
from dvc.cli import main
for command in (
    "init --quiet --no-scm",
    "config --quiet core.analytics false",
    "remote add --quiet --default here remote",
    f"remote add --quiet s3 s3://{sys.argv[1]}/some/prefix",
    "add --quiet data",
    "push --quiet",
    "push --quiet --remote s3",
):
    if main(command.split()):
        sys.exit(command)
"""


@dataclass(frozen=True)
class Pinned:
    """A DVC repository with one dataset in it."""

    repository: Path
    files: dict[str, bytes]
    s3: str

    @property
    def data(self) -> Path:
        return self.repository / "data"

    @property
    def md5(self) -> str:
        return read_pin(self.repository / "data.dvc")

    @property
    def remote(self) -> Path:
        return self.repository / "remote"


@pytest.fixture
def dvc_alone(tmp_path, monkeypatch) -> None:
    """No configuration of DVC but the test's own."""
    for level in ("GLOBAL", "SYSTEM"):
        monkeypatch.setenv(f"DVC_{level}_CONFIG_DIR", str(tmp_path / level.lower()))
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path / "site"))


@pytest.fixture
def data_md5(pinned) -> str:
    return pinned.md5


@pytest.fixture(scope="session")
def count_at_once() -> Callable[[Any], int]:
    """Adds one to an object forty times, by eight threads: what it is then."""

    def count(remote: Any) -> int:
        remote.write("count", b"0")

        def add(_: int) -> None:
            while True:
                content, etag = remote.read("count")
                try:
                    remote.write("count", b"%d" % (int(content) + 1), if_match=etag)
                except ChangedObjectError:
                    continue
                return

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(add, range(40)))
        return int(remote.read("count").content)

    return count


@pytest.fixture(scope="session")
def pinned(s3_server: str, tmp_path_factory: pytest.TempPathFactory) -> Pinned:
    repository = tmp_path_factory.mktemp("repository")
    for path, content in FILES.items():
        target = repository / "data" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    home = tmp_path_factory.mktemp("home")
    alone = {"DVC_GLOBAL_CONFIG_DIR": home, "DVC_SYSTEM_CONFIG_DIR": home}
    subprocess.run(
        [sys.executable, "-c", _DVC, BUCKET],
        cwd=repository,
        env={**os.environ, **alone, "DVC_SITE_CACHE_DIR": str(home)},
        check=True,
    )
    return Pinned(repository, FILES, f"s3://{BUCKET}/some/prefix")
