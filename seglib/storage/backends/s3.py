"""Objects in a bucket of S3, or of a store that speaks it."""

import hashlib
import threading
import uuid
from collections.abc import Collection, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from seglib.errors import RefusedError, SegError
from seglib.storage.backends import (
    CHUNK,
    THREADS,
    BrokenOffError,
    ChangedObjectError,
    Listed,
    MissingObjectError,
    Moved,
    Stored,
    require_same,
)
from seglib.storage.backends.boto3_client import PART, Client, FailedCallError, told
from seglib.storage.backends.direct import read_small
from seglib.storage.backends.signing import Signer
from seglib.storage.files import read_file

_LARGE_AT_ONCE = 4  # files, of which four parts each are in memory
_LISTED_AT_ONCE = 1000  # keys in an answer of S3
_REFUSED = (401, 403, 404)  # of HTTP; a missing object is told apart before
_NOT_FOUND = ("NoSuchKey", "404")
_CHANGED = ("PreconditionFailed", "412", "ConditionalRequestConflict", "409")
_OF_NO_OBJECT = {"IfNoneMatch": "*", "IfMatch": f'"{"0" * 32}"'}


class S3Remote:
    """A bucket. boto3 finds what `settings` leave open in its usual places."""

    def __init__(self, bucket: str, prefix: str, settings: Mapping[str, str]):
        self.bucket, self.prefix = bucket, prefix
        with self._explained("", "read"):
            self._client = Client(settings)
        self._large = threading.BoundedSemaphore(_LARGE_AT_ONCE)
        self._signer = Signer(lambda path: self._client.presign(bucket, path))
        self._conditions: set[str] = set()  # that the store is known to honour
        self._probing = threading.Lock()

    def name(self, key: str) -> str:
        return "s3://" + "/".join(filter(None, (self.bucket, self.prefix, key)))

    def chunks(self, key: str, *, start: int = 0) -> Iterator[bytes]:
        place = self._place(key)
        if start:
            place["Range"] = f"bytes={start}-"
        with self._explained(key, "read"):
            answer = self._client.call("get_object", **place)
        partial = answer["ResponseMetadata"]["HTTPStatusCode"] == 206
        pieces = answer["Body"].iter_chunks(CHUNK)
        try:
            with told():
                if start and not partial:  # a store that does not know ranges
                    answer["Body"].read(start)
                while chunk := next(pieces, b""):
                    yield chunk
        except FailedCallError as error:
            raise BrokenOffError(str(error)) from error

    def small(self, keys: Iterable[str]) -> Iterator[tuple[str, bytearray]]:
        paths = {self._path(key): key for key in keys}
        for path, content in read_small(self._signer.sign, paths):
            yield paths[path], content

    def read(self, key: str) -> Stored:
        def whole(client: Any) -> Stored:
            answer = client.get_object(**self._place(key))
            return Stored(answer["Body"].read(), str(answer["ETag"]))

        with self._explained(key, "read"):
            return self._client.patiently(whole)

    def write(
        self,
        key: str,
        source: bytes | Path,
        *,
        if_absent: bool = False,
        if_match: str | None = None,
        md5: str | None = None,
        moved: Moved | None = None,
    ) -> None:
        condition = {"IfNoneMatch": "*"} if if_absent else {}
        condition |= {"IfMatch": if_match} if if_match else {}
        has_changed = _CHANGED + _NOT_FOUND * bool(if_match)
        try:
            with self._explained(key, "written", has_changed if condition else ()):
                for name in condition:
                    self._require_condition(name, key)
                self._put(key, source, condition, md5, moved)
        except OSError as error:
            raise SegError(f"{source!s}: cannot be read ({error.strerror}).") from error

    def require_writable(self) -> None:
        # (Where the answer is lost, an upload without parts is left.)
        place = self._place("published/writable")
        with self._explained("", "written"):
            begun = self._client.call("create_multipart_upload", **place)
        with suppress(FailedCallError):
            upload = begun["UploadId"]
            self._client.call("abort_multipart_upload", **place, UploadId=upload)

    def delete(self, key: str) -> None:
        with self._explained(key, "deleted"):
            self._client.call("delete_object", **self._place(key))

    def sizes(self, keys: Collection[str]) -> dict[str, int]:
        """List the prefix, unless it holds far more objects than asked for."""
        places = sorted({"".join(key.rpartition("/")[:2]) for key in keys})
        if not places:
            return {}
        with ThreadPoolExecutor(THREADS) as pool:
            first = self._list(places[0])
            pages = 1 + int(len(first) / _LISTED_AT_ONCE)  # of each place, about
            answers_to_list = len(places) * pages
            if answers_to_list > len(keys):
                found = dict(zip(keys, pool.map(self._size, keys), strict=True))
                return {key: size for key, size in found.items() if size is not None}
            listings = [first, *pool.map(self._list, places[1:])]
        sizes = dict(pair for found in listings for pair in found.items())
        return {key: sizes[key] for key in keys if key in sizes}

    def objects(self, start: str) -> Iterator[Listed]:
        root = self._path("")
        asked: dict[str, Any] = {"Bucket": self.bucket, "Prefix": self._path(start)}
        while True:
            with self._explained(start, "read"):
                page = self._client.call("list_objects_v2", **asked)
            for found in page.get("Contents", ()):
                key = found["Key"].removeprefix(root)
                modified_s = found["LastModified"].timestamp()
                etag = str(found.get("ETag", ""))
                yield Listed(key, int(found["Size"]), modified_s, etag)
            if not page.get("IsTruncated"):
                return
            asked["ContinuationToken"] = page["NextContinuationToken"]

    @contextmanager
    def _explained(
        self, key: str, done: str, has_changed: tuple[str, ...] = ()
    ) -> Iterator[None]:
        """Turn a failed call into the exception of a remote."""
        try:
            yield
        except FailedCallError as error:
            if done == "read" and error.code in _NOT_FOUND:
                raise MissingObjectError from error
            if error.code in has_changed:
                raise ChangedObjectError(f"{self.name(key)}: {error}") from error
            kind = RefusedError if error.status in _REFUSED else SegError
            raise kind(
                f"{self.name(key)}: cannot be {done}. {error}. {_remedy(error, done)}"
            ) from error

    def _put(
        self,
        key: str,
        source: bytes | Path,
        condition: Mapping[str, str],
        md5: str | None,
        moved: Moved | None,
    ) -> None:
        place = self._place(key)
        if isinstance(source, Path) and not condition and _is_large(source):
            with self._large:
                self._client.upload(source, place, md5=md5, moved=moved)
            return
        content = source if isinstance(source, bytes) else read_file(source)
        received = hashlib.md5(content, usedforsecurity=False).hexdigest()
        require_same(source, expected=md5, received=received)
        self._client.call("put_object", **place, Body=content, **condition)
        if moved:
            moved(len(content))

    def _require_condition(self, name: str, key: str) -> None:
        """Make sure that the store refuses a write whose condition fails.

        A store without conditional writes may accept it silently.
        """
        with self._probing:
            if name in self._conditions:
                return
            probe = self._place(f"{key}.{uuid.uuid4()}")
            self._client.call("put_object", **probe, Body=b"")
            try:
                self._client.call(
                    "put_object", **probe, Body=b"", **{name: _OF_NO_OBJECT[name]}
                )
            except FailedCallError as error:
                if error.code in _CHANGED:
                    self._conditions.add(name)
                    return
                if error.status != 501:
                    raise
            finally:
                with suppress(Exception):
                    self._client.call("delete_object", **probe)
        raise SegError(
            f"{self.name(key)}: cannot be written safely: the store does not know "
            "conditional writes (If-Match, If-None-Match), so of two writers at once "
            "one would undo the other's work. Use a store that does, such as S3 or "
            "a recent MinIO, Ceph or SeaweedFS."
        )

    def _list(self, place: str) -> dict[str, int]:
        """Sizes of all objects whose key begins so."""
        return {found.key: found.size_bytes for found in self.objects(place)}

    def _size(self, key: str) -> int | None:
        try:
            with self._explained(key, "read"):
                answer = self._client.call("head_object", **self._place(key))
                return int(answer["ContentLength"])
        except MissingObjectError:
            return None

    def _place(self, key: str) -> dict[str, str]:
        return {"Bucket": self.bucket, "Key": self._path(key)}

    def _path(self, key: str) -> str:
        return f"{self.prefix}/{key}".lstrip("/")


def _is_large(source: Path) -> bool:
    return source.stat().st_size > PART


def _remedy(error: FailedCallError, done: str) -> str:
    if error.code == "NoSuchBucket" or error.is_of_bucket:
        return "Check the remote's bucket, and the endpoint (AWS_ENDPOINT_URL)."
    if error.status >= 500:
        return "The store fails or is overloaded. Try again; what is done is kept."
    if error.code:
        rights = {
            "read": "s3:GetObject and s3:ListBucket",
            "written": "s3:PutObject",
            "deleted": "s3:DeleteObject",
        }
        return (
            f"The store refused: the credentials in use need {rights[done]} on this "
            "bucket."
        )
    if error.lacks_credentials:
        return "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE."
    return "Is the store up? Check AWS_ENDPOINT_URL and the network."
