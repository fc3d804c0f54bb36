"""boto3's client with one exception for all failures. The only importer of boto3.

If an answer breaks off midway, botocore raises some of urllib3's exceptions and does
not retry. This client retries them like botocore's other failures.
"""

import base64
import functools
import hashlib
import os
import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from seglib.errors import SegError
from seglib.storage.backends import THREADS, Moved, require_same
from seglib.storage.files import open_file

# Of a remote's URL, s3://bucket/prefix?NAME=VALUE&…, with DVC's names.
SETTINGS = (
    "allow_anonymous_login",
    "configpath",
    "connect_timeout",
    "credentialpath",
    "endpointurl",
    "profile",
    "read_timeout",
    "region",
    "ssl_verify",
    "use_ssl",
)
_BROKEN = (  # a body that did not come whole: botocore has not asked again
    "IncompleteReadError",
    "ResponseParserError",
    "ResponseStreamingError",
)
_NO_CREDENTIALS = (
    "NoCredentialsError",
    "PartialCredentialsError",
    "ProfileNotFound",
)
_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 20.0
_SIGNED_FOR_S = 600  # until which an object must have been asked for
_MOST_PARTS = 10_000  # that S3 takes of a file
_PARTS_AT_ONCE = 4  # of one file

PART = 8 << 20  # bytes; a file that is larger goes in parts

Result = TypeVar("Result")


