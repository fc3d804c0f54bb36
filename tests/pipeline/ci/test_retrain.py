"""Retraining end to end on loopback: what a push gets, and what is found by doing it.

The forge and KFP's API are servers that check what they
are asked.
"""

from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.ci.github import GitHub
from pipeline.ci.plan import Wish, dataset_at
from pipeline.ci.retrain import plan_for, retrain
from pipeline.kfp.connection import connect
from pipeline.kfp.endpoint import Endpoint
from pipeline.kfp.failures import ClusterError
from tests.fakes.forge_server import TOKEN, Fault
from tests.fakes.kfp_api import Fault as KfpFault
from tests.fakes.kubernetes_api import KubernetesApi
from tests.pipeline.ci.repositories import CONFIG, pin, push
from tests.pipeline.ci.world import IMAGES, KFP_TOKEN, Tracking, World, dataset
from tests.pipeline.kfp.conftest import QUICK

Run = Callable[..., str]


def test_a_push_that_changes_the_data_is_trained(world: World, run: Run) -> None:
    world.set_status(world.old, "success")
    said = run("retrain")
    assert "why          data: " in said
    (one,) = world.kfp.runs.values()
    assert f"commit: {world.new}" in one["description"]
    assert one["runtime_config"]["parameters"]["epochs"] == 3
    assert one["runtime_config"]["parameters"]["remote"] == str(world.folder / "remote")
    (status,) = world.statuses
    assert status == ("pending", f"training: {one['display_name']}")
    (kept,) = world.forge.statuses[world.new]
    assert kept["target_url"].endswith(f"/#/runs/details/{one['run_id']}")
    (version,) = world.kfp.pipeline_versions.values()
    assert f"{IMAGES}@sha256:" in str(version)
    said = run("retrain")
    assert "nothing that a training depends on has changed" in said
    assert len(world.kfp.runs) == len(world.statuses) == world.builds == 1


def test_a_push_that_changes_nothing_of_a_training_says_so(
    world: World, run: Run
) -> None:
    before = world.new
    world.set_status(before, "success")
    world.commit({"README.md": "other"})
    said = run("retrain", RETRAIN_SINCE=before)
    assert "nothing that a training depends on has changed" in said
    assert world.statuses == [("success", f"nothing to train: as {before[:12]}")]
    assert not world.kfp.sent
    assert not world.docker_calls


def test_a_plan_can_be_asked_for_alone(world: World, run: Run) -> None:
    said = run("retrain", "--dry-run")
    assert "why          first: " in said
    world.set_status(world.old, "failure")  # it was submitted, and trained in vain
    said = run("retrain", "--dry-run")
    assert "why          data: " in said
    assert not world.kfp.sent
    assert not world.statuses


def test_what_is_asked_for_by_hand_is_trained(world: World, run: Run) -> None:
    world.set_status(world.new, "success")
    hand = {
        "GITHUB_RUN_ID": "17",
        "RETRAIN_FORCE": "true",
        "RETRAIN_SET": "epochs=5 min_miou=0.6",
    }
    said = run("retrain", "--data-rev", world.old, **hand)
    assert "why          asked for: --force" in said
    parameters = world.kfp.run()["runtime_config"]["parameters"]
    assert (parameters["epochs"], parameters["min_miou"]) == (5, 0.6)
    old = dataset_at(world.git, world.old)
    assert parameters["data_md5"] == old != dataset_at(world.git, world.new)
    assert [state for state, _ in world.statuses] == ["success", "pending"]
    run("retrain", "--data-rev", world.old, **hand)
    assert len(world.kfp.runs) == 1  # the same job, started again


def test_a_cluster_that_is_away_is_an_error_and_the_next_push_makes_up_for_it(
    world: World, run: Run
) -> None:
    run("retrain", status=6, KFP_ENDPOINT="http://127.0.0.1:9")
    ((state, description),) = world.statuses
    assert state == "error"
    assert description.startswith("not submitted: http://127.0.0.1:9: nothing listens")
    data = world.new
    world.commit({"README.md": "other"})
    said = run("retrain", RETRAIN_SINCE=data)
    assert "why          " in said
    assert len(world.kfp.runs) == 1


