"""What Kubeflow Pipelines has to answer for the product to tell the truth about it.

Each check is a sentence, its function's docstring, and holds, fails by an assertion, or
raises Unverified. They run in this order, on a real cluster by `make test-cluster`, on
recorded answers by `make test`.
"""

import contextlib
import subprocess
import sys
import time
from collections.abc import Callable

import kfp_server_api

from pipeline.kfp.failures import ClusterError
from pipeline.kfp.ghosts import Trace, create_once
from pipeline.kfp.kubernetes_api import WORKFLOWS
from pipeline.kfp.logs import find_step, follow_log, last_attempt
from pipeline.kfp.runs import Run, find_run, get_run, list_runs, terminate
from seglib.errors import SegError
from seglib.runtime.workflow import (
    CACHED,
    CANCELED,
    FAILED,
    PENDING,
    RUNNING,
    SUCCEEDED,
    RunStep,
)
from tests.acceptance.ground import EXPERIMENT, Ground, Unverified
from tests.acceptance.probe import MARK

Check = Callable[[Ground], None]
CHECKS: list[Check] = []
_MACHINERY = ("root", "executor", "exit-handler", "iteration", "condition", "for-loop")
_NEVER = "0 0 0 29 2 *"  # with seconds: once in four years


def check(function: Check) -> Check:
    """Add a check; they run in the order in which they are written."""
    CHECKS.append(function)
    return function


@check
def a_run_succeeds(ground: Ground) -> None:
    """1, 3: a run that succeeds is SUCCEEDED, its steps are those of the pipeline."""
    run = ground.run("succeed")
    assert run.state == SUCCEEDED, run.state
    assert run.ended, "it has no end"
    _require_steps_only(run)
    assert {step.state for step in run.steps} == {SUCCEEDED}, run.steps
    assert all(len(step.attempts) == 1 for step in run.steps), run.steps


@check
def a_run_fails(ground: Ground) -> None:
    """1, 2: a step that fails ends the run, by its exit code, and is tried once."""
    run = ground.run("fail")
    assert run.state == FAILED, run.state
    failed = _failed(run)
    assert "exit code" in failed.message, failed.message
    assert len(failed.attempts) == 1, failed.attempts
    assert failed.label in run.error, run.error


@check
def a_run_is_out_of_memory(ground: Ground) -> None:
    """1: a step that takes too much memory is OOMKilled, and so says the run."""
    run = ground.run("oom")
    assert run.state == FAILED, run.state
    assert "OOMKilled" in _failed(run).message, _failed(run).message
    assert "OOMKilled" in run.error, run.error


@check
def a_run_is_stopped(ground: Ground) -> None:
    """1: a run that is stopped is CANCELED, although KFP says FAILED in the end."""
    run_id = ground.start("succeed", seconds=600)
    ground.until(run_id, _is_running)
    terminate(ground.cluster, run_id)
    run = ground.until(run_id, lambda run: run.finished)
    assert run.state == CANCELED, run.state
    listed = next(one for one in list_runs(ground.cluster) if one.run_id == run_id)
    assert listed.state == CANCELED, listed.state
    assert [step for step in run.steps if step.state == CANCELED], run.steps
    terminate(ground.cluster, run_id)  # again: nothing happens, nothing fails


@check
def a_step_is_cached(ground: Ground) -> None:
    """3: a step whose result is from the cache is CACHED, and has no log."""
    ground.run("succeed", salt=f"{ground.salt}-same")
    run = ground.run(
        "cache" if ground.recorded else "succeed", salt=f"{ground.salt}-same"
    )
    cached = [step for step in run.steps if step.state == CACHED]
    assert cached, run.steps
    with contextlib.suppress(SegError):
        last_attempt(cached[0])
        raise AssertionError("a cached step has a pod")


@check
def a_step_waits(ground: Ground) -> None:
    """3: a step for which there is no room is PENDING, and says why."""
    run_id = ground.start("wait")

    def waits(run: Run) -> bool:
        return any(s.state == PENDING and "nsufficient" in s.message for s in run.steps)

    run = ground.until(run_id, waits)
    step = next(s for s in run.steps if "nsufficient" in s.message)
    assert step.message.startswith("Unschedulable"), step.message
    terminate(ground.cluster, run_id)
    assert ground.until(run_id, lambda run: run.finished).state == CANCELED


