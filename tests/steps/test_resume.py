"""A training that was killed goes on where it was, to the very same weights."""

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from benchmarks.waiting import HANG_S

REPOSITORY = Path(__file__).resolve().parent.parent.parent
SCRIPT = Path(__file__).with_name("resumable.py")
STEPS = 12


def _start(folder: Path, *arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(SCRIPT), *map(str, arguments)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        stdin=subprocess.PIPE,  # at whose end one that waits goes on
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _kill_after(process: subprocess.Popen[str], step: int) -> None:
    """SIGKILL, once it has printed that it took a step."""
    for line in process.stdout or ():
        if line == f"step {step}\n":
            break
    process.kill()
    process.communicate()


def _outcomes(folder: Path, *arguments: object) -> tuple[dict[str, Any], str]:
    process = _start(folder, "compare", *arguments)
    out, said = process.communicate(timeout=HANG_S)
    assert process.returncode == 0, said
    return json.loads(out.splitlines()[-1]), said


@pytest.fixture
def own_s3_server(monkeypatch):
    """A server that a test may stop."""
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    boto3.client("s3").create_bucket(Bucket="datasets")
    yield server
    server.stop()


@pytest.fixture(scope="module")
def killed_after() -> int:
    step = random.SystemRandom().randint(2, STEPS - 1)
    print(f"killed after step {step}")  # noqa: T201 (shown where a test fails)
    return step


@pytest.fixture(scope="module")
def outcomes(
    tiny_root, s3_server, killed_after, tmp_path_factory
) -> tuple[dict[str, Any], str]:
    """What came of trainings whose state lies on S3; one was killed before."""
    place = "s3://datasets/checkpoints"
    folder = tmp_path_factory.mktemp("resumed")
    process = _start(folder, "train", tiny_root, place, killed_after)
    _kill_after(process, killed_after)
    return _outcomes(folder, tiny_root, place, "killed", "phases", "taught")


@pytest.mark.parametrize("scenario", ["killed", "phases", "taught"])
def test_an_interrupted_training_ends_as_if_it_had_never_been(outcomes, scenario):
    outcome = outcomes[0][scenario]
    assert len(outcome["whole"]["history"]) == STEPS // 3
    assert set(outcome["stopped"]) <= {None}
    assert repr(outcome["resumed"]) == repr(outcome["whole"])


def test_a_resumed_training_says_where_it_goes_on(outcomes, killed_after):
    # It was killed before it could write the state of that very step.
    place = "s3://datasets/checkpoints"
    assert (
        f"going on after step {killed_after - 1} of {STEPS}, from the checkpoint in "
        f"{place}\n"
    ) in outcomes[1]


def test_on_s3_nothing_is_left_of_a_training_that_ended_well(outcomes):
    import boto3

    listed = boto3.client("s3").list_objects_v2(
        Bucket="datasets", Prefix="checkpoints/"
    )
    assert listed["KeyCount"] == 0


def test_a_model_that_could_not_be_written_is_written_without_training_again(outcomes):
    outcome = outcomes[0]["saved later"]
    assert "the model cannot be written" in outcome["refused"]
    assert outcome["steps"] == STEPS
    assert "model.keras" in outcome["files"]


def test_a_model_that_was_lost_on_its_way_is_written_without_training_again(outcomes):
    outcome = outcomes[0]["lost"]
    assert outcome["steps"] == 5, "of 3 an epoch: its time was over in the middle"
    first, second = outcome["written"]
    assert first == second
    assert len(outcome["left"]) == 1, "the outcome alone"
    assert outcome["gone"]
    assert "trained before; the model is from" in outcomes[1]


def test_a_training_that_is_told_to_end_loses_no_step(tiny_root, tmp_path, outcomes):
    """As a pod is told that is evicted; no checkpoint was due in its epoch."""
    step = STEPS // 3 + 1  # of 3 an epoch
    place = tmp_path / "place"
    process = _start(tmp_path, "train-until-told", tiny_root, place, step)
    for line in process.stdout:
        if line == f"step {step}\n":
            process.send_signal(signal.SIGTERM)
            break
    rest, said = process.communicate(timeout=HANG_S)
    assert process.returncode == 128 + signal.SIGTERM, said
    taken = [int(step) for step in re.findall(r"step (\d+)", rest)]
    last = max(taken, default=step)
    assert last <= step + 1, "the step that was being taken, and no other"
    assert f"SIGTERM: ended after step {last}, whose state is kept" in said
    out, said = _start(tmp_path, "train", tiny_root, place).communicate()
    assert f"going on after step {last} of {STEPS}" in said
    assert out.splitlines()[-1] == json.dumps(outcomes[0]["killed"]["whole"])


@pytest.mark.slow
def test_a_kill_in_the_middle_of_a_checkpoint_costs_no_more_than_that_one(
    tiny_root, tmp_path
):
    place = tmp_path / "place"
    process = _start(tmp_path, "train-until-cut", tiny_root, place)
    process.communicate(timeout=HANG_S)
    assert process.returncode == -signal.SIGXFSZ
    (half,) = place.glob("*/.partial/*")
    (whole,) = place.glob("*/0.checkpoint")
    assert half.stat().st_size == 1000 < whole.stat().st_size
    outcomes, said = _outcomes(tmp_path, tiny_root, place, "killed")
    assert "going on after step 4 of 12" in said
    assert outcomes["killed"]["resumed"] == outcomes["killed"]["whole"]
    assert not place.exists()


@pytest.mark.slow
def test_two_equal_trainings_at_once_both_end_well(tiny_root, tmp_path):
    place = tmp_path / "place"
    started = [_start(tmp_path, "train", tiny_root, place) for _ in range(2)]
    ended = [process.communicate(timeout=HANG_S) for process in started]
    assert [process.returncode for process in started] == [0, 0], ended
    left, right = (json.loads(out.splitlines()[-1]) for out, _ in ended)
    assert left == right
    assert len(left["history"]) == STEPS // 3


@pytest.mark.slow
def test_training_goes_on_when_s3_goes_away(tiny_root, tmp_path, own_s3_server):
    process = _start(tmp_path, "train", tiny_root, "s3://datasets/away")
    for line in process.stdout:
        if line == "step 4\n":
            own_s3_server.stop()
            break
    out, said = process.communicate(timeout=HANG_S)
    assert process.returncode == 0, said
    assert said.count("Training goes on without") == 1
    assert "no longer needed" in said
    assert len(json.loads(out.splitlines()[-1])["history"]) == STEPS // 3


@pytest.mark.slow
def test_killed_at_any_moment_the_command_ends_with_the_same_model(
    tiny_root, tmp_path, capsys
):
    """`seglib train` with its state on SeaweedFS, which checks credentials."""
    import boto3

    from benchmarks.seaweedfs import environment, seaweedfs
    from seglib.models.model import load_model

    settings = [str(tiny_root), "--epochs", "60", "--batch-size", "4"]
    command = [sys.executable, "-m", "seglib.cli", "train", *settings]
    # One thread: its sums have one order.
    threads = {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"}
    one_thread = {**os.environ, **threads, "PYTHONPATH": str(REPOSITORY)}
    subprocess.run(
        [*command, "--out", "whole"], cwd=tmp_path, env=one_thread, check=True
    )
    said = []
    try:
        with seaweedfs(tmp_path / "server") as address:
            with_store = {**one_thread, **environment(address)}
            with pytest.MonkeyPatch.context() as patch:
                for name, value in environment(address).items():
                    patch.setenv(name, value)
                # A session of its own: the default one keeps an earlier test's keys.
                client = boto3.session.Session().client("s3")
                client.create_bucket(Bucket="state")
            command += ["--out", "model", "--checkpoints", "s3://state/of/trainings"]
            for _ in range(3):
                said += _kill_amid(command, tmp_path, with_store)
            last = subprocess.run(
                command,
                cwd=tmp_path,
                env=with_store,
                capture_output=True,
                text=True,
                check=False,
            )
            assert last.returncode == 0, last.stdout + last.stderr
            said += last.stdout.splitlines()
    except FileNotFoundError as error:
        pytest.skip(f"{error}. To run it: install that.")
    steps = [int(s) for s in re.findall(r"going on after step (\d+)", " ".join(said))]
    with capsys.disabled():
        sys.stdout.write(f"\ngone on with after steps {steps} of 120\n")
    assert steps
    assert steps == sorted(steps)
    whole, model = (load_model(tmp_path / name) for name in ("whole", "model"))
    pairs = zip(whole.network.get_weights(), model.network.get_weights(), strict=True)
    assert all((a == b).all() for a, b in pairs)
    whole_history, history = (
        json.loads((tmp_path / name / "history.json").read_text())
        for name in ("whole", "model")
    )
    for row in (*whole_history, *history):
        del row["duration_s"]
    assert history == whole_history


def _kill_amid(
    command: list[str], folder: Path, environment: dict[str, str]
) -> list[str]:
    """SIGKILL up to ten seconds after an epoch's end; gives what it had printed."""
    lines = []
    with subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        for line in process.stdout or ():
            lines.append(line)
            if "  loss " in line:
                break
        time.sleep(random.SystemRandom().uniform(0, 10))
        process.kill()
    return lines
