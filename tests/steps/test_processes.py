"""Processes that share a batch learn what a single one does, and end together."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.waiting import HANG_S
from seglib.config import TrainConfig
from seglib.data.loader import PairSource, training_batches
from seglib.distributed.launcher import free_ports
from tests.steps.small_network import SETTINGS

SCRIPT = Path(__file__).with_name("together.py")


class Together:
    """Processes of one training, as they are started on machines of their own."""

    def __init__(self, requests: list[dict[str, Any]], folder: Path, repository: Path):
        workers = [f"127.0.0.1:{port}" for port in free_ports(len(requests))]
        self.all = []
        self.logs = []
        for index, request in enumerate(requests):
            file = folder / f"request-{index}.json"
            file.write_text(json.dumps(request))
            task = {"type": "worker", "index": index}
            config = {"cluster": {"worker": workers}, "task": task}
            log = folder / f"log-{index}.txt"
            self.logs.append(log)
            environment = {
                **os.environ,
                "PYTHONPATH": str(repository),
                "TF_CONFIG": json.dumps(config) if len(requests) > 1 else "",
            }
            with log.open("w") as errors:
                process = subprocess.Popen(
                    [sys.executable, str(SCRIPT), str(file)],
                    env=environment,
                    stdin=subprocess.PIPE,  # at whose end a paused process goes on
                    stdout=subprocess.PIPE,
                    stderr=errors,
                    text=True,
                )
            self.all.append(process)

    def outcomes(self) -> list[dict[str, Any]]:
        """What each printed at its end, all of them having succeeded."""
        printed = []
        for index, process in enumerate(self.all):
            told, _ = process.communicate()
            assert process.returncode == 0, self.log(index)
            printed.append(json.loads(told.splitlines()[-1]))
        return printed

    def endings(self) -> list[tuple[int, str]]:
        """Exit status and output of each."""
        told = [process.communicate(timeout=HANG_S)[0] for process in self.all]
        return [(p.returncode, out) for p, out in zip(self.all, told, strict=True)]

    def wait_for(self, word: str, index: int) -> None:
        """Until a process has printed a word."""
        for line in self.all[index].stdout:
            if line.strip() == word:
                return
        pytest.fail(self.log(index))

    def log(self, index: int) -> str:
        return self.logs[index].read_text()

    def kill(self) -> None:
        for process in self.all:
            process.kill()
            process.wait()


Start = Callable[..., Together]


@pytest.fixture(scope="module")
def start(
    repository: Path, tiny_root: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Start]:
    started: list[Together] = []

    def together(count: int, *differing: dict[str, Any], **request: Any) -> Together:
        common = {
            "data": str(tiny_root),
            "settings": SETTINGS,
            "place": None,
            "every_s": 0,
            "seed": 7,
            "teacher": False,
            "stop": 0,
            **request,
        }
        changes = [*differing, *({},) * (count - len(differing))]
        folder = tmp_path_factory.mktemp("together")
        requests = [{**common, **change} for change in changes]
        started.append(Together(requests, folder, repository))
        return started[-1]

    yield together
    for each in started:
        each.kill()


@pytest.fixture(scope="module")
def alone(start: Start) -> dict[str, Any]:
    return start(1).outcomes()[0]


@pytest.fixture(scope="module")
def pair(start: Start) -> list[dict[str, Any]]:
    # The second one's own first weights are others: those of the first one count.
    return start(2, {}, {"seed": 8}).outcomes()


@pytest.mark.slow
def test_two_processes_learn_what_one_learns(alone, pair):
    np.testing.assert_allclose(
        pair[0]["history"], alone["history"], rtol=1e-4, atol=1e-3
    )
    for one, both in zip(alone["weights"], pair[0]["weights"], strict=True):
        # Batch normalisation's statistics are among them.
        np.testing.assert_allclose(both, one, rtol=2e-2, atol=2e-3)


@pytest.mark.slow
def test_all_processes_end_with_the_same_model_and_the_first_alone_reports(pair):
    assert pair[0]["weights"] == pair[1]["weights"]
    assert pair[0]["history"] == pair[1]["history"]
    assert [process["epochs"] for process in pair] == [[1, 2], []]


@pytest.mark.slow
def test_sigterm_to_any_of_them_ends_all_and_loses_no_step(start, pair, tmp_path):
    place = str(tmp_path / "checkpoints")
    stopped = start(2, place=place, every_s=3600, stop=4)
    stopped.wait_for("paused", 0)
    stopped.all[1].send_signal(signal.SIGTERM)
    assert [status for status, _ in stopped.endings()] == [143, 143]
    assert "SIGTERM: ended after step 5, whose state is kept" in stopped.log(0)
    assert "SIGTERM to one of all: ended after step 5" in stopped.log(1)
    resumed = start(2, {}, {"seed": 8}, place=place)
    outcome = resumed.outcomes()[0]
    assert "going on after step 5 of 6" in resumed.log(0)
    assert outcome["weights"] == pair[0]["weights"]
    assert outcome["history"] == pair[0]["history"]
    assert outcome["epochs"] == [1, 2]


@pytest.mark.slow
@pytest.mark.parametrize("victim", [0, 1])
def test_when_one_is_killed_the_others_end_and_one_alone_can_go_on(
    start, alone, tmp_path, victim
):
    place = str(tmp_path / "checkpoints")
    broken = start(2, place=place, stop=5)
    broken.wait_for("paused", 0)
    broken.all[victim].kill()
    status, told = broken.endings()[1 - victim]
    assert status == 1
    assert f"Process {1 - victim} of 2 has lost process {victim}, which" in told
    assert "Start all of them again" in told
    resumed = start(1, place=place)
    outcome = resumed.outcomes()[0]
    assert "going on after step" in resumed.log(0)
    np.testing.assert_allclose(
        outcome["history"], alone["history"], rtol=1e-4, atol=1e-3
    )


@pytest.mark.slow
def test_processes_that_would_train_different_things_are_told_apart(start):
    other = {**SETTINGS, "learning_rate": 1e-3}
    for status, told in start(2, {}, {"settings": other}).endings():
        assert status == 1
        assert "Process 1 would train something else than process 0." in told


@pytest.mark.slow
def test_a_loss_that_is_not_finite_ends_all_of_them_alike(start):
    diverging = {**SETTINGS, "learning_rate": 1e30, "freeze_epochs": 0}
    for status, told in start(2, settings=diverging).endings():
        assert status == 1
        assert "training diverged" in told


@pytest.mark.slow
def test_a_time_limit_ends_all_processes_after_the_same_epoch(start):
    ends = {**SETTINGS, "epochs": 100_000, "max_minutes": 0.05}
    first, second = start(2, settings=ends).outcomes()
    assert first["history"] == second["history"]
    assert 1 <= len(first["history"]) < 100_000


@pytest.mark.slow
def test_two_processes_learn_from_a_teacher_what_one_learns(start):
    one, both = start(1, teacher=True), start(2, teacher=True)
    (alone,), shared = one.outcomes(), both.outcomes()
    np.testing.assert_allclose(
        shared[0]["history"], alone["history"], rtol=1e-4, atol=1e-3
    )


@pytest.mark.slow
def test_the_command_starts_the_processes_itself(tiny_root, tmp_path, repository):
    """`seglib train` on two processes: one output, and the model that one learns."""
    from seglib.models.model import load_model

    models = {}
    for count in (1, 2):
        done = subprocess.run(
            [
                *(sys.executable, "-m", "seglib.cli", "train", str(tiny_root)),
                *("--out", f"model-{count}", "--processes", str(count)),
                *("--model", "compact_small", "--batch-size", "4", "--epochs", "1"),
                *("--image-height", "32", "--image-width", "48"),
            ],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(repository), "TF_CONFIG": ""},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert done.stdout.count("model: ") == 1
        assert done.stdout.count("epoch 1/1") == 1
        models[count] = load_model(tmp_path / f"model-{count}").network.get_weights()
    for one, both in zip(*models.values(), strict=True):
        np.testing.assert_allclose(both, one, rtol=2e-2, atol=5e-3)


def test_parts_of_a_batch_are_together_the_whole_batch(tiny_dataset):
    source = PairSource(tiny_dataset.pairs("train"), inputs={"image": 3})
    config = TrainConfig(batch_size=4)

    def batch(step: int, share: tuple[int, int]) -> list[bytes]:
        batches = training_batches(
            source,
            image_size=(32, 48),
            ignore_index=255,
            config=config,
            first_step=step,
            share=share,
        )
        images, masks = next(iter(batches))
        return [i.tobytes() + m.tobytes() for i, m in zip(images, masks, strict=True)]

    for step in (0, 3):
        whole = batch(step, (0, 1))
        parts = [batch(step, (k, 2)) for k in (0, 1)]
        assert [len(part) for part in parts] == [2, 2]
        assert sorted(whole) == sorted(parts[0] + parts[1])