@check
def a_deleted_pod_is_repeated(ground: Ground) -> None:
    """2: a step whose pod is deleted is repeated, as an attempt of the same step."""
    if ground.recorded:
        run = ground.run("kill")
    else:
        ground.below()
        run_id = ground.start("succeed", seconds=60)
        step = find_step(ground.until(run_id, _is_running), "work")
        ground.delete_pod(step.attempts[-1].pod)
        run = ground.until(run_id, lambda run: run.finished)
    assert run.state == SUCCEEDED, run.state
    step = next(step for step in run.steps if len(step.attempts) > 1)
    assert step.attempts[0].message == "pod deleted", step
    assert step.state == SUCCEEDED, step


@check
def a_log_while_it_runs(ground: Ground) -> None:
    """3: a log is there while the step runs, and is followed to its end."""
    if ground.recorded:
        raise Unverified("the recorded logs are cut")
    run_id = ground.start("succeed", seconds=20)
    run = ground.until(run_id, _is_running)
    step = find_step(run, "work")
    text = "".join(follow_log(ground.cluster, run, step, every_s=ground.every_s))
    assert "begins" in text, text
    assert "ends" in text, text


@check
def a_log_after_the_end(ground: Ground) -> None:
    """3: the log of a step that has ended is there, without KFP's own lines."""
    if ground.recorded:
        raise Unverified("the recorded logs are cut")
    run = ground.run("succeed")
    step = find_step(run, "work")
    own = "".join(follow_log(ground.cluster, run, step))
    assert MARK in own, own
    assert not [n for n in own.splitlines() if not n.startswith(MARK)], own
    raw = "".join(follow_log(ground.cluster, run, step, raw=True))
    assert "[KFP Executor" in raw, raw


@check
def a_log_after_its_pod(ground: Ground) -> None:
    """3: the log is there when the pod is gone."""
    if ground.recorded:
        raise Unverified("no pods belong to recorded answers")
    ground.below()
    run = ground.run("succeed")
    step = find_step(run, "work")
    with contextlib.suppress(ClusterError):  # Kubernetes was faster
        ground.delete_pod(last_attempt(step).pod)
    assert "ends" in "".join(follow_log(ground.cluster, run, step))


@check
def a_log_of_no_pod(ground: Ground) -> None:
    """3: a log that does not exist is an error, and not a page of JSON."""
    run = ground.run("succeed")
    step = run.steps[0]
    path = f"/apis/v1alpha1/runs/{run.run_id}/nodes/{step.attempts[0].pod}1/log"
    text = ground.cluster.read(path, doing="read a log")
    assert text.startswith('{"error_message"'), text[:200]


@check
def variables_in_a_pod(ground: Ground) -> None:
    """5: no variable of the product holds what Kubernetes writes for a Service."""
    if ground.recorded:
        raise Unverified("the recorded logs are cut")
    run = ground.run("succeed")
    text = "".join(follow_log(ground.cluster, run, find_step(run, "work")))
    lines = [n.split()[-1] for n in text.splitlines() if n.startswith(f"{MARK} var")]
    assert lines, text
    made = [line.partition("=")[0] for line in lines if line.endswith("=tcp://")]
    read = [name for name in made if name in ground.variables()]
    assert not read, f"{read} are read by the product and written by Kubernetes"


@check
def the_newest_run(ground: Ground) -> None:
    """4: a run is found by its id, by its name and by a part of it."""
    run_id = ground.made[0]
    run = get_run(ground.cluster, run_id)
    assert find_run(ground.cluster, run_id).run_id == run_id
    assert find_run(ground.cluster, run.name).name == run.name


@check
def a_ghost(ground: Ground) -> None:
    """4: a run that KFP made half is found in Kubernetes, ended, and not made again."""
    ground.below()
    if not ground.made:  # by what KFP knows of it, Kubernetes is known to be below it
        ground.run("succeed")
    wanted = ground.wanted("succeed", told="x" * 300)  # KFP's column has 255
    create = ground.cluster.runs.run_service_create_run
    made = []

    def once() -> None:
        made.append(wanted.display_name)
        ground.cluster.call(create, run=wanted, doing="start a run")

    failure = None
    try:
        trace = Trace(resource=WORKFLOWS, name=wanted.display_name)
        create_once(ground.cluster, once, lambda: None, trace)
    except ClusterError as error:
        failure = error
    assert failure, "KFP stored a description of 300 characters"
    assert failure.kind == "half-made", failure
    assert "it is deleted" in str(failure), failure
    assert len(made) == 1, f"it was made {len(made)} times"


