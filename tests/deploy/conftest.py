"""The manifests as kubectl's own kustomize builds them."""

import os
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.deploy.manifests import Manifests, build

VARIANTS = ("base", "kind", "cloud", "kind with components", "cloud with components")


@pytest.fixture(scope="session")
def kubectl() -> str:
    beside = Path(sys.executable).with_name("kubectl")
    found = str(beside) if beside.exists() else shutil.which("kubectl")
    if not found:
        pytest.skip("kubectl is not installed. To run it: make kubectl.")
    return found


@pytest.fixture(scope="session")
def built(
    kubectl: str, repository: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Manifests]:
    """Gives the documents of a variant."""
    known: dict[str, Manifests] = {}

    def get(variant: str) -> Manifests:
        if variant not in known:
            folder = _folder(variant, repository, tmp_path_factory.mktemp("overlay"))
            known[variant] = build(kubectl, folder)
        return known[variant]

    return get


@pytest.fixture(params=VARIANTS)
def manifests(
    request: pytest.FixtureRequest, built: Callable[[str], Manifests]
) -> Manifests:
    return built(request.param)


@pytest.fixture(scope="session")
def secrets(
    kubectl: str, repository: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Manifests]:
    """Gives the Secrets that the templates of a folder of deploy/secrets become."""
    known: dict[str, Manifests] = {}

    def get(folder: str) -> Manifests:
        if folder not in known:
            source = repository / "deploy" / "secrets" / folder
            known[folder] = _filled(kubectl, source, tmp_path_factory.mktemp("secrets"))
        return known[folder]

    return get


def _filled(kubectl: str, source: Path, target: Path) -> Manifests:
    shutil.copy(source / "kustomization.yaml", target)
    for path in source.glob("*.example.env"):
        lines = path.read_text().splitlines()
        given = [f"{line}x" if re.fullmatch(r"\w+=", line) else line for line in lines]
        copied = target / path.name.replace(".example.env", ".env")
        copied.write_text("\n".join(given) + "\n")
    return build(kubectl, target)


def _folder(variant: str, repository: Path, empty: Path) -> Path:
    """A folder of the repository, or one that adds the components, as users would."""
    deploy = repository / "deploy"
    name, _, components = variant.partition(" with ")
    folder = deploy / "base" if name == "base" else deploy / "overlays" / name
    if not components:
        return folder
    lines = [f"resources: [{os.path.relpath(folder, empty.resolve())}]", "components:"]
    for component in sorted((deploy / "components").iterdir()):
        lines.append(f"  - {os.path.relpath(component, empty.resolve())}")
    (empty / "kustomization.yaml").write_text("\n".join(lines) + "\n")
    return empty
