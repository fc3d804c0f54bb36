"""Remotes by their URL: a folder, or a bucket on S3."""

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import parse_qsl, urlencode

from seglib.errors import SegError, UsageError, unknown
from seglib.storage.backends import OBJECTS, Remote
from seglib.storage.backends.boto3_client import SETTINGS
from seglib.storage.backends.local import FolderRemote
from seglib.storage.backends.s3 import S3Remote

_OF_MACHINE = ("configpath", "credentialpath", "profile")


def open_remote(url: str, *, create: bool = False) -> Remote:
    """The remote behind s3://bucket/prefix?SETTINGS or a path.

    The settings are those of DVC's remotes, such as `endpointurl=https://host`; boto3
    finds the others in its usual places.

    Args:
        url: where it is.
        create: whether to make a folder that is not there, for writing.

    Raises:
        UsageError: another scheme, or no bucket.
        SegError: no such folder.
    """
    place = parse_url(url)
    if not isinstance(place, Path):
        return S3Remote(*place)
    if create:
        try:
            place.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SegError(f"{place}: cannot be created ({error.strerror}).") from error
    if not place.is_dir():
        raise SegError(
            f"{place}: no such folder. Expected a DVC remote ({OBJECTS}/…), which `dvc "
            "push` makes, the dataset's own folder, or s3://bucket/prefix."
        )
    return FolderRemote(place)


def parse_url(url: str) -> Path | tuple[str, str, Mapping[str, str]]:
    """A path; or a bucket, a prefix and settings.

    Raises:
        UsageError: as `open_remote`.
    """
    scheme, separator, rest = str(url).partition("://")
    if not separator:
        return Path(url).expanduser()
    if scheme != "s3":
        raise UsageError(
            f"Unknown scheme `{scheme}://` of a remote. Expected s3://bucket/prefix "
            "or a folder."
        )
    rest, _, query = rest.partition("?")
    bucket, _, prefix = rest.partition("/")
    if not bucket:
        raise UsageError(
            f"The remote {url} names no bucket. Expected s3://bucket/prefix."
        )
    return bucket, prefix.strip("/"), _settings(query)


def portable(url: str) -> str:
    """The URL without settings of this machine, for a pod."""
    place, _, query = url.partition("?")
    if not place.startswith("s3://") or not query:
        return url
    settings = {k: v for k, v in _settings(query).items() if k not in _OF_MACHINE}
    return f"{place}?{urlencode(settings, safe=':/')}" if settings else place


def _settings(query: str) -> Mapping[str, str]:
    settings = dict(parse_qsl(query, keep_blank_values=True))
    for name in settings:
        if name not in SETTINGS:
            raise unknown("setting of a remote", name, SETTINGS)
    return settings
