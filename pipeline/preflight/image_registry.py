"""Whether an image can be pulled, asked by the registry API (v2): S240 … S242."""

import base64
import json
import os
import re
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode

import urllib3

from pipeline.preflight.findings import FoundError
from pipeline.preflight.looking import Seen, ask

_ACCEPT = ", ".join(
    [
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.docker.distribution.manifest.v2+json",
    ]
)
_IMAGE = re.compile(
    r"(?:(?P<registry>[^/]*[.:][^/]*|localhost)/)?(?P<repository>[^@]+?)"
    r"(?::(?P<tag>\w[\w.-]{0,127}))?(?:@(?P<digest>.*))?"
)


class ImageReference(NamedTuple):
    """Where an image is, and which."""

    registry: str  # host:port; "" where the engine's own default is meant
    repository: str
    reference: str  # a digest, or a tag


def check_image(image: str, *, timeout_s: float) -> Seen:
    """Ask the registry for an image's manifest, with a token if it wants one.

    A name without a registry means the default of the cluster's engine, which is not
    asked.
    """
    place, where = parse_image(image), f"image {image}"
    registry, wanted = place.registry, place.reference
    if not registry:
        yield f"{where}: names no registry, so none was asked"
        return
    try:
        answer = _manifest(
            place, {"timeout_s": timeout_s, "code": "S242", "where": where}
        )
    except FoundError as error:
        raise FoundError("S242", where, f"{registry}: {error.finding.what}") from error
    if answer.status in (401, 403):
        known = "with" if _login(registry) else "without"
        what = f"{registry} answers {answer.status}, asked {known} a login"
        raise FoundError("S241", where, what)
    if answer.status == 404:
        raise FoundError("S240", where, f"{registry} does not know it")
    if answer.status != 200:
        raise FoundError("S242", where, f"{registry} answers {answer.status}")
    digest = answer.headers.get("docker-content-digest", wanted)
    if "sha256:" in wanted and digest != wanted:
        raise FoundError("S240", where, f"the registry has {digest} under this digest")
    yield f"{where}: the registry has it"


def parse_image(image: str) -> ImageReference:
    """Take a name apart.

    >>> parse_image("registry.example.com/team/seglib:cpu")
    ImageReference(registry='registry.example.com', repository='team/seglib', \
reference='cpu')
    >>> parse_image("python:3.11").registry
    ''
    """
    match = _IMAGE.fullmatch(image)
    if not match:
        return ImageReference("", image, "latest")
    registry, repository, tag, digest = match.groups()
    return ImageReference(registry or "", repository, digest or tag or "latest")


def _manifest(place: ImageReference, how: dict[str, Any]) -> urllib3.BaseHTTPResponse:
    # A registry on this machine speaks plain HTTP.
    is_local = place.registry.partition(":")[0] in ("localhost", "127.0.0.1")
    url = (
        f"{'http' if is_local else 'https'}://{place.registry}/v2/{place.repository}"
        f"/manifests/{place.reference}"
    )
    headers = {"Accept": _ACCEPT}
    answer = ask("HEAD", url, headers=headers, follow=True, **how)
    if answer.status != 401:
        return answer
    challenge = answer.headers.get("www-authenticate", "")
    login = _login(place.registry)
    authorization = f"Basic {login}" if login else ""
    if challenge.lower().startswith("bearer"):
        authorization = _token(challenge, place, authorization, how)
    if not authorization:
        return answer
    headers["Authorization"] = authorization
    return ask("HEAD", url, headers=headers, follow=True, **how)


def _token(
    challenge: str, place: ImageReference, login: str, how: dict[str, Any]
) -> str:
    """The header with a token from the place that the challenge names."""
    given = dict(re.findall(r'(\w+)="([^"]*)"', challenge))
    realm = given.get("realm", "")
    if not realm.startswith(("https://", "http://127.0.0.1", "http://localhost")):
        return ""
    scope = given.get("scope") or f"repository:{place.repository}:pull"
    query = urlencode({"service": given.get("service", ""), "scope": scope})
    headers = {"Authorization": login} if login else {}
    answer = ask("GET", f"{realm}?{query}", headers=headers, **how)
    try:
        found = answer.json()
        token = found.get("token") or found.get("access_token")
    except (ValueError, AttributeError):
        return ""
    return f"Bearer {token}" if token else ""


def _login(registry: str) -> str:
    """What `docker login` noted, as base64; helpers that keep it are not asked."""
    folder = os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker"
    try:
        config = json.loads((Path(folder) / "config.json").read_text(encoding="utf-8"))
        logins = config.get("auths", {})
    except (OSError, ValueError, AttributeError):
        return ""
    for name in (registry, f"https://{registry}"):
        login = str(logins.get(name, {}).get("auth", ""))
        if login and base64.b64decode(login, validate=False):
            return login
    return ""
