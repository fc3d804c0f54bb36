"""The command `train-job`, as people type it, and what it hands over to `submit`."""

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline import __main__ as command_line
from seglib.errors import SegError
from tests.fakes.kfp_api import KfpApi

IMAGE = f"registry.example/seglib@sha256:{'ab' * 32}"
DATA = f"{'0123456789' * 3}01.dir"
GIVEN = ["--image", IMAGE, "--data-md5", DATA, "--remote", "s3://data/dvc"]
Run = Callable[..., str]


@pytest.fixture
def run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Run:
    """Runs a command in an empty folder, and gives what it printed."""
    monkeypatch.chdir(tmp_path)
    for name in ("SEGLIB_IMAGE", "SEGLIB_CHECKPOINTS"):
        monkeypatch.delenv(name, raising=False)

    def call(*words: str) -> str:
        monkeypatch.setattr(sys, "argv", ["pipeline", *words])
        with pytest.raises(SystemExit) as ended:
            command_line.main()
        printed = capsys.readouterr()
        if ended.value.code:
            raise SegError(printed.err)
        return printed.out

    return call


def test_the_command_that_it_prints_submits_the_very_training(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What decides the key of the checkpoints: image, data, settings."""
    (tmp_path / "my settings.yaml").write_text("train: {epochs: 7}\n")
    options = ["--config", "my settings.yaml", "--set", "class_names=road, sky"]
    options += ["--checkpoints", "s3://data/checkpoints", "--nodes", "4"]
    printed = run("train-job", "-o", "job.yaml", *GIVEN, *options, "--no-push-check")
    lines = [line.strip() for line in printed.splitlines()]
    (submission,) = [line for line in lines if line.startswith("python -m pipeline")]
    python, m, pipeline, *words = shlex.split(submission)
    assert (python, m, pipeline) == ("python", "-m", "pipeline")
    with KfpApi() as api:
        monkeypatch.setenv("KFP_ENDPOINT", api.url)
        run(*words, "--no-push-check")
        submitted = api.run()["runtime_config"]["parameters"]
    container = _container(tmp_path / "job.yaml")
    assert json.loads(container["args"][0].replace("$$", "$")) == submitted
    assert container["image"] == IMAGE
    assert submitted["epochs"] == 7
    assert submitted["class_names"] == "road, sky"
    assert {"name": "SEGLIB_CHECKPOINTS", "value": "s3://data/checkpoints"} in (
        container["env"]
    )


def test_it_says_what_to_do_next(run: Run, tmp_path: Path) -> None:
    options = ["--nodes", "2", "--name", "job", "--no-push-check"]
    printed = run("train-job", "-o", "job.yaml", *GIVEN, *options)
    assert "job          job, 2 pods with a process each" in printed
    assert "written      job.yaml" in printed
    assert "SEGLIB_CHECKPOINTS of the ConfigMap seglib says, which only the" in printed
    for command in (
        "kubectl apply -f job.yaml",
        "kubectl -n kubeflow get trainjob,jobset,pod -l seglib-train-job=job",
        "kubectl -n kubeflow delete trainjob/job trainingruntime/job networkpolicy/job",
    ):
        assert f"\n  {command}" in printed


def test_options_beat_the_clusters_file(run: Run, tmp_path: Path) -> None:
    (tmp_path / "pods.yaml").write_text(
        "namespace: vision\nsteps: {train: {gpus: 8, gpu_type: amd.com/gpu}}\n"
    )
    options = ["--cluster", "pods.yaml", "--nodes", "2", "--no-push-check"]
    printed = run("train-job", "-o", "job.yaml", *GIVEN, *options, "--gpus", "2")
    assert "2 pods with 2 processes each" in printed
    assert "kubectl -n vision get trainjob" in printed
    assert "--cluster pods.yaml" in printed
    limits = _container(tmp_path / "job.yaml")["resources"]["limits"]
    assert limits["amd.com/gpu"] == "2"


def test_the_data_are_seen_to_be_on_the_remote(run: Run, repository: Path) -> None:
    remote = str(repository / "dvc-remote")
    options = ["--nodes", "2", "--image", IMAGE, "--remote", remote]
    with pytest.raises(SegError, match="1 object\\(s\\) of 0123.* missing"):
        run("train-job", "-o", "job.yaml", *options, "--data-md5", DATA)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--image", "seglib:cpu"], "an image is named by its digest"),
        (["--nodes", "3"], "`batch_size` must be a multiple of"),
        (["--nodes", "1"], "greater than or equal to 2"),
        (["--name", "Job"], "`name` must be small letters"),
        (["--checkpoints", "/mnt"], "must be s3://bucket/prefix"),
        (["-o", "job.txt"], "expected a name that ends in .yaml"),
        (["--set", "epoch=3"], "epochs"),
    ],
)
def test_what_cannot_be_is_said_and_nothing_is_written(
    run: Run, tmp_path: Path, options: list[str], message: str
) -> None:
    words = ["-o", "job.yaml", *GIVEN, "--nodes", "2", "--no-push-check", *options]
    with pytest.raises(SegError) as caught:
        run("train-job", *words)
    assert message in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_a_remote_that_pods_cannot_reach_is_refused_as_submit_does(
    run: Run, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(repository)
    for command in (["train-job", "-o", "job.yaml", "--nodes", "2"], ["submit"]):
        with pytest.raises(SegError, match="a folder of this machine, which pods"):
            run(*command, "--image", IMAGE)


def test_the_same_input_gives_the_same_bytes_and_no_secret_gets_into_them(
    tmp_path: Path, repository: Path
) -> None:
    secrets = {
        name: f"c4n4ry-{name.lower()}"
        for name in (
            *("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"),
            *("MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN", "KFP_TOKEN"),
            *("MLFLOW_TRACKING_URI", "AWS_ENDPOINT_URL", "GITHUB_TOKEN"),
        )
    }
    written, printed = [], ""
    for seed in ("1", "2"):  # of the order of Python's sets
        path = tmp_path / f"{seed}.yaml"
        words = ["-o", str(path), *GIVEN, "--nodes", "2"]
        start = [sys.executable, "-m", "pipeline", "train-job", "--no-push-check"]
        done = subprocess.run(
            [*start, *words],
            cwd=repository,
            env={**os.environ, **secrets, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        )
        printed += done.stdout + done.stderr
        written.append(path.read_bytes())
    assert written[0] == written[1]
    assert not [text for text in (*written, printed.encode()) if b"c4n4ry" in text]


def _container(path: Path) -> dict[str, Any]:
    _, runtime, _ = yaml.safe_load_all(path.read_text())
    (job,) = runtime["spec"]["template"]["spec"]["replicatedJobs"]
    (container,) = job["template"]["spec"]["template"]["spec"]["containers"]
    return container
