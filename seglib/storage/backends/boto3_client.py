"""boto3's client with one exception for all failures. The only importer of boto3.

If an answer breaks off midway, botocore raises some of urllib3's exceptions and does
not retry. This client retries them like botocore's other failures.
"""

import os
import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from seglib.storage.backends.base import THREADS

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
_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 20.0

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
        self.lacks_credentials = type(error).__name__ in (
            "NoCredentialsError",
            "PartialCredentialsError",
            "ProfileNotFound",
        )
        self.is_of_bucket = type(error).__name__ == "ParamValidationError"


class Client:
    """A client of S3. `call` retries the failures that botocore does not.

    Raises:
        FailedCallError: the settings cannot be right.
    """

    def __init__(self, settings: Mapping[str, str]):
        with told():
            import boto3

            self._attempts = int(os.environ.get("AWS_MAX_ATTEMPTS") or 6)
            self._session = boto3.session.Session(
                botocore_session=_botocore_session(settings),
                region_name=settings.get("region"),
            )
            self._options = _options(settings)
            self._client = self._open(self._signature(settings))
            # Without a choice, boto3 signs by version 2, at times.
            self._signing = self._open(self._signature(settings) or "s3v4")

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

    def presign(self, operation: str, place: Mapping[str, str], seconds: int) -> str:
        """An address for one request, which holds for some seconds."""
        with told():
            return str(
                self._signing.generate_presigned_url(
                    operation, Params=place, ExpiresIn=seconds
                )
            )

    def secret(self) -> str:
        """The secret key in use; "" if there is none."""
        with told():
            found = self._session.get_credentials()
            return str(found.get_frozen_credentials().secret_key) if found else ""

    def _open(self, signature: Any) -> Any:
        from botocore.config import Config

        config = Config(
            retries={"mode": "adaptive", "total_max_attempts": self._attempts},
            max_pool_connections=THREADS,
            # Some S3-compatible stores refuse the newer checksums; md5s are ours.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            signature_version=signature,
            **self._options["config"],
        )
        return self._session.client("s3", config=config, **self._options["client"])

    def _signature(self, settings: Mapping[str, str]) -> Any:
        if not _is_true(settings.get("allow_anonymous_login", "")):
            return None
        from botocore import UNSIGNED

        return UNSIGNED


@contextmanager
def told() -> Iterator[None]:
    """Turn the exceptions of boto3, botocore and urllib3 into one."""
    from botocore.exceptions import BotoCoreError, ClientError
    from urllib3.exceptions import HTTPError

    try:
        yield
    except (BotoCoreError, ClientError, HTTPError, ValueError) as error:
        raise FailedCallError(error) from error


def _is_broken(error: BaseException | None) -> bool:
    """Whether an answer broke off, so that a retry may help."""
    return type(error).__name__ in _BROKEN or type(error).__module__.startswith(
        "urllib3"
    )


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
    return session


def _options(settings: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    client: dict[str, Any] = {}
    if endpoint := settings.get("endpointurl"):
        client["endpoint_url"] = endpoint
    if "use_ssl" in settings:
        client["use_ssl"] = _is_true(settings["use_ssl"])
    if verify := settings.get("ssl_verify"):
        is_switch = verify.lower() in ("true", "false", "yes", "no", "0", "1")
        client["verify"] = _is_true(verify) if is_switch else verify
    config: dict[str, Any] = {"connect_timeout": 10}
    for name in ("connect_timeout", "read_timeout"):
        if name in settings:
            config[name] = int(settings[name])
    return {"client": client, "config": config}


def _is_true(text: str) -> bool:
    return text.lower() in ("true", "yes", "1", "on")
