"""Weights of other places in the cache: fetched once, and checked at each use."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from seglib.errors import SegError
from seglib.storage.atomic_write import whole_folder
from seglib.storage.backends import MissingObjectError, Remote
from seglib.storage.files import cache_folder, file_sha256, model_digest
from seglib.storage.remotes import open_remote
from seglib.storage.transfers import resumed

CHECKSUMS = "sha256.json"
_CONTENT = "content"


@dataclass(frozen=True)
class Download:
    """Weights of another place; a path, wherever one is taken.

    address: of exactly this content where there is such an address.
    sha256: of the file; of a model, the digest over its network and contract.
    """

    address: str
    path: Path
    sha256: str

    def __fspath__(self) -> str:
        return str(self.path)

    def __str__(self) -> str:
        return self.address


def fetch_s3(address: str, *, cache: Path | None = None) -> Download:
    """Fetch an object, or all below a prefix, from s3://bucket/path?SETTINGS.

    The cache keeps it as long as the sizes and times of the objects are the same.

    Raises:
        SegError: there is nothing, or the store cannot be reached or refuses.
    """
    place, _, query = address.rstrip("/").partition("?")
    parent, _, name = place.rpartition("/")
    remote = open_remote(f"{parent}?{query}" if query else parent)
    try:
        objects = sorted(
            found
            for found in remote.objects(name)
            if found.key == name or found.key.startswith(f"{name}/")
        )
    except MissingObjectError:
        objects = []
    if not objects:
        raise SegError(
            f"{place}: there is no such object, and none below it. Expected a file of "
            "weights, or the folder of a model."
        )

    def bring(folder: Path) -> None:
        for found in objects:
            _copy(remote, found.key, found.size_bytes, folder)

    path = cached([place, objects], bring, cache=cache) / name
    return Download(address, path, digest_of(path))


def cached(
    identity: object,
    bring: Callable[[Path], None],
    *,
    cache: Path | None = None,
) -> Path:
    """A folder of the cache, made by `bring` if it is not there, or not whole.

    Args:
        identity: what tells its content apart, as JSON holds it.
    """
    name = hashlib.sha256(json.dumps(identity).encode()).hexdigest()
    folder = cache_folder(cache) / "weights" / name
    if not _is_whole(folder):
        with whole_folder(folder, what="download", marker=CHECKSUMS) as beside:
            (beside / _CONTENT).mkdir()
            bring(beside / _CONTENT)
            sums = json.dumps(_checksums(beside / _CONTENT), indent=2)
            (beside / CHECKSUMS).write_text(sums, encoding="utf-8")
    return folder / _CONTENT


def digest_of(path: Path) -> str:
    """The digest that `weights_sha256` names: of a file, or of a model; else empty."""
    if path.is_file():
        return file_sha256(path)
    is_model = (path / "contract.json").is_file() and (path / "model.keras").is_file()
    return model_digest(path) if is_model else ""


def _is_whole(folder: Path) -> bool:
    try:
        sums = json.loads((folder / CHECKSUMS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return bool(sums == _checksums(folder / _CONTENT))


def _checksums(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): file_sha256(path) for path in files}


def _copy(remote: Remote, key: str, size_bytes: int, folder: Path) -> None:
    if key.endswith("/") or ".." in PurePosixPath(key).parts:
        return  # a folder's own object, or a name that leads elsewhere
    target = folder / key
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("wb") as file:
        for chunk in resumed(remote, key):
            file.write(chunk)
    if target.stat().st_size != size_bytes:
        raise SegError(
            f"{remote.name(key)}: changed while it was fetched. Expected "
            f"{size_bytes:,} bytes. Received: {target.stat().st_size:,}. Try again."
        )
