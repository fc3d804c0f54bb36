"""What KFP made half: it is found in Kubernetes, ended, and never made again."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.dag.inputs import Data
from pipeline.kfp.connection import KfpServer, connect
from pipeline.kfp.endpoint import Endpoint
from pipeline.kfp.failures import ClusterError
from pipeline.kfp.ghosts import Trace
from pipeline.kfp.kubernetes_api import SCHEDULES, WORKFLOWS
from pipeline.kfp.order import Order
from pipeline.kfp.schedule_file import Schedule
from pipeline.kfp.schedules import Wanted, apply
from pipeline.kfp.schedules import plan as plan_of
from pipeline.kfp.submission import submit
from tests.fakes.kfp_api import Fault, KfpApi
from tests.fakes.kubernetes_api import KubernetesApi
from tests.pipeline.kfp.conftest import QUICK

CREATE = "run_service_create_run"
CREATE_SCHEDULE = "recurring_run_service_create_recurring_run"


@pytest.fixture
def make(
    api: KfpApi, cluster: KfpServer, order: Order, kubernetes: KubernetesApi
) -> Callable[[str], None]:
    """Make a run or a schedule whose description KFP cannot store, beside another."""

    def run(what: str) -> None:
        schedule = Schedule(every="1d", enabled=what != "other")
        name = "other" if what == "other" else "nightly"
        wanted = Wanted(
            group="streets", name=name, schedule=schedule, order=order, experiment=""
        )
        if what == "run":
            submit(cluster, order)
        else:
            apply(cluster, plan_of([wanted], []))

    other = Data(data_md5="f" * 32 + ".dir", remote="s3://x/y", title="")
    submit(cluster, replace(order, data=other))
    run("other")
    api.width = 100  # characters of a description; those of ours are longer
    return run


@pytest.mark.parametrize(
    ("what", "create", "resource"),
    [("run", CREATE, WORKFLOWS), ("schedule", CREATE_SCHEDULE, SCHEDULES)],
)
def test_what_was_half_made_is_deleted_and_not_made_again(
    api: KfpApi,
    kubernetes: KubernetesApi,
    make: Callable[[str], None],
    what: str,
    create: str,
    resource: object,
) -> None:
    before = len(api.calls(create))
    with pytest.raises(ClusterError) as caught:
        make(what)
    assert len(api.calls(create)) == before + 1
    assert not api.ghosts
    (name,) = kubernetes.deleted
    message = str(caught.value)
    assert "Data too long for column 'Description'" in message
    assert f"KFP had made {name} ({resource}), which it does not list" in message
    assert "it is deleted.\nNothing was made again" in message


@pytest.mark.parametrize("what", ["run", "schedule"])
def test_what_may_not_be_deleted_is_named_with_the_command_that_ends_it(
    api: KfpApi,
    kubernetes: KubernetesApi,
    make: Callable[[str], None],
    what: str,
    kubectl: Callable[[str], str],
) -> None:
    kubernetes.denied.add("delete")
    with pytest.raises(ClusterError, match="403.*seglib-submitter") as caught:
        make(what)
    assert len(api.ghosts) == 1
    match = re.search("End it: (kubectl .*)", str(caught.value))
    assert match
    kubernetes.denied.clear()
    kubectl(match[1])
    assert not api.ghosts


@pytest.mark.parametrize("what", ["run", "schedule"])
def test_where_kubernetes_does_not_answer_nothing_is_made_again(
    api: KfpApi,
    kubernetes: KubernetesApi,
    make: Callable[[str], None],
    what: str,
    kubectl: Callable[[str], str],
) -> None:
    kubernetes.denied.add("list")
    with pytest.raises(ClusterError, match="not made again. Kubernetes") as caught:
        make(what)
    (ghost,) = api.ghosts
    kubernetes.denied.clear()
    look, end = str(caught.value).splitlines()[-2:]
    name = kubectl(look).strip().rpartition("/")[2]
    assert name.endswith(ghost[:5])
    kubectl(end.replace("NAME", name))
    assert not api.ghosts


def test_without_a_kubeconfig_a_failed_creation_is_not_repeated(
    api: KfpApi, cluster: KfpServer, order: Order
) -> None:
    api.faults.append(Fault(CREATE, status=503))
    with pytest.raises(ClusterError, match="(?s)503.*not made again. Kubernetes: .*"):
        submit(cluster, order)
    assert len(api.calls(CREATE)) == 1


def test_the_kubernetes_of_another_kfp_is_no_witness(
    api: KfpApi, kubernetes: KubernetesApi, order: Order
) -> None:
    """The same commit may run there, under the same name: it must not be ended."""
    with KfpApi() as another:
        cluster = connect(Endpoint(host=another.url, patience=QUICK))
        submit(connect(Endpoint(host=api.url, patience=QUICK)), order)
        another.faults.append(Fault(CREATE))
        with pytest.raises(ClusterError, match="may be another cluster"):
            submit(cluster, order)
        assert len(another.calls(CREATE)) == 1
    assert len(api.runs) == 1
    assert not kubernetes.deleted


@pytest.mark.parametrize("looks", [1, 2], ids=["before it is asked", "after"])
def test_a_run_that_kfp_lists_late_is_no_ghost(
    api: KfpApi, kubernetes: KubernetesApi, make: Callable[[str], None], looks: int
) -> None:
    """It made the workflow and gave no answer, and fills its table seconds later."""
    asked: list[str] = []

    def store_late(verb: str) -> None:
        asked.append(verb)
        if asked.count("list workflows") == looks:
            api.runs.update(api.ghosts)
            api.ghosts.clear()

    kubernetes.after = store_late
    api.faults.append(Fault(CREATE, status=0, after=True))
    make("run")
    assert len(api.calls(CREATE)) == 2
    assert len(api.runs) == 2
    assert not kubernetes.deleted


def test_an_ended_workflow_of_the_same_name_is_no_ghost() -> None:
    trace = Trace(resource=WORKFLOWS, name="ghost")
    meta = {
        "annotations": {"pipelines.kubeflow.org/run_name": "ghost"},
        "labels": {"workflows.argoproj.io/completed": "true"},
    }
    assert not trace.fits(meta)


def test_a_schedules_object_begins_with_what_kubernetes_takes_of_its_name() -> None:
    name = "Streets ä-" + "n" * 40
    trace = Trace(resource=SCHEDULES, name=name)
    assert trace.prefix == "streets-" + "n" * 17


@pytest.fixture
def kubectl(tmp_path: Path) -> Callable[[str], str]:
    """Runs a printed command, as its reader would."""
    places = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    if not shutil.which("kubectl", path=places):
        pytest.skip("kubectl is not installed. To run it: make kubectl.")

    def run(command: str) -> str:
        done = subprocess.run(
            command,
            shell=True,
            check=False,
            capture_output=True,
            text=True,
            env={
                "KUBECONFIG": str(tmp_path / "kubeconfig"),
                "HOME": str(tmp_path),
                "PATH": places,
            },
        )
        assert not done.returncode, done.stderr
        return done.stdout

    return run
