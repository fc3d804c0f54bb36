"""An image's name, taken apart as container engines do."""

import re
from typing import NamedTuple

_DOCKER_HUB = "registry-1.docker.io"


class ImageReference(NamedTuple):
    """Where an image is, and which."""

    registry: str  # host:port
    repository: str
    reference: str  # a digest, or a tag

    @property
    def url(self) -> str:
        """Of its manifest. A registry on this machine speaks plain HTTP."""
        host = self.registry.partition(":")[0]
        scheme = "http" if host in ("localhost", "127.0.0.1") else "https"
        path = f"/v2/{self.repository}/manifests/{self.reference}"
        return f"{scheme}://{self.registry}{path}"


def parse_image(image: str) -> ImageReference:
    """Take a name apart.

    >>> parse_image("python:3.11")
    ImageReference(registry='registry-1.docker.io', repository='library/python', \
reference='3.11')
    """
    name, _, digest = image.partition("@")
    match = re.fullmatch(r"(.*?)(?::([\w][\w.-]{0,127}))?", name)
    path, tag = match.groups() if match else (name, None)
    first, _, rest = path.partition("/")
    if rest and ("." in first or ":" in first or first == "localhost"):
        registry, repository = first, rest
    else:
        registry, repository = _DOCKER_HUB, path if rest else f"library/{path}"
    if registry == "docker.io":
        registry = _DOCKER_HUB
    return ImageReference(registry, repository, digest or tag or "latest")
