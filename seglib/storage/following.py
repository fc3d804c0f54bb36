"""The newest publication of a name, in the folder that a model server watches.

TensorFlow Serving, for one, loads `<folder>/<version>/saved_model.pb` with the highest
version, and keeps looking for a higher one. So versions appear atomically, and later
publications have higher numbers.
"""

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

from seglib.errors import SegError
from seglib.storage.atomic_write import folder_beside
from seglib.storage.pointers import Pointer, latest
from seglib.storage.publishing import fetch_published

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def follow(
    url: str, name: str, folder: Path, *, part: str = "saved_model", keep: int = 2
) -> Path | None:
    """Fetch the newest publication of a name, unless it is there.

    Args:
        url: where it was published.
        name: its name.
        folder: of the versions. Nobody else writes into it.
        part: the folder within a publication that is served.
        keep: how many versions stay; the server may still answer from the last but
            one while it loads the newest.

    Returns:
        The new version's folder; None if the newest was there already.

    Raises:
        SegError: nothing was published under the name, the publication has no such
            part, the remote cannot be read, or the folder not be written. What was
            there stays.
    """
    pointer = latest(url, name)
    target = folder / _version(pointer)
    if target.is_dir():
        return None
    try:
        with folder_beside(folder) as beside:
            root = fetch_published(url, pointer.key, cache=beside)
            if not (root / part).is_dir():
                raise SegError(
                    f"{pointer.key} at {url} has no folder {part}, so it cannot be "
                    f"served. Expected an export. Publish one under the name {name}."
                )
            folder.mkdir(parents=True, exist_ok=True)
            (root / part).rename(target)
        for old in versions(folder)[:-keep]:
            shutil.rmtree(old)
    except OSError as error:
        raise SegError(f"{folder}: cannot be written ({error}).") from error
    return target


def versions(folder: Path) -> list[Path]:
    """The versions in a folder, the newest last."""
    found = folder.iterdir() if folder.is_dir() else ()
    return sorted(
        (path for path in found if path.name.isdecimal()),
        key=lambda path: int(path.name),
    )


def _version(pointer: Pointer) -> str:
    """The time of publication in microseconds since 1970, which 64 bits hold."""
    return str((pointer.moment - _EPOCH) // timedelta(microseconds=1))
