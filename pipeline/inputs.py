"""What a run computes on: its data, its settings, and the code that does it."""

import hashlib
import importlib.metadata
import os
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from seglib.config import Config
from seglib.errors import SegError, UsageError

REPOSITORY = Path(__file__).resolve().parent.parent
PIN = "data.dvc"
# Their versions change results as code does.
_LIBRARIES = (
    "albumentations",
    "grain",
    "keras",
    "numpy",
    "opencv-python-headless",
    "tensorflow",
)
_SOURCES = (".py", ".html", ".jinja", ".j2", ".css")


@dataclass(frozen=True, kw_only=True)
class Data:
    """A dataset: its hash, and where its files are."""

    data_md5: str
    remote: str
    title: str  # as a person calls it


def find_data(folder: Path | None) -> Data:
    """The dataset of a run.

    Args:
        folder: in the dataset format; it is hashed as DVC would. Default: what the
            repository's data.dvc pins, from the repository's own DVC remote.

    Raises:
        SegError: no such folder, or no pin to go by.
    """
    from seglib.store import default_remote, hash_folder, read_pin

    if folder is None:
        place = next((p for p in (Path.cwd(), REPOSITORY) if (p / PIN).exists()), None)
        if place is None:
            raise SegError(
                f"No {PIN} in {Path.cwd()}. Run in a clone of the repository, or name "
                "a dataset's folder with --data."
            )
        pin = place / PIN
        return Data(
            data_md5=read_pin(pin),
            remote=default_remote(place),
            title=f"pinned by {PIN}",
        )
    if not folder.is_dir():
        raise SegError(
            f"{folder}: no such folder. Expected one that holds train_images/ and "
            "train_segmentation/ (see docs/data-format.md)."
        )
    root = folder.resolve()
    if not any(root.iterdir()):
        raise SegError(
            f"{folder}: the folder is empty. Expected train_images/ and "
            "train_segmentation/ (see docs/data-format.md)."
        )
    return Data(data_md5=hash_folder(root), remote=str(root), title=str(folder))


def find_settings(file: Path | None, changes: Iterable[str] = ()) -> Config:
    """The configuration of a run.

    Args:
        file: YAML; `None` gives the defaults.
        changes: "name=value" each, on top of the file.

    Raises:
        UsageError: an unknown name (the nearest is named) or an unfit value.
    """
    flat: dict[str, Any] = Config.load(file).flat()
    for change in changes:
        name, equals, text = change.partition("=")
        if not equals:
            raise UsageError(
                f"Expected name=value. Received: {change!r}. Try --set epochs=5."
            )
        flat[name.strip()] = _parse(text.strip(), like=flat.get(name.strip()))
    return Config.from_flat(flat)


def check_publication(
    config: Config, *, docker: bool = False, elsewhere: bool = False
) -> None:
    """See that the export of a run can be published, before anything is trained.

    Args:
        docker: the steps run in containers.
        elsewhere: they run on a cluster, whose folders are not looked for here.

    Raises:
        SegError: there is no such place, or it cannot be written to.
    """
    from components.publication import absolute
    from seglib.store import check_place

    place = config.export.publish_to
    if docker and place and "://" not in place:
        raise SegError(
            f"`publish_to` is a folder of this machine, which a container does not "
            f"see. Expected s3://bucket/prefix. Received: publish_to={place!r}."
        )
    if place and not (elsewhere and "://" not in place):
        check_place(absolute(place), config.export.publish_name)


def code_version() -> str:
    """A hash of what computes: the sources of seglib and components, and libraries.

    It is a parameter of every cached step: KFP's cache knows nothing of these files,
    and would reuse what older code made.
    """
    digest = hashlib.sha256()
    for package in ("seglib", "components"):
        root = REPOSITORY / package
        for path in sorted(p for p in root.rglob("*") if p.suffix in _SOURCES):
            digest.update(f"{path.relative_to(REPOSITORY).as_posix()}\n".encode())
            digest.update(path.read_bytes())
    for library in _LIBRARIES:
        digest.update(f"{library}=={importlib.metadata.version(library)}\n".encode())
    return digest.hexdigest()[:16]


def git_commit() -> str:
    """The commit of the code, "-dirty" where files differ from it; empty if unknown."""
    baked = os.environ.get("GIT_COMMIT", "")
    try:
        done = subprocess.run(
            ["git", "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*"],
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return baked
    return done.stdout.strip()


def _parse(text: str, *, like: Any) -> Any:
    if isinstance(like, str):
        return text
    try:
        return float(text) if isinstance(like, float) else yaml.safe_load(text)
    except (ValueError, yaml.YAMLError):
        return text  # the check of its type will say what is wrong
