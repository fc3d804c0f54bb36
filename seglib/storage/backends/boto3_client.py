"""boto3's client with one exception for all failures. The only importer of boto3.

If an answer breaks off midway, botocore raises some of urllib3's exceptions and does
not retry. This client retries them like botocore's other failures. And it signs many
addresses of objects faster than boto3 does.
"""

import functools
import hashlib
import hmac
import os
import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TypeVar
from urllib.parse import parse_qs, quote

from seglib.storage.backends import THREADS

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
_ALGORITHM = "AWS4-HMAC-SHA256"
_SIGNED_FOR_S, _RENEWED_AFTER_S = 600, 120
_ANY = "x"  # the path that boto3 signs

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
        return self._session.client("s3", config=config, **options)


@contextmanager
def told() -> Iterator[None]:
    """Turn the exceptions of boto3, botocore and urllib3 into one."""
    from botocore.exceptions import BotoCoreError, ClientError
    from urllib3.exceptions import HTTPError

    try:
        yield
    except (BotoCoreError, ClientError, HTTPError, ValueError) as error:
        raise FailedCallError(error) from error


class Signer:
    """Signs addresses of a bucket's objects, from any thread.

    boto3 signs one address; the others differ from it by the object's path alone.

    Args:
        presign: boto3's signed address of an object, and the secret key in use.

    Source: Amazon S3 API Reference, "Authenticating Requests: Using Query Parameters
    (AWS Signature Version 4)".
    """

    def __init__(self, presign: Callable[[str], tuple[str, str]]):
        self._presign = presign
        self._pattern: _Pattern | None = None
        self._until = 0.0
        self._renewing = threading.Lock()

    def sign(self, path: str) -> tuple[str, str, str]:
        """Scheme, host and port, and the path with its query.

        Raises:
            ValueError: boto3 signs otherwise here.
        """
        with self._renewing:
            if self._pattern is None or time.monotonic() > self._until:
                self._pattern = _learn(*self._presign(_ANY))
                self._until = time.monotonic() + _RENEWED_AFTER_S
            pattern = self._pattern
        return pattern.scheme, pattern.host, _signed(pattern, path)


class _Pattern(NamedTuple):
    """The parts shared by all addresses that are signed at one time."""

    scheme: str
    host: str
    folder: str  # the path's part before the object's
    query: str  # without the signature
    before: str  # of the string to sign: all but the last line
    key: bytes


def _learn(address: str, secret: str) -> _Pattern:
    """Parse an address that boto3 signed, and check that ours is the same."""
    scheme, _, rest = address.partition("://")
    place, _, query = rest.partition("?")
    host, _, target = place.partition("/")
    unsigned = [p for p in query.split("&") if not p.startswith("X-Amz-Signature=")]
    values = {name: value for name, (value, *_) in parse_qs(query).items()}
    if values.get("X-Amz-Algorithm") != _ALGORITHM:
        raise ValueError(f"not signed by {_ALGORITHM}")
    scope = values["X-Amz-Credential"].partition("/")[2]
    key = f"AWS4{secret}".encode()
    for part in scope.split("/"):
        key = _hmac(key, part.encode()).digest()
    pattern = _Pattern(
        scheme=scheme,
        host=host,
        folder="/" + target.removesuffix(_ANY),
        query="&".join(sorted(unsigned)),
        before=f"{_ALGORITHM}\n{values['X-Amz-Date']}\n{scope}\n",
        key=key,
    )
    if _signed(pattern, _ANY).rpartition("=")[2] != values["X-Amz-Signature"]:
        raise ValueError("boto3 signs in another way")
    return pattern


def _signed(pattern: _Pattern, path: str) -> str:
    target = pattern.folder + quote(path, safe="/~")
    request = (
        f"GET\n{target}\n{pattern.query}\nhost:{pattern.host}\n\nhost\nUNSIGNED-PAYLOAD"
    )
    digest = hashlib.sha256(request.encode()).hexdigest()
    signature = _hmac(pattern.key, (pattern.before + digest).encode()).hexdigest()
    return f"{target}?{pattern.query}&X-Amz-Signature={signature}"


def _hmac(key: bytes, message: bytes) -> "hmac.HMAC":
    return hmac.new(key, message, hashlib.sha256)


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
