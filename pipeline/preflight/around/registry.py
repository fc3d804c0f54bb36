"""Whether an image can be pulled, asked as the registry API (v2) says: S240 … S242."""

import base64
import json
import os
import re
from pathlib import Path
from urllib.parse import urlencode

from pipeline.preflight.around.image_reference import ImageReference, parse_image
from pipeline.preflight.around.looking import Seen
from pipeline.preflight.around.questions import Answer, ask
from pipeline.preflight.findings import Finding

_ACCEPT = ", ".join(
    [
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.docker.distribution.manifest.v2+json",
    ]
)


def check_image(image: str, *, timeout_s: float) -> Seen:
    """Ask the registry for an image's manifest, with a token if it wants one.

    A name without a registry means whichever the cluster's engine takes by default.
    """
    place = parse_image(image)
    if not place.registry:
        return Seen(notes=(f"image {image}: names no registry, so none was asked",))
    answer = _manifest(place, timeout_s)
    if answer.status == 200:
        digest = answer.headers.get("docker-content-digest", "")
        if place.reference.startswith("sha256:") and digest not in (
            "",
            place.reference,
        ):
            return _seen("S240", image, f"the registry has {digest} under this digest")
        return Seen(notes=(f"image {image}: the registry has it",))
    if answer.status == 0:
        return _seen("S242", image, f"{place.registry}: {answer.reason}")
    if answer.status in (401, 403):
        known = "with" if _login(place.registry) else "without"
        what = f"{place.registry} answers {answer.status}, asked {known} a login"
        return _seen("S241", image, what)
    if answer.status == 404:
        return _seen("S240", image, f"{place.registry} does not know it")
    return _seen("S242", image, f"{place.registry} answers {answer.status}")


def _manifest(place: ImageReference, timeout_s: float) -> Answer:
    headers = {"Accept": _ACCEPT}
    answer = ask(
        place.url, headers=headers, method="HEAD", timeout_s=timeout_s, follow=True
    )
    if answer.status != 401:
        return answer
    challenge = answer.headers.get("www-authenticate", "")
    login = _login(place.registry)
    authorization = f"Basic {login}" if login else ""
    if challenge.lower().startswith("bearer"):
        authorization = _token(challenge, place, login, timeout_s)
    if not authorization:
        return answer
    headers["Authorization"] = authorization
    return ask(
        place.url, headers=headers, method="HEAD", timeout_s=timeout_s, follow=True
    )


def _token(challenge: str, place: ImageReference, login: str, timeout_s: float) -> str:
    """The header with a token from the place that the challenge names."""
    given = dict(re.findall(r'(\w+)="([^"]*)"', challenge))
    realm = given.get("realm", "")
    if not realm.startswith(("https://", "http://127.0.0.1", "http://localhost")):
        return ""
    scope = given.get("scope") or f"repository:{place.repository}:pull"
    query = urlencode({"service": given.get("service", ""), "scope": scope})
    headers = {"Authorization": f"Basic {login}"} if login else {}
    answer = ask(f"{realm}?{query}", headers=headers, timeout_s=timeout_s)
    token = answer.json.get("token") or answer.json.get("access_token")
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


def _seen(code: str, image: str, what: str) -> Seen:
    return Seen((Finding(code=code, where=f"image {image}", what=what),))