@check
def schedules(ground: Ground) -> None:
    """4: a recurring run is made, switched and deleted."""
    service = ground.cluster.recurring_runs
    call = ground.cluster.call
    wanted = kfp_server_api.V2beta1RecurringRun(
        display_name=f"{EXPERIMENT}-{ground.salt}",
        experiment_id=ground.experiment(),
        pipeline_spec=ground.spec(),
        runtime_config=kfp_server_api.V2beta1RuntimeConfig(
            parameters={"behaviour": "succeed", "seconds": 0, "salt": ""},
        ),
        max_concurrency="1",
        mode="DISABLE",
        no_catchup=True,
        trigger=kfp_server_api.V2beta1Trigger(cron_schedule={"cron": _NEVER}),
    )
    made = call(
        service.recurring_run_service_create_recurring_run,
        recurring_run=wanted,
        doing="make a schedule",
    )
    schedule = made.recurring_run_id
    try:
        get = service.recurring_run_service_get_recurring_run
        assert call(get, schedule, doing="read it").status == "DISABLED"
        enable = service.recurring_run_service_enable_recurring_run
        call(enable, schedule, doing="switch it on")
        assert call(get, schedule, doing="read it").status == "ENABLED"
    finally:
        delete = service.recurring_run_service_delete_recurring_run
        call(delete, schedule, doing="delete it")
    with contextlib.suppress(ClusterError):
        call(get, schedule, doing="read it")
        raise AssertionError("the schedule is still there")


@check
def the_training_pipeline(ground: Ground) -> None:
    """1, 3: the training pipeline runs to its end, and says so."""
    if ground.recorded:
        run = ground.run("train")
    else:
        run = _submit(ground)
    assert run.state == SUCCEEDED, run.error
    names = [step.label for step in run.steps]
    assert names[:5] == ["verify", "augment", "train", "evaluate", "gate"], names
    assert names[-1] == "finalize", names
    _require_steps_only(run)


@check
def the_row_in_mlflow(ground: Ground) -> None:
    """1: its row is called as the run is, is FINISHED, and has the gate's verdict."""
    if ground.recorded:
        raise Unverified("no pods run here, so nothing is tracked")
    from seglib.tracking.mlflow_address import tracking_uri
    from seglib.tracking.queries import TrackedRuns

    uri = tracking_uri()
    if not uri:
        raise Unverified("needs MLFLOW_TRACKING_URI")
    run = _submit(ground)  # the same run: it is found, not repeated
    row = TrackedRuns(uri).find(run.run_id)
    assert row.status == "FINISHED", row.status
    assert row.name == run.name, row.name
    assert row.tags.get("gate"), row.tags


@check
def a_gate_that_holds(ground: Ground) -> None:
    """1: a run whose gate holds is SUCCEEDED, and exports nothing."""
    if ground.recorded:
        run = ground.run("hold")
    else:
        run = _submit(ground, "--set", "min_miou=0.999999")
    assert run.state == SUCCEEDED, run.error
    exported = [s for s in run.steps if s.label == "export" and s.attempts]
    assert not exported, run.steps


@check
def a_training_in_several_pods(ground: Ground) -> None:
    """7: a training in several pods runs to its end, and its attempts are shown."""
    if ground.recorded:
        raise Unverified("tests/pipeline/test_train_follow.py has the recorded job")
    if not ground.train_job:
        raise Unverified("needs the words of a `train-job` (--train-job)")
    _pipeline("train-job", *ground.train_job, "--wait")


def _submit(ground: Ground, *words: str) -> Run:
    if not ground.training:
        raise Unverified("needs the words of a `submit` of a training (--training)")
    told = _pipeline("submit", *ground.training, *words, "--wait")
    page = next(n for n in told.splitlines() if n.startswith("page"))
    run = get_run(ground.cluster, page.rpartition("/")[2])
    if run.run_id not in ground.made:
        ground.made.append(run.run_id)
    return run


def _pipeline(*words: str) -> str:
    """What a command of the product prints; it must succeed."""
    command = [sys.executable, "-m", "pipeline", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout


def _is_running(run: Run) -> bool:
    return any(step.state == RUNNING and step.attempts for step in run.steps)


def _failed(run: Run) -> RunStep:
    return next(step for step in run.steps if step.state == FAILED)


def _require_steps_only(run: Run) -> None:
    wrong = [
        s.name
        for s in run.steps
        if s.name.startswith(_MACHINERY) or "-driver" in s.name
    ]
    assert not wrong, wrong
    assert run.steps, run.note


def timed(check_: Check, ground: Ground) -> tuple[str, str, float]:
    """Run a check: its result, what to say of it, and the seconds it took."""
    begun = time.monotonic()
    try:
        check_(ground)
    except Unverified as reason:
        return "not checked", str(reason), time.monotonic() - begun
    except (AssertionError, SegError, StopIteration) as error:
        text = str(error) or type(error).__name__
        return "FAILED", " ".join(text.split())[:1000], time.monotonic() - begun
    return "holds", "", time.monotonic() - begun
