"""Objects in a bucket of S3, or of a store that speaks it. The only boto3 importer."""

import os
import threading
import uuid
from collections.abc import Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

from seglib.errors import SegError
from seglib.store.direct import read_small
from seglib.store.objects import (
    CHUNK,
    THREADS,
    BrokenOffError,
    ChangedObjectError,
    MissingObjectError,
    Moved,
    Stored,
)
from seglib.store.signing import Signer
from seglib.store.upload import Uploader

_LISTED_AT_ONCE = 1000  # keys in an answer of S3
_PLACES = 256  # beginnings that share the objects evenly: files/md5/00/ … ff/
_SIGNED_FOR_S = 600  # until which an object must have been asked for
_NOT_FOUND = ("NoSuchKey", "404")
_CHANGED = ("PreconditionFailed", "412", "ConditionalRequestConflict", "409")
_OF_NO_OBJECT = {"IfNoneMatch": "*", "IfMatch": f'"{"0" * 32}"'}


class S3Remote:
    """A bucket. boto3 finds credentials, region and endpoint in its usual places."""

    def __init__(self, bucket: str, prefix: str):
        import boto3
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError

        self.bucket, self.prefix = bucket, prefix
        try:
            config = Config(
                retries={
                    "mode": "adaptive",
                    "total_max_attempts": int(os.environ.get("AWS_MAX_ATTEMPTS") or 6),
                },
                max_pool_connections=THREADS,
                connect_timeout=10,
                # Some S3-compatible stores refuse the newer checksums; md5s are ours.
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
            )
            self._session = boto3.session.Session()
            self._client = self._session.client("s3", config=config)
            config = config.merge(Config(signature_version="s3v4"))  # else v2, at times
            self._signing_client = self._session.client("s3", config=config)
        except (BotoCoreError, ValueError) as error:
            raise self._problem("read", "", error) from error
        self._uploader = Uploader(self._client, bucket)
        self._signer = Signer(self._presign, self._secret)
        self._conditions: set[str] = set()  # that the store is known to honour
        self._probing = threading.Lock()

    def name(self, key: str) -> str:
        return "s3://" + "/".join(filter(None, (self.bucket, self.prefix, key)))

    def chunks(self, key: str, *, start: int = 0) -> Iterator[bytes]:
        from botocore.exceptions import BotoCoreError, ClientError

        place = {"Bucket": self.bucket, "Key": self._path(key)}
        if start:
            place["Range"] = f"bytes={start}-"
        try:
            answer = self._client.get_object(**place)
        except (BotoCoreError, ClientError) as error:
            if _code(error) in _NOT_FOUND:
                raise MissingObjectError from error
            raise self._problem("read", key, error) from error
        partial = answer["ResponseMetadata"]["HTTPStatusCode"] == 206
        try:
            if start and not partial:  # a store that does not know ranges
                answer["Body"].read(start)
            yield from answer["Body"].iter_chunks(CHUNK)
        except BotoCoreError as error:
            raise BrokenOffError(str(error)) from error

    def small(self, keys: Iterable[str]) -> Iterator[tuple[str, bytearray]]:
        paths = {self._path(key): key for key in keys}
        for path, content in read_small(self._signer.sign, paths):
            yield paths[path], content

    def read(self, key: str) -> Stored:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            answer = self._client.get_object(Bucket=self.bucket, Key=self._path(key))
            return Stored(answer["Body"].read(), str(answer["ETag"]))
        except (BotoCoreError, ClientError) as error:
            if _code(error) in _NOT_FOUND:
                raise MissingObjectError from error
            raise self._problem("read", key, error) from error

    def write(
        self,
        key: str,
        source: bytes | Path,
        *,
        if_absent: bool = False,
        if_match: str | None = None,
        md5: str | None = None,
        moved: Moved | None = None,
    ) -> str:
        from botocore.exceptions import BotoCoreError, ClientError

        condition = {"IfNoneMatch": "*"} if if_absent else {}
        condition |= {"IfMatch": if_match} if if_match else {}
        try:
            for name in condition:
                self._require_condition(name, key)
            return self._uploader.put(self._path(key), source, condition, md5, moved)
        except (BotoCoreError, ClientError) as error:
            code = _code(error)
            if condition and (code in _CHANGED or (if_match and code in _NOT_FOUND)):
                raise ChangedObjectError(f"{self.name(key)}: {error}") from error
            raise self._problem("written", key, error) from error
        except OSError as error:
            raise SegError(f"{source!s}: cannot be read ({error.strerror}).") from error

    def delete(self, key: str) -> None:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            self._client.delete_object(Bucket=self.bucket, Key=self._path(key))
        except (BotoCoreError, ClientError) as error:
            raise self._problem("deleted", key, error) from error

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

    def _presign(self, path: str) -> str:
        """An address at which the object can be read for some minutes.

        Raises:
            ValueError: it cannot be signed; boto3's request will tell why.
        """
        from botocore.exceptions import BotoCoreError

        place = {"Bucket": self.bucket, "Key": path}
        try:
            return self._signing_client.generate_presigned_url(
                "get_object", Params=place, ExpiresIn=_SIGNED_FOR_S
            )
        except BotoCoreError as error:
            raise ValueError(str(error)) from error

    def _secret(self) -> str:
        found = self._session.get_credentials()
        if found is None:
            raise ValueError("no credentials")
        return str(found.get_frozen_credentials().secret_key)

    def _require_condition(self, name: str, key: str) -> None:
        """Make sure that a condition which does not hold stops a write.

        A store that does not know conditions may take the write without a word.
        """
        from botocore.exceptions import ClientError

        with self._probing:
            if name in self._conditions:
                return
            probe = {"Bucket": self.bucket, "Key": self._path(f"{key}.{uuid.uuid4()}")}
            self._client.put_object(**probe, Body=b"")
            try:
                self._client.put_object(
                    **probe, Body=b"", **{name: _OF_NO_OBJECT[name]}
                )
            except ClientError as error:
                if _code(error) in _CHANGED:
                    self._conditions.add(name)
                    return
                if _status(error) != 501:
                    raise
            finally:
                with suppress(Exception):
                    self._client.delete_object(**probe)
        raise SegError(
            f"{self.name(key)}: cannot be written safely: the store does not know "
            "conditional writes (If-Match, If-None-Match), so of two writers at once "
            "one would undo the other's work. Use a store that does, such as S3 or "
            "a recent MinIO, Ceph or SeaweedFS."
        )

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
            raise self._problem("read", place, error) from error

    def _size(self, key: str) -> int | None:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            head = self._client.head_object(Bucket=self.bucket, Key=self._path(key))
        except (BotoCoreError, ClientError) as error:
            if _code(error) in _NOT_FOUND:
                return None
            raise self._problem("read", key, error) from error
        return int(head["ContentLength"])

    def _path(self, key: str) -> str:
        return f"{self.prefix}/{key}".lstrip("/")

    def _problem(self, done: str, key: str, error: Exception) -> SegError:
        return SegError(
            f"{self.name(key)}: cannot be {done}. {str(error).rstrip('.')}. "
            f"{_remedy(error, done)}"
        )


def _remedy(error: Exception, done: str) -> str:
    from botocore import exceptions

    code = _code(error)
    if code == "NoSuchBucket":
        return "Check the remote's bucket, and the endpoint (AWS_ENDPOINT_URL)."
    if _status(error) >= 500:
        return "The store fails or is overloaded. Try again; what is done is kept."
    if code:
        rights = {
            "read": "s3:GetObject and s3:ListBucket",
            "written": "s3:PutObject",
            "deleted": "s3:DeleteObject",
        }
        return (
            f"The store refused: the credentials in use need {rights[done]} on this "
            "bucket."
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
    return str(_answer(error).get("Error", {}).get("Code", ""))


def _status(error: Exception) -> int:
    """The HTTP status of the answer; 0 if there was none."""
    return int(_answer(error).get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def _answer(error: Exception) -> dict[str, Any]:
    """What the store answered; where a connection was closed, this is None."""
    return getattr(error, "response", None) or {}
