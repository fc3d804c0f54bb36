"""Bytes into a bucket, each request with its checksum; large files part by part."""

import base64
import hashlib
import threading
from collections.abc import Mapping
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import suppress
from pathlib import Path
from typing import Any

from seglib.storage.backends import THREADS, Moved, require_same
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
            require_same(source, expected=md5, received=checksum.hex())
            answer = self._client.call(
                "put_object", **target, **condition, **_body(content, checksum)
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
        target = {**target, "UploadId": upload}
        try:
            parts = {"Parts": self._send_parts(target, source, md5, moved)}
            answer = self._client.call(
                "complete_multipart_upload",
                **target,
                MultipartUpload=parts,
                **condition,
            )
        except BaseException:
            # Parts that nobody completes are kept, and charged for.
            with suppress(Exception):
                self._client.call("abort_multipart_upload", **target)
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
        parts: list[dict[str, Any]] = []
        reading, stop = threading.Lock(), threading.Event()

        def send_next_parts() -> None:
            while not stop.is_set():
                with self._room:
                    with reading:
                        content = file.read(part_bytes)
                        if not content:
                            return
                        whole.update(content)
                        part: dict[str, Any] = {"PartNumber": len(parts) + 1}
                        parts.append(part)
                    body = _body(content, _md5(content))
                    answer = self._client.call("upload_part", **target, **part, **body)
                part["ETag"] = answer["ETag"]
                if moved:
                    moved(len(content))

        with open_file(source) as file, ThreadPoolExecutor(_PARTS_AT_ONCE) as pool:
            try:
                sending = [pool.submit(send_next_parts) for _ in range(_PARTS_AT_ONCE)]
                wait(sending, return_when=FIRST_EXCEPTION)
            finally:
                stop.set()
        for one in sending:
            one.result()  # raises what stopped it
        require_same(source, expected=md5, received=whole.hexdigest())
        return parts


def _md5(content: bytes) -> bytes:
    return hashlib.md5(content, usedforsecurity=False).digest()


def _body(content: bytes, checksum: bytes) -> dict[str, Any]:
    return {"Body": content, "ContentMD5": base64.b64encode(checksum).decode()}
