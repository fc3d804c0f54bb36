"""The remotes of a repository, from all levels of DVC's configuration.

DVC itself is not needed. A remote becomes one URL: s3://bucket/prefix, its settings
behind a `?` as DVC names them, or an absolute path. Secrets never are part of it.
"""

import configparser
import os
import re
import sys
from pathlib import Path
from urllib.parse import urlencode

from seglib.errors import SegError
from seglib.storage.backends.boto3_client import SETTINGS
from seglib.storage.documents import MAX_BYTES
from seglib.storage.files import read_file

CLOUD_VERSIONED = (
    "DVC's cloud versioning, which keeps files under their own names and versions, and "
    "not under their md5, is not read here. Expected an ordinary remote. Add one with "
    "`dvc remote add --default NAME URL`, and then `dvc add` and `dvc push`."
)
_REMOTE = re.compile(r'remote\s*"(.+)"')
_PATHS = ("credentialpath", "configpath")  # relative to their file, as `url` is
_SECRETS = ("access_key_id", "secret_access_key", "session_token")
_UNREAD = ("sse_customer_key", "sse_customer_algorithm")  # which reading needs, too

_Sections = dict[str, dict[str, str]]


def remote_url(repository: Path, name: str = "") -> str:
    """The URL of a remote, with its settings.

    Args:
        repository: the folder that holds `.dvc/`.
        name: of the remote. Default: the default remote.

    Raises:
        SegError: there is no such remote, it is of a type that is not read here, or
            its configuration cannot be read.
    """
    file = repository / ".dvc" / "config"
    sections = _load(repository)
    name = (name or sections.get("core", {}).get("remote", "")).lower()
    options = _resolve(sections, name, file)
    for option in ("version_aware", "worktree"):
        if options.get(option, "").lower() in ("true", "yes", "1", "on"):
            raise SegError(
                f"{file}: the remote {name} has `{option}` set: {CLOUD_VERSIONED}"
            )
    url = options["url"].removeprefix("file://")
    scheme, separator, _ = url.partition("://")
    if not separator:
        return url
    if scheme != "s3":
        raise SegError(
            f"{file}: the remote {name} is of the type {scheme}, which is not read "
            "here. Expected s3://bucket/prefix or a folder. Add one with `dvc remote "
            "add --default NAME URL`, then `dvc pull` and `dvc push`."
        )
    for option in _UNREAD:
        if options.get(option):
            raise SegError(
                f"{file}: the remote {name} has `{option}` set: objects under keys of "
                "their own are not read here. Expected a remote without it."
            )
    given = "AWS_ACCESS_KEY_ID" in os.environ or "profile" in options
    if not given and any(options.get(option) for option in _SECRETS):
        raise SegError(
            f"{file}: the remote {name} has `access_key_id` and its secret in DVC's "
            "configuration, from where they would go into the parameters of a run. Set "
            "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or `dvc remote modify "
            f"--local {name} profile NAME` with a profile of ~/.aws/credentials."
        )
    settings = {key: options[key] for key in SETTINGS if options.get(key)}
    return f"{url}?{urlencode(settings, safe=':/')}" if settings else url


def _resolve(sections: _Sections, name: str, file: Path) -> dict[str, str]:
    """A remote's options; remote://OTHER/path adds to another remote's."""
    options, seen, path = dict[str, str](), list[str](), ""
    while True:
        found = sections.get(f'remote "{name}"', {})
        if not found.get("url") or name in seen:
            what = "no such remote" if name else "no default remote"
            raise SegError(
                f"{file}: {what}. Received: remote={name!r}. Set one with `dvc remote "
                "add --default NAME URL`."
            )
        seen.append(name)
        options = {**found, **options, "url": found["url"]}
        if not found["url"].startswith("remote://"):
            options["url"] = "/".join(filter(None, (found["url"].rstrip("/"), path)))
            return options
        other, _, inside = found["url"].removeprefix("remote://").partition("/")
        name, path = other.lower(), "/".join(filter(None, (inside.strip("/"), path)))


def _load(repository: Path) -> _Sections:
    """All levels in one, in DVC's order: system, global, project, local."""
    merged: _Sections = {}
    own = repository / ".dvc"
    folders = (_user_folder("SYSTEM"), _user_folder("GLOBAL"), own)
    for file in (*(folder / "config" for folder in folders), own / "config.local"):
        for section, options in _read(file).items():
            merged.setdefault(section, {}).update(options)
    return merged


def _read(file: Path) -> _Sections:
    """The sections of a file, `remote "name"` among them, all names in lower case."""
    config = configparser.ConfigParser(
        interpolation=None,
        strict=False,
        delimiters=("=",),
        comment_prefixes=("#",),
        default_section="",
    )
    try:
        lines = read_file(file, max_bytes=MAX_BYTES).decode().splitlines()
        config.read_string("\n".join(map(str.strip, lines)), str(file))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, configparser.Error) as error:
        raise SegError(f"{file}: cannot be read: {error}") from error
    sections: _Sections = {}
    for title in config.sections():
        options = {name: _unquoted(value) for name, value in config.items(title)}
        name = _unquoted(title).lower()
        if match := _REMOTE.fullmatch(name):
            name = f'remote "{match[1]}"'
            for option in ("url", *_PATHS):
                if option in options:
                    options[option] = _absolute(file.parent, options[option])
        sections.setdefault(name, {}).update(options)
    return sections


def _unquoted(text: str) -> str:
    """A value without its quotes, and without the comment behind it."""
    match = re.fullmatch(r"""\s*(?:"([^"]*)"|'([^']*)'|(.*?))\s*(?:\s#.*)?""", text)
    return next(filter(None, match.groups()), "") if match else text


def _absolute(folder: Path, path: str) -> str:
    if re.match(r"\w+://", path):
        return path
    return str((folder / Path(path).expanduser()).resolve())


def _user_folder(level: str) -> Path:
    """DVC's folder of a level, SYSTEM or GLOBAL, as platformdirs names it."""
    if given := os.environ.get(f"DVC_{level}_CONFIG_DIR"):
        return Path(given)
    is_system = level == "SYSTEM"
    if sys.platform == "darwin":
        home = Path("/") if is_system else Path.home()
        return home / "Library" / "Application Support" / "dvc"
    if is_system:
        first = os.environ.get("XDG_CONFIG_DIRS", "").split(os.pathsep)[0]
        return Path(first or "/etc/xdg") / "dvc"
    return Path(os.environ.get("XDG_CONFIG_HOME") or "~/.config").expanduser() / "dvc"
