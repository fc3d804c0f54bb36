"""Our own pipeline as it is compiled, and a way to have one examined."""

import copy
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from pipeline.preflight.checkup import examine
from pipeline.preflight.findings import Finding
from tests.pipeline.preflight.compiled import IMAGE, Compiled, read_compiled


@pytest.fixture(scope="session")
def compiled_file(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> Path:
    path = tmp_path_factory.mktemp("doctor") / "pipeline.yaml"
    command = [sys.executable, "-m", "pipeline", "compile", "-o", str(path)]
    command += ["--image", IMAGE, "--gpus", "1"]
    subprocess.run(command, cwd=repository, check=True, capture_output=True)
    return path


@pytest.fixture(scope="session")
def compiled(compiled_file: Path) -> Compiled:
    return read_compiled(compiled_file)


@pytest.fixture
def ours(compiled: Compiled) -> Compiled:
    """A copy of our own pipeline, to be broken."""
    return copy.deepcopy(compiled)


@pytest.fixture
def found(tmp_path: Path) -> Callable[..., Sequence[Finding]]:
    """What is found in a compiled pipeline."""

    def findings(broken: Compiled) -> Sequence[Finding]:
        return examine(broken.write(tmp_path / "broken.yaml")).findings

    return findings
