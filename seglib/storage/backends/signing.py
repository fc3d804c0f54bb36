"""Presigned addresses for reading objects, made faster than boto3 makes them."""

import hashlib
import hmac
import threading
import time
from collections.abc import Callable
from typing import NamedTuple
from urllib.parse import parse_qs, quote

_ALGORITHM = "AWS4-HMAC-SHA256"
_RENEWED_AFTER_S = 120  # of the minutes for which an address holds
_ANY = "x"  # the path that boto3 signs


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
