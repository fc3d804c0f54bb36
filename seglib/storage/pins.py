"""The pin of a dataset in its repository, and the remote of its files."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

from seglib.errors import SegError
from seglib.storage.documents import MAX_BYTES, parse_yaml, read_yaml
from seglib.storage.dvc_config import CLOUD_VERSIONED, remote_url
from seglib.storage.files import read_file
from seglib.storage.hashes import FOLDER_HASH, repository_of, require_hash

_PIN = "data.dvc"
_MALFORMED = (AttributeError, LookupError, TypeError, ValueError)


@dataclass(frozen=True)
class Pin:
    """DVC's pin of one folder."""

    md5: str  # `<md5>.dir`
    folder: Path  # where the dataset is on this machine, if it is here
    remote: str = ""  # the name of its own remote; "": the default remote
    imported_from: str = ""  # the repository of `dvc import`
    is_legacy: bool = False  # of DVC 2


def load_pin(path: Path) -> Pin:
    """A pin such as `data.dvc`.

    Raises:
        SegError: no such file, or not DVC's pin of one folder.
    """
    path = Path(path)
    try:
        content = read_file(path, max_bytes=MAX_BYTES)
    except OSError as error:
        raise SegError(
            f"{path}: the pin cannot be read ({error.strerror}). {_no_pin(path)}"
        ) from error
    return _parse_pin(content, path, str(path))


def read_pin(path: Path) -> str:
    """The dataset hash, `<md5>.dir`, that a pin states; raises as `load_pin` does."""
    return load_pin(path).md5


def pin_at(revision: str, path: Path) -> str:
    """The dataset hash that a pin stated at a revision of its git repository.

    Args:
        revision: whatever git takes (`main`, `HEAD~3`, a tag, a commit), or the hash
            of a dataset itself, which is returned as it is.

    Raises:
        SegError: no such revision, no pin in it, or no git.
    """
    if FOLDER_HASH.fullmatch(revision):
        return revision
    path = Path(path)
    name = f"{revision}:{path.name}"
    try:
        done = subprocess.run(
            ["git", "show", "--end-of-options", f"{revision}:./{path.name}"],
            cwd=path.parent,
            capture_output=True,
            check=False,
        )
    except OSError as error:
        raise SegError(
            f"{name}: git is needed to read a revision, and cannot be run "
            f"({error.strerror}). Give the dataset's hash, `<md5>.dir`, instead."
        ) from error
    if done.returncode:
        told = done.stderr.decode(errors="replace").strip()
        raise SegError(
            f"{name}: git does not know it: {told} Expected a revision "
            f"in which {path.name} is committed, or the dataset's hash, `<md5>.dir`."
        )
    return _parse_pin(done.stdout, path, name).md5


def default_remote(place: Path) -> str:
    """Where the dataset of a pin is: a remote's URL with its settings, or a path.

    Args:
        place: the pin; or the folder of `data.dvc`, in a DVC repository.

    Raises:
        SegError: no DVC repository, no such remote, or one that is not read here; or
            the pin is an import, whose files DVC pushes to no remote of its own.
    """
    place = Path(place)
    folder, pin = (place, place / _PIN) if place.is_dir() else (place.parent, place)
    own = load_pin(pin) if pin.is_file() else None
    if own and own.imported_from:
        raise SegError(
            f"{pin}: an import from {own.imported_from} (`dvc import`), whose files "
            "DVC does not push to a remote of this repository. Name the remote of that "
            "repository with --remote, or make the data this repository's own: remove "
            f"{pin.name}, then `dvc add {own.folder.name}` and `dvc push`."
        )
    repository = repository_of(folder) or folder
    return remote_url(repository, own.remote if own else "")


def _no_pin(path: Path) -> str:
    """The remedy for an unreadable pin; DVC's pipelines pin in dvc.lock."""
    try:
        lock = read_yaml(path.parent / "dvc.lock")
        for stage, content in lock["stages"].items():
            for out in content["outs"]:
                if out["path"] == path.stem:
                    return (
                        f"{path.stem} is an output of the stage {stage} in dvc.yaml, "
                        f"and has no pin of its own. Give its hash, {out['md5']}, in "
                        "place of the revision."
                    )
    except _MALFORMED:  # a SegError is a ValueError
        pass
    return "`dvc add` writes it."


def _parse_pin(text: bytes, path: Path, name: str) -> Pin:
    """The pin; `name` is that of the file, for messages."""
    content = parse_yaml(text, name=name, remedy="`dvc add FOLDER` writes a pin.")
    try:
        outs, dependencies = content["outs"], content.get("deps") or ()
        if len(outs) > 1:
            paths = ", ".join(str(out["path"]) for out in outs)
            raise SegError(
                f"{name}: not a pin of one folder, but of {len(outs)} outputs "
                f"({paths}). Pin the dataset's folder alone with `dvc add FOLDER`."
            )
        (out,) = outs
        if "files" in out or "cloud" in out:
            raise SegError(f"{name}: {CLOUD_VERSIONED}")
        origin = ""  # of `dvc import` or `dvc import-url`
        for one in dependencies:
            origin = str((one.get("repo") or {}).get("url") or one.get("path"))
        if origin and not out.get("md5"):
            raise SegError(
                f"{name}: an import from {origin} without its data, which DVC has not "
                f"downloaded. Run `dvc update {path.name}`, and then `dvc push`."
            )
        if out.get("cache") is False or out.get("push") is False:
            raise SegError(
                f"{name}: its output is kept out of the remote (`cache: false` or "
                "`push: false`). Pin the folder with `dvc add FOLDER`."
            )
        where = str(out.get("path") or path.stem)
        from_repository = any("repo" in one or "db" in one for one in dependencies)
        return Pin(
            md5=require_hash(str(out["md5"]), where=f"{name}: "),
            folder=path.parent / str(content.get("wdir") or "") / where,
            remote=str(out.get("remote") or ""),
            imported_from=origin if from_repository else "",
            is_legacy="hash" not in out,
        )
    except SegError:
        raise
    except _MALFORMED as error:
        raise SegError(
            f"{name}: not a pin of one folder. Expected DVC's `outs:` with one `md5:`. "
            "`dvc add FOLDER` writes such a file."
        ) from error
