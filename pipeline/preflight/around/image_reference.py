"""An image's name, taken apart as container engines do."""

import re
from typing import NamedTuple


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
