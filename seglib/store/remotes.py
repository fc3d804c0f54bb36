"""Where objects come from and go to: a folder, or a bucket on S3."""

from pathlib import Path

from seglib.errors import SegError, UsageError
from seglib.store.disk import FolderRemote
from seglib.store.objects import OBJECTS
from seglib.store.s3 import S3Remote


def open_remote(url: str, *, create: bool = False) -> FolderRemote | S3Remote:
    """The remote behind s3://bucket/prefix or a path.

    Args:
        url: where it is.
        create: whether to make a folder that is not there, for writing.

    Raises:
        UsageError: another scheme, or no bucket.
        SegError: no such folder.
    """
    scheme, separator, rest = str(url).partition("://")
    if not separator:
        return _open_folder(Path(url).expanduser(), create=create)
    if scheme != "s3":
        raise UsageError(
            f"Unknown scheme `{scheme}://` of the remote {url}. Expected "
            "s3://bucket/prefix or a folder."
        )
    bucket, _, prefix = rest.partition("/")
    if not bucket:
        raise UsageError(
            f"The remote {url} names no bucket. Expected s3://bucket/prefix."
        )
    return S3Remote(bucket, prefix.strip("/"))


def _open_folder(root: Path, *, create: bool) -> FolderRemote:
    if create:
        try:
            root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SegError(f"{root}: cannot be created ({error.strerror}).") from error
    if not root.is_dir():
        raise SegError(
            f"{root}: no such folder. Expected a DVC remote ({OBJECTS}/…), the "
            "dataset's own folder, or s3://bucket/prefix."
        )
    return FolderRemote(root)
