"""Small pipelines as KFP's own compiler writes them, each with one defect or none."""

import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from pipeline.preflight.findings import Finding
from tests.pipeline.preflight.compiled import Compiled, read_compiled


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("compiled")
    for name in ("small_pipelines.py", "sound_pipelines.py"):
        command = [sys.executable, Path(__file__).with_name(name), folder]
        subprocess.run(command, check=True, capture_output=True)
    return folder


def test_what_is_wrong_with_small_pipelines_is_found_and_nothing_else(
    folder: Path, found: Callable[[Compiled], Sequence[Finding]]
) -> None:
    expected, received = {}, {}
    for path in sorted(folder.glob("*.yaml")):
        name, _, codes = path.stem.partition("=")
        compiled = read_compiled(path)
        _bound(compiled)
        expected[name] = codes
        received[name] = "+".join(finding.code for finding in found(compiled))
    assert len(expected) == 22 + 8
    assert received == expected


def test_the_place_of_a_finding_in_a_condition_names_the_task(
    folder: Path, found: Callable[[Compiled], Sequence[Finding]]
) -> None:
    (path,) = folder.glob("resources-by-parameter=*.yaml")
    compiled = read_compiled(path)
    _bound(compiled)
    (finding,) = found(compiled)
    assert finding.where == "task comp-condition-1/take"
    assert finding.what == "comp-condition-1 does not declare pipelinechannel--cpu"


def _bound(compiled: Compiled) -> None:
    """Give every pod limits, a deadline and a user: what is not asked about here."""
    kubernetes: dict[str, Any] = compiled.platform.setdefault("platforms", {})
    deployment = kubernetes.setdefault("kubernetes", {}).setdefault(
        "deploymentSpec", {}
    )
    pods = deployment.setdefault("executors", {})
    for name, executor in compiled.executors.items():
        if "container" not in executor:
            continue
        limits = {"resourceCpuLimit": "1", "resourceMemoryLimit": "1Gi"}
        given = executor["container"].setdefault("resources", {})
        executor["container"]["resources"] = limits | given
        pod = pods.setdefault(name, {})
        pod["activeDeadlineSeconds"] = 600
        pod["securityContext"] = {"runAsNonRoot": True}
