"""Whether an image can be pulled, asked by the registry API (v2): S240 … S242."""

import base64
import json
import os
import re
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode

from pipeline.preflight.around.looking import Seen
from pipeline.preflight.around.questions import Answer, ask
from pipeline.preflight.findings import FoundError

_ACCEPT = ", ".join(
    [
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.docker.distribution.manifest.v2+json",
    ]
)


class ImageReference(NamedTuple):
    """Where an image is, and which."""

    registry: str  # host:port; "" where the engine's own default is meant
    repository: str
    reference: str  # a digest, or a tag

    @property
    def url(self) -> str:
        """Of its manifest. A registry on this machine speaks plain HTTP."""
        host = self.registry.partition(":")[0]
        scheme = "http" if host in ("localhost", "127.0.0.1") else "https"
        path = f"/v2/{self.repository}/manifests/{self.reference}"
        return f"{scheme}://{self.registry}{path}"


def check_image(image: str, *, timeout_s: float) -> Seen:
    """Ask the registry for an image's manifest, with a token if it wants one.

    A name without a registry means the default of the cluster's engine, which is not
    asked.
    """
    place = parse_image(image)
    where = f"image {image}"
    if not place.registry:
        yield f"{where}: names no registry, so none was asked"
        return
    answer = _manifest(place, timeout_s)
    if answer.status == 0:
        raise FoundError("S242", where, f"{place.registry}: {answer.reason}")
    if answer.status in (401, 403):
        known = "with" if _login(place.registry) else "without"
        what = f"{place.registry} answers {answer.status}, asked {known} a login"
        raise FoundError("S241", where, what)
    if answer.status == 404:
        raise FoundError("S240", where, f"{place.registry} does not know it")
    if answer.status != 200:
        raise FoundError("S242", where, f"{place.registry} answers {answer.status}")
    digest = answer.headers.get("docker-content-digest", place.reference)
    if "sha256:" in place.reference and digest != place.reference:
        what = f"the registry has {digest} under this digest"
        raise FoundError("S240", where, what)
    yield f"{where}: the registry has it"


def parse_image(image: str) -> ImageReference:
    """Take a name apart.

    >>> parse_image("registry.example.com/team/seglib:cpu")
    ImageReference(registry='registry.example.com', repository='team/seglib', \
reference='cpu')
    >>> parse_image("python:3.11").registry
    ''
    """
    name, _, digest = image.partition("@")
    match = re.fullmatch(r"(.*?)(?::([\w][\w.-]{0,127}))?", name)
    path, tag = match.groups() if match else (name, None)
    first, _, rest = path.partition("/")
    if rest and ("." in first or ":" in first or first == "localhost"):
        registry, repository = first, rest
    else:
        registry, repository = "", path
    return ImageReference(registry, repository, digest or tag or "latest")


def _manifest(place: ImageReference, timeout_s: float) -> Answer:
    headers = {"Accept": _ACCEPT}
    how: dict[str, Any] = {"method": "HEAD", "timeout_s": timeout_s, "follow": True}
    answer = ask(place.url, headers=headers, **how)
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
    return ask(place.url, headers=headers, **how)


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
