"""Bytes into a bucket, each request with its checksum; large files part by part."""

import base64
import hashlib
import threading
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

from seglib.storage.backends.base import THREADS, Moved, require_same
from seglib.storage.backends.boto3_client import Client
from seglib.storage.files import open_file, read_file

_PART = 8 << 20  # bytes; what is larger goes in parts
_MOST_PARTS = 10_000  # that S3 takes
_PARTS_AT_ONCE = 4  # of one file


class Uploader:
    """Puts objects through a client; holds `THREADS` parts in memory at most."""

    def __init__(self, client: Client, bucket: str):
        self._client, self._bucket = client, bucket
        self._room = threading.BoundedSemaphore(THREADS)

    def put(
        self,
        path: str,
        source: bytes | Path,
        condition: Mapping[str, str],
        md5: str | None,
        moved: Moved | None,
    ) -> str:
        """Store an object under boto3's conditions; returns its etag.

        Raises:
            OSError: the file cannot be read.
            SegError: it is not what `md5` says.
        """
        target = {"Bucket": self._bucket, "Key": path}
        if isinstance(source, Path) and source.stat().st_size > _PART:
            return self._put_parts(target, source, condition, md5, moved)
        with self._room:
            content = source if isinstance(source, bytes) else read_file(source)
            checksum = _md5(content)
            require_same(source, expected=md5, received=checksum.hexdigest())
            answer = self._client.call(
                "put_object",
                **target,
                Body=content,
                ContentMD5=_base64(checksum),
                **condition,
            )
        if moved:
            moved(len(content))
        return str(answer["ETag"])

    def _put_parts(
        self,
        target: dict[str, str],
        source: Path,
        condition: Mapping[str, str],
        md5: str | None,
        moved: Moved | None,
    ) -> str:
        upload = self._client.call("create_multipart_upload", **target)["UploadId"]
        target_part = {**target, "UploadId": upload}
        try:
            parts = self._send_parts(target_part, source, md5, moved)
            answer = self._client.call(
                "complete_multipart_upload",
                **target_part,
                MultipartUpload={"Parts": parts},
                **condition,
            )
        except BaseException:
            # Parts that nobody completes are kept, and charged for.
            with suppress(Exception):
                self._client.call("abort_multipart_upload", **target_part)
            raise
        return str(answer["ETag"])

    def _send_parts(
        self,
        target: dict[str, str],
        source: Path,
        md5: str | None,
        moved: Moved | None,
    ) -> list[dict[str, Any]]:
        """Read in order, send several at once; returns S3's list of the parts."""
        whole = hashlib.md5(usedforsecurity=False)
        part_bytes = max(_PART, -(-source.stat().st_size // _MOST_PARTS))
        sending: list[Future[dict[str, Any]]] = []
        with open_file(source) as file, ThreadPoolExecutor(_PARTS_AT_ONCE) as pool:
            while content := self._read_part(file, part_bytes):
                whole.update(content)
                number = len(sending) + 1
                sending.append(
                    pool.submit(self._send_part, target, number, content, moved)
                )
                for sent in sending:
                    if sent.done():
                        sent.result()  # raises what stopped it
            parts = [sent.result() for sent in sending]
        require_same(source, expected=md5, received=whole.hexdigest())
        return parts

    def _read_part(self, file: BinaryIO, part_bytes: int) -> bytes:
        """The next part, for which there is room now."""
        self._room.acquire()
        content = b""
        try:
            content = file.read(part_bytes)
        finally:
            if not content:
                self._room.release()
        return content

    def _send_part(
        self,
        target: dict[str, str],
        number: int,
        content: bytes,
        moved: Moved | None,
    ) -> dict[str, Any]:
        try:
            answer = self._client.call(
                "upload_part",
                **target,
                PartNumber=number,
                Body=content,
                ContentMD5=_base64(_md5(content)),
            )
        finally:
            self._room.release()
        if moved:
            moved(len(content))
        return {"PartNumber": number, "ETag": answer["ETag"]}


def _md5(content: bytes) -> "hashlib._Hash":
    return hashlib.md5(content, usedforsecurity=False)


def _base64(checksum: "hashlib._Hash") -> str:
    return base64.b64encode(checksum.digest()).decode()
