"""What a repository says of its dataset: the pin, and where DVC keeps the bytes."""

import configparser
import re
import subprocess
from pathlib import Path

from seglib.documents import MAX_BYTES, parse_yaml
from seglib.errors import SegError
from seglib.files import read_file

_FOLDER_HASH = re.compile(r"[0-9a-f]{32}\.dir")
_CLOUD_VERSIONED = (
    "DVC's cloud versioning, which keeps files under their own names and versions, and "
    "not under their md5, is not read here. Expected an ordinary remote. Add one with "
    "`dvc remote add --default NAME URL`, and then `dvc add` and `dvc push`."
)


def read_pin(path: Path) -> str:
    """The dataset hash, `<md5>.dir`, that a pin such as `data.dvc` states.

    Raises:
        SegError: no such file, or not DVC's pin of one folder.
    """
    path = Path(path)
    try:
        content = read_file(path, max_bytes=MAX_BYTES)
    except OSError as error:
        raise SegError(
            f"{path}: the pin cannot be read ({error.strerror}). `dvc add` writes it."
        ) from error
    return _parse_pin(content, str(path))


def pin_at(revision: str, path: Path) -> str:
    """The dataset hash that a pin stated at a revision of its git repository.

    Args:
        revision: whatever git takes (`main`, `HEAD~3`, a tag, a commit), or the hash
            of a dataset itself, which is returned as it is.

    Raises:
        SegError: no such revision, no pin in it, or no git.
    """
    if _FOLDER_HASH.fullmatch(revision):
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
    return _parse_pin(done.stdout, name)


def _parse_pin(content: bytes, path: str) -> str:
    tree = parse_yaml(content, name=path, remedy="`dvc add FOLDER` writes a pin.")
    try:
        (out,) = tree["outs"]
        if "files" in out or "cloud" in out:
            raise SegError(f"{path}: {_CLOUD_VERSIONED}")
        data_md5 = str(out["md5"])
    except SegError:
        raise
    except (KeyError, TypeError, ValueError) as error:
        raise SegError(
            f"{path}: not a pin of one folder. Expected DVC's `outs:` with one `md5:`. "
            "`dvc add FOLDER` writes such a file."
        ) from error
    return require_hash(data_md5, where=f"{path}: ")


def default_remote(repository: Path) -> str:
    """The URL of the default remote in `.dvc/config` (and `.dvc/config.local`).

    Returns:
        A URL such as s3://bucket/prefix, or an absolute path.

    Raises:
        SegError: no DVC repository, no default remote, or a cloud-versioned one.
    """
    folder = Path(repository) / ".dvc"
    config = configparser.ConfigParser(interpolation=None, strict=False)
    try:
        config.read([folder / "config", folder / "config.local"], encoding="utf-8")
    except configparser.Error as error:
        raise SegError(f"{folder / 'config'}: cannot be read: {error}") from error
    name = config.get("core", "remote", fallback="")
    section = f"'remote \"{name}\"'"
    url = config.get(section, "url", fallback="")
    for option in ("version_aware", "worktree"):
        if config.get(section, option, fallback="").lower() in ("true", "yes", "1"):
            raise SegError(
                f"{folder / 'config'}: the remote {name} has `{option}` set: "
                f"{_CLOUD_VERSIONED}"
            )
    if not url:
        raise SegError(
            f"{folder / 'config'}: no default remote. Received: remote={name!r}. Set "
            "one with `dvc remote add --default NAME URL`."
        )
    if "://" in url:
        return url
    return str((folder / Path(url).expanduser()).resolve())


def require_hash(data_md5: str, *, where: str = "") -> str:
    """The hash, if it is one of a folder.

    Raises:
        SegError: it is not; the message begins with `where`.
    """
    if not _FOLDER_HASH.fullmatch(data_md5):
        raise SegError(
            f"{where}expected the hash of a folder, 32 hexadecimal digits and `.dir`. "
            f"Received: md5={data_md5!r}. Pin the whole dataset folder with `dvc add`."
        )
    return data_md5
