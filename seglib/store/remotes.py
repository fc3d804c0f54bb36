"""Where objects come from: a folder, or a bucket on S3. The only boto3 importer."""

from collections.abc import Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from seglib.errors import SegError, UsageError

OBJECTS = "files/md5"
THREADS = 16  # at once, for one dataset
_LISTED_AT_ONCE = 1000  # keys in an answer of S3
_PLACES = 256  # beginnings that share the objects evenly: files/md5/00/ … ff/
_CHUNK = 1 << 20  # bytes


class Remote(Protocol):
    """A store of objects under keys such as `files/md5/ab/cdef…`."""

    def name(self, key: str) -> str:
        """The object's address, for messages."""

    def chunks(self, key: str) -> Iterator[bytes]:
        """The object's bytes.

        Raises:
            MissingObjectError: there is no such object.
            BrokenOffError: the connection ended before the object did.
            SegError: the store cannot be reached, or refuses.
        """

    def sizes(self, keys: Collection[str]) -> dict[str, int]:
        """Bytes of those of the objects that are there, without reading them.

        Raises:
            SegError: the store cannot be reached, or refuses.
        """


class MissingObjectError(Exception):
    """There is no such object."""


class BrokenOffError(Exception):
    """The connection ended before the object did."""


def open_remote(url: str) -> "FolderRemote | S3Remote":
    """The remote behind s3://bucket/prefix or a path.

    Raises:
        UsageError: another scheme, or no bucket.
        SegError: no such folder.
    """
    scheme, separator, rest = str(url).partition("://")
    if not separator:
        root = Path(url).expanduser()
        if not root.is_dir():
            raise SegError(
                f"{root}: no such folder. Expected a DVC remote ({OBJECTS}/…), the "
                "dataset's own folder, or s3://bucket/prefix."
            )
        return FolderRemote(root)
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


@dataclass(frozen=True)
class FolderRemote:
    """A folder; not necessarily one that holds objects."""

    root: Path

    @property
    def holds_objects(self) -> bool:
        """Whether it is a DVC remote, and not the dataset itself."""
        return (self.root / OBJECTS).is_dir()

    def name(self, key: str) -> str:
        return str(self.root / key)

    def chunks(self, key: str) -> Iterator[bytes]:
        try:
            with (self.root / key).open("rb") as file:
                while chunk := file.read(_CHUNK):
                    yield chunk
        except FileNotFoundError as error:
            raise MissingObjectError from error
        except OSError as error:
            raise SegError(
                f"{self.name(key)}: cannot be read ({error.strerror}). Check the "
                "remote's permissions and its disk."
            ) from error

    def sizes(self, keys: Collection[str]) -> dict[str, int]:
        found = {}
        for key in keys:
            try:
                found[key] = (self.root / key).stat().st_size
            except FileNotFoundError:
                continue
            except OSError as error:
                raise SegError(
                    f"{self.name(key)}: cannot be looked at ({error.strerror})."
                ) from error
        return found


class S3Remote:
    """A bucket. boto3 finds credentials, region and endpoint in its usual places."""

    def __init__(self, bucket: str, prefix: str):
        import boto3
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError

        self.bucket, self.prefix = bucket, prefix
        config = Config(
            retries={"mode": "adaptive", "max_attempts": 5},
            max_pool_connections=THREADS,
            connect_timeout=10,
            # Some S3-compatible stores refuse the newer checksums; md5s are ours.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        )
        try:
            self._client = boto3.session.Session().client("s3", config=config)
        except (BotoCoreError, ValueError) as error:
            raise self._unreadable("", error) from error

    def name(self, key: str) -> str:
        return "s3://" + "/".join(filter(None, (self.bucket, self.prefix, key)))

    def chunks(self, key: str) -> Iterator[bytes]:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            answer = self._client.get_object(Bucket=self.bucket, Key=self._path(key))
            body = answer["Body"]
        except (BotoCoreError, ClientError) as error:
            if _code(error) in ("NoSuchKey", "404"):
                raise MissingObjectError from error
            raise self._unreadable(key, error) from error
        try:
            yield from body.iter_chunks(_CHUNK)
        except BotoCoreError as error:
            raise BrokenOffError(str(error)) from error

    def sizes(self, keys: Collection[str]) -> dict[str, int]:
        """By listing, unless the bucket holds far more than is asked for."""
        places = sorted({key.rpartition("/")[0] + "/" for key in keys})
        if not places:
            return {}
        with ThreadPoolExecutor(THREADS) as pool:
            first = self._list(places[0])
            answers_to_list = _PLACES + len(first) * _PLACES // _LISTED_AT_ONCE
            if answers_to_list > len(keys):
                sizes = pool.map(self._size, keys)
                pairs: Iterable[tuple[str, int | None]] = zip(keys, sizes, strict=True)
            else:
                listings = [first, *pool.map(self._list, places[1:])]
                pairs = (pair for listing in listings for pair in listing.items())
            wanted = set(keys)
            return {k: size for k, size in pairs if size is not None and k in wanted}

    def _list(self, place: str) -> dict[str, int]:
        """Sizes of all objects whose key begins so."""
        from botocore.exceptions import BotoCoreError, ClientError

        start = self._path("")
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self.bucket, Prefix=self._path(place)
        )
        try:
            return {
                found["Key"].removeprefix(start): int(found["Size"])
                for page in pages
                for found in page.get("Contents", ())
            }
        except (BotoCoreError, ClientError) as error:
            raise self._unreadable(place, error) from error

    def _size(self, key: str) -> int | None:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            head = self._client.head_object(Bucket=self.bucket, Key=self._path(key))
        except (BotoCoreError, ClientError) as error:
            if _code(error) in ("NoSuchKey", "404"):
                return None
            raise self._unreadable(key, error) from error
        return int(head["ContentLength"])

    def _path(self, key: str) -> str:
        return f"{self.prefix}/{key}".lstrip("/")

    def _unreadable(self, key: str, error: Exception) -> SegError:
        return SegError(
            f"{self.name(key)}: cannot be read. {str(error).rstrip('.')}. "
            f"{_remedy(error)}"
        )


def _remedy(error: Exception) -> str:
    from botocore import exceptions

    code = _code(error)
    if code == "NoSuchBucket":
        return "Check the remote's bucket, and the endpoint (AWS_ENDPOINT_URL)."
    if code:
        return (
            "The store refused: the credentials in use need s3:GetObject and "
            "s3:ListBucket on this bucket."
        )
    credentials = (
        exceptions.NoCredentialsError,
        exceptions.PartialCredentialsError,
        exceptions.ProfileNotFound,
    )
    if isinstance(error, credentials):
        return "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE."
    return "Is the store up? Check AWS_ENDPOINT_URL and the network."


def _code(error: Exception) -> str:
    """The store's own name for what went wrong; "" if it did not answer."""
    return str(getattr(error, "response", {}).get("Error", {}).get("Code", ""))
