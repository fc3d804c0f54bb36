"""A container of the manifests as a process of this machine: the same command line."""

import base64
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.deploy.manifests import Document, Manifests

# What a container of the project's image has on its PATH.
_PROGRAMS = {
    "seglib": [sys.executable, "-c", "from seglib.cli.main import main; main()"],
    "mlflow": [sys.executable, "-m", "mlflow"],
}


def environment(
    container: Document, manifests: Manifests, secrets: Manifests
) -> dict[str, str]:
    """The variables that Kubernetes would set."""
    found: dict[str, str] = {}
    for source in container.get("envFrom", []):
        found |= manifests.get("ConfigMap", source["configMapRef"]["name"])["data"]
    for variable in container.get("env", []):
        source = variable.get("valueFrom", {})
        if reference := source.get("secretKeyRef"):
            data = secrets.get("Secret", reference["name"])["data"]
            value = base64.b64decode(data[reference["key"]]).decode()
        elif reference := source.get("configMapKeyRef"):
            value = manifests.get("ConfigMap", reference["name"])["data"][
                reference["key"]
            ]
        else:
            value = _expanded(variable["value"], found)
        found[variable["name"]] = value
    return found


def command(
    container: Document, variables: Mapping[str, str], replaced: Mapping[str, str]
) -> list[str]:
    """Its command line, with places of this machine instead of the container's."""
    words = [*container["command"], *container.get("args", [])]
    if words[0] not in ("sh", "/bin/sh"):
        words = [_expanded(word, variables) for word in words]
        words = [*_PROGRAMS[words[0]], *words[1:]]
    return [replace(word, replaced) for word in words]


def start(
    words: list[str], variables: Mapping[str, str], log: Path
) -> subprocess.Popen[bytes]:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    with log.open("a") as output:
        return subprocess.Popen(
            words,
            env={**os.environ, "PATH": path, **variables},
            stdout=output,
            stderr=output,
        )


def replace(text: str, replaced: Mapping[str, str]) -> str:
    for old, new in replaced.items():
        text = text.replace(old, new)
    return text


def _expanded(text: str, variables: Mapping[str, str]) -> str:
    """`$(NAME)`, as Kubernetes expands it."""
    for name, value in variables.items():
        text = text.replace(f"$({name})", value)
    return text