class FailedCallError(Exception):
    """A request that failed for good.

    `code` is the store's own name for what went wrong, "" if it did not answer;
    `status` is the HTTP status of the answer, 0 if there was none.
    """

    def __init__(self, error: Exception):
        answer = getattr(error, "response", None)
        answer = answer if isinstance(answer, dict) else {}
        super().__init__(str(error).rstrip(".") or type(error).__name__)
        self.code = str(answer.get("Error", {}).get("Code", ""))
        self.status = int(answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
        self.lacks_credentials = type(error).__name__ in _NO_CREDENTIALS
        self.is_of_bucket = type(error).__name__ == "ParamValidationError"


class Client:
    """A client of S3. `call` retries the failures that botocore does not.

    Raises:
        FailedCallError: the settings cannot be right.
    """

    def __init__(self, settings: Mapping[str, str]):
        with told():
            import boto3
            from botocore import UNSIGNED

            self._attempts = int(os.environ.get("AWS_MAX_ATTEMPTS") or 6)
            self._session = boto3.session.Session(
                botocore_session=_botocore_session(settings),
                region_name=settings.get("region"),
            )
            is_anonymous = _is_true(settings.get("allow_anonymous_login", ""))
            signature = UNSIGNED if is_anonymous else None
            self._client = self._open(settings, signature)
            # Without a choice, boto3 signs addresses by version 2, at times.
            self._signing = functools.cache(
                lambda: self._open(settings, signature or "s3v4")
            )

    def call(self, operation: str, **arguments: Any) -> Any:
        """Make a request, such as `put_object`.

        Raises:
            FailedCallError: it failed for good.
        """
        return self.patiently(lambda client: getattr(client, operation)(**arguments))

    def patiently(self, do: Callable[[Any], Result]) -> Result:
        """Run a function, and retry it after broken answers as often as botocore would.

        Args:
            do: gets boto3's client.

        Raises:
            FailedCallError: it failed for good.
        """
        for attempt in range(1, self._attempts + 1):
            try:
                with told():
                    return do(self._client)
            except FailedCallError as error:
                if attempt == self._attempts or not _is_broken(error.__cause__):
                    raise
            time.sleep(min(_LONGEST_PAUSE_S, _PAUSE_S * 2**attempt) * random.random())
        raise AssertionError("unreachable")

    def upload(
        self,
        source: Path,
        place: Mapping[str, str],
        *,
        md5: str | None = None,
        moved: Moved | None = None,
    ) -> None:
        """Store a file larger than `PART`, with few parts of it in memory.

        Raises:
            FailedCallError: it failed for good; no parts are left.
            OSError: the file cannot be read.
            SegError: its md5 is another.
        """
        from boto3.s3.transfer import TransferConfig

        config = TransferConfig(
            multipart_chunksize=max(PART, -(-source.stat().st_size // _MOST_PARTS)),
            max_concurrency=_PARTS_AT_ONCE,
            preferred_transfer_client="classic",
        )
        config.max_in_memory_upload_chunks = _PARTS_AT_ONCE
        options = {"Callback": moved, "Config": config}

        def send(client: Any) -> None:
            with open_file(source) as file:
                client.upload_fileobj(
                    _CheckedFile(file, source, md5), **place, **options
                )

        self.patiently(send)

    def presign(self, bucket: str, path: str) -> tuple[str, str]:
        """An address to read an object at for some minutes, and the secret key in use.

        Raises:
            ValueError: it cannot be signed; a request will tell why.
        """
        place = {"Bucket": bucket, "Key": path}
        try:
            with told():
                address = self._signing().generate_presigned_url(
                    "get_object", Params=place, ExpiresIn=_SIGNED_FOR_S
                )
                found = self._session.get_credentials()
                secret = found.get_frozen_credentials().secret_key if found else ""
        except FailedCallError as error:
            raise ValueError(str(error)) from error
        if not secret:
            raise ValueError("no credentials")
        return address, secret

    def _open(self, settings: Mapping[str, str], signature: Any) -> Any:
        from botocore.config import Config

        timeouts = {"connect_timeout": 10}
        for name in ("connect_timeout", "read_timeout"):
            if name in settings:
                timeouts[name] = int(settings[name])
        config = Config(
            retries={"mode": "adaptive", "total_max_attempts": self._attempts},
            max_pool_connections=THREADS,
            # Some S3-compatible stores refuse the newer checksums; md5s are ours.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            signature_version=signature,
            **timeouts,
        )
        options: dict[str, Any] = {}
        if endpoint := settings.get("endpointurl"):
            options["endpoint_url"] = endpoint
        if "use_ssl" in settings:
            options["use_ssl"] = _is_true(settings["use_ssl"])
        if verify := settings.get("ssl_verify"):
            is_switch = verify.lower() in ("true", "false", "yes", "no", "0", "1")
            options["verify"] = _is_true(verify) if is_switch else verify
        client = self._session.client("s3", config=config, **options)
        for operation in ("PutObject", "UploadPart"):
            client.meta.events.register(f"before-call.s3.{operation}", _add_md5)
        return client


@contextmanager
def told() -> Iterator[None]:
    """Turn the exceptions of boto3, botocore and urllib3 into one."""
    from botocore.exceptions import BotoCoreError, ClientError
    from urllib3.exceptions import HTTPError

    try:
        yield
    except SegError:
        raise
    except (BotoCoreError, ClientError, HTTPError, ValueError) as error:
        raise FailedCallError(error) from error


class _CheckedFile:
    """A file that is read once, and whose md5 is checked at its end."""

    def __init__(self, file: BinaryIO, source: Path, md5: str | None):
        self._file, self._source, self._expected = file, source, md5
        self._digest = hashlib.md5(usedforsecurity=False)

    def read(self, size: int = -1) -> bytes:
        content = self._file.read(size)
        self._digest.update(content)
        if not content:
            received = self._digest.hexdigest()
            require_same(self._source, expected=self._expected, received=received)
        return content


def _add_md5(params: dict[str, Any], **_: Any) -> None:
    """Send the md5 of what is sent, which the store then checks."""
    body = params["body"]
    content = body if isinstance(body, bytes) else body.read()
    checksum = hashlib.md5(content, usedforsecurity=False).digest()
    params["headers"]["Content-MD5"] = base64.b64encode(checksum).decode()
    if not isinstance(body, bytes):
        body.seek(0)


def _is_broken(error: BaseException | None) -> bool:
    """Whether an answer broke off, so that a retry may help."""
    kind = type(error)
    return kind.__name__ in _BROKEN or kind.__module__.startswith("urllib3")


def _botocore_session(settings: Mapping[str, str]) -> Any:
    import botocore.session

    session = botocore.session.Session(profile=settings.get("profile"))
    for name, variable in (
        ("credentialpath", "credentials_file"),
        ("configpath", "config_file"),
    ):
        if name in settings:
            path = Path(settings[name]).expanduser()
            session.set_config_variable(variable, str(path))
    loader = _loader(session.get_config_variable("data_path"))
    session.register_component("data_loader", loader)
    return session


@functools.cache
def _loader(folder: str | None) -> Any:
    """One for all sessions: to read S3's model takes most of a client's start."""
    import botocore.loaders

    return botocore.loaders.create_loader(folder)


def _is_true(text: str) -> bool:
    return text.lower() in ("true", "yes", "1", "on")