def test_a_run_that_kfp_does_not_list_is_an_error_in_the_status(
    world: World,
    github: GitHub,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    endpoint = Endpoint(host=world.kfp.url, token=KFP_TOKEN, patience=QUICK)
    wish = Wish(
        config=Path(CONFIG),
        since=world.old,
        image=f"{IMAGES}@sha256:{'ab' * 32}",
        remote=str(world.folder / "remote"),
    )
    world.add_run("SUCCEEDED", commit=world.old)
    world.kfp.width = 100  # characters of a description; ours is longer
    with KubernetesApi(world.kfp) as kubernetes:
        kubernetes.use(monkeypatch, tmp_path)
        with pytest.raises(ClusterError, match="Data too long for column"):
            retrain(
                lambda: connect(endpoint),
                world.git,
                github,
                plan_for(world.git, github, wish),
                wish,
                tracking_uri="",
                say=lambda _: None,
            )
    ((state, description),) = world.statuses
    assert state == "error"
    assert "which it does not list: it is deleted." in description
    assert not world.kfp.ghosts


def test_data_that_nobody_pushed_are_not_submitted(world: World, run: Run) -> None:
    gone = dataset("ab")["train_segmentation/b.png"]
    for path in (world.folder / "remote").rglob("*"):
        if path.is_file() and path.read_bytes() == gone:
            path.unlink()
    run("retrain", status=1)
    ((state, description),) = world.statuses
    assert state == "error"
    assert "1 object" in description
    assert not world.kfp.runs
    assert not world.builds


def test_what_the_doctor_finds_is_not_submitted(world: World, run: Run) -> None:
    broken = push(world.folder / "remote", {**dataset("ab"), "train_images/a.png": "x"})
    world.commit({"data.dvc": pin(broken)})
    said = run("retrain", status=1)
    assert "doctor       S270" in said
    ((state, description),) = world.statuses
    assert state == "error"
    assert "The doctor finds 1 error(s)" in description
    assert not world.kfp.runs


def test_an_image_that_cannot_be_built_is_told(world: World, run: Run) -> None:
    (world.folder / "bin" / "fails").touch()
    run("retrain", status=1)
    ((state, description),) = world.statuses
    assert state == "error"
    assert "buildx build --push: exit status 1" in description
    assert not world.kfp.runs


def test_a_finished_image_can_be_named(world: World, run: Run) -> None:
    image = f"{IMAGES}@sha256:{'ab' * 32}"
    run("retrain", SEGLIB_IMAGE=image)
    assert not world.docker_calls
    assert f"image: {image}" in world.kfp.run()["description"]
    said = run("retrain", "--force", status=2, SEGLIB_IMAGE=f"{IMAGES}:latest")
    assert "digest" in said


def test_files_that_are_not_committed_are_refused(world: World, run: Run) -> None:
    (world.git.root / CONFIG).write_text("epochs: 9\n")
    said = run("retrain", status=1)
    assert f"differ from the commit that is to be trained: {CONFIG}" in said
    run("retrain", "--commit", world.old, "--force", status=2)
    assert not world.kfp.runs


def test_without_a_forge_it_is_submitted_all_the_same(world: World, run: Run) -> None:
    run("retrain", GITHUB_TOKEN="")
    assert len(world.kfp.runs) == 1
    assert not world.forge.requests


@pytest.mark.filterwarnings(
    # MLflow's own use of SQLAlchemy.
    "ignore:The ``noload`` loader strategy is deprecated"
)
def test_from_the_push_to_the_verdict_and_no_secret_is_written(
    world: World, run: Run, tracking: Tracking, tmp_path_factory: pytest.TempPathFactory
) -> None:
    store = {"MLFLOW_TRACKING_URI": tracking.uri}
    password = "mlflowCanaryThatNobodyMayRead3"
    store["MLFLOW_TRACKING_PASSWORD"] = password
    world.forge.faults += [Fault("POST", "statuses", 500), Fault("GET", "statuses", 0)]
    world.kfp.faults.append(KfpFault("run_service_list_runs", status=503))
    said = [run("retrain", **store)]
    run_id = world.kfp.run()["run_id"]
    said += [run("finalize", **store)]
    assert "not ended yet" in said[-1]
    world.kfp.become(run_id, "succeeded")
    tracking.add_row(run_id, "promote")
    world.forge.faults.append(Fault("POST", "comments", 500, after=True))
    said += [run("finalize", status=1, **store)]
    said += [run("finalize", **store)]  # repairs it
    assert [state for state, _ in world.statuses] == ["pending", "success"]
    (comment,) = world.comments
    assert "| **mIoU** | 0.7912 | +0.0120 | +0.0050 … +0.0190 |" in comment
    written = [*said, comment, str(world.forge.statuses)]
    written += [str((one.path, one.query, one.body)) for one in world.kfp.sent]
    written += [
        path.read_bytes().decode("utf-8", "replace")
        for place in (
            world.folder,
            Path(tracking.uri.removeprefix("sqlite:///")).parent,
        )
        for path in place.rglob("*")
        if path.is_file()
    ]
    secrets = (TOKEN, KFP_TOKEN, password)
    assert not [text for text in written for secret in secrets if secret in text]
