"""The acceptance suite on recorded answers; `make test-cluster` takes a real one."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from pipeline.kfp.connection import connect
from pipeline.kfp.endpoint import Endpoint
from tests.acceptance.__main__ import run
from tests.acceptance.checks import CHECKS, Check
from tests.acceptance.ground import Ground, Unverified
from tests.acceptance.probe import NO_ROOM, compile_probe, work
from tests.fakes.kfp_api import KfpApi
from tests.fakes.kubernetes_api import KubernetesApi
from tests.pipeline.kfp.conftest import QUICK

# What a run of the probe that behaves so is answered by.
CASES = {
    "succeed": "a0-ok",
    "fail": "a0-failed",
    "oom": "oom",
    "cache": "held",
    "wait": "deleted",
    "kill": "retry-max-20s",
    "train": "succeeded",
    "hold": "held",
}
# No recorded answer covers these; a real cluster alone shows them.
UNVERIFIED = {
    "a_log_while_it_runs",
    "a_log_after_the_end",
    "a_log_after_its_pod",
    "variables_in_a_pod",
    "the_row_in_mlflow",
    "a_training_in_several_pods",
}


@pytest.fixture
def api() -> Iterator[KfpApi]:
    def chosen(run: Mapping[str, Any]) -> str:
        return CASES[run["runtime_config"]["parameters"]["behaviour"]]

    with KfpApi() as api:
        api.chosen = chosen
        yield api


@pytest.fixture
def below(
    api: KfpApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[KubernetesApi]:
    with KubernetesApi(api) as below:
        below.use(monkeypatch, tmp_path)
        yield below


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("probe")
    image = f"registry.example/seglib@sha256:{'ab' * 32}"
    compile_probe(folder / "probe.yaml", image=image)
    compile_probe(folder / "waiting.yaml", image=image, cpu=NO_ROOM)
    return folder / "probe.yaml", folder / "waiting.yaml"


@pytest.fixture
def ground(api: KfpApi, below: KubernetesApi, compiled: tuple[Path, Path]) -> Ground:
    return Ground(
        cluster=connect(Endpoint(host=api.url, patience=QUICK)),
        probe=compiled[0],
        waiting=compiled[1],
        recorded=True,
        every_s=0.0,
    )


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_a_check_holds_on_recorded_answers_or_is_listed_as_unverified(
    ground: Ground, check: Check
) -> None:
    ground.run("succeed")  # the checks before it
    if check.__name__ in UNVERIFIED:
        with pytest.raises(Unverified):
            check(ground)
        return
    check(ground)


def test_the_table_says_what_holds_and_what_could_not_be_checked(
    ground: Ground, api: KfpApi, capsys: pytest.CaptureFixture[str]
) -> None:
    with ground.cleaning():
        assert run(ground, only=" log ") == 0
    *lines, last = capsys.readouterr().out.splitlines()
    assert last == "1 holds, 0 FAILED, 3 not checked"
    (line,) = (line for line in lines if line.startswith("holds"))
    assert line.endswith(
        "a log that does not exist is an error, and not a page of JSON"
    )
    assert not api.runs, "nothing is left behind"
    assert not api.recurring_runs


def test_a_check_that_does_not_hold_fails_and_says_why(
    ground: Ground, api: KfpApi, capsys: pytest.CaptureFixture[str]
) -> None:
    api.chosen = lambda _: "a0-failed"
    assert run(ground, only="a run that succeeds") == 1
    out = capsys.readouterr().out
    assert "FAILED" in out
    assert "0 holds, 1 FAILED" in out


def test_the_step_does_what_it_is_told_to(capsys: pytest.CaptureFixture[str]) -> None:
    assert work.python_func("succeed", 0.0, "salt") == "salt"
    assert "probe: succeed salt ends" in capsys.readouterr().out
    with pytest.raises(SystemExit) as ended:
        work.python_func("fail", 0.0, "salt")
    assert ended.value.code == 3
