"""Our own pipeline as it is compiled, and a way to have one examined."""

import copy
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from pipeline.dag.cluster_config import ClusterConfig
from pipeline.dag.compile import compile_pipeline
from pipeline.preflight.checkup import examine
from pipeline.preflight.findings import Finding
from tests.pipeline.preflight.compiled import IMAGE, Compiled, read_compiled


@pytest.fixture(scope="session")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Compiled:
    path = tmp_path_factory.mktemp("doctor") / "pipeline.yaml"
    cluster = ClusterConfig().with_step("train", gpus=1)
    compile_pipeline(path, image=IMAGE, cluster=cluster)
    return read_compiled(path)


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
