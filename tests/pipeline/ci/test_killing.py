"""Killed by SIGKILL at a request, and run again: one run, one status, one comment.

By default at those that matter most; the slow tests kill at every one, before it is
carried out and after.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.fakes.forge_server import serve_forge
from tests.fakes.kfp_api import KfpApi
from tests.pipeline.ci.killing import Gate
from tests.pipeline.ci.nursery import Nursery
from tests.pipeline.ci.world import KFP_TOKEN, Tracking, World, new_world

pytestmark = pytest.mark.filterwarnings(
    # MLflow's own use of SQLAlchemy.
    "ignore:The ``noload`` loader strategy is deprecated"
)

_KILLED = -9
_PULL_REQUEST = {"RETRAIN_PULL_REQUEST": "7"}


class Trials:
    """Worlds, each with a command that is killed in it."""

    def __init__(self, folder: Path, nursery: Nursery, uri: str):
        self._folder, self._nursery, self._uri = folder, nursery, uri
        self._count = 0

    @contextmanager
    def world(self) -> Iterator[World]:
        self._count += 1
        folder = self._folder / str(self._count)
        with serve_forge() as forge, KfpApi(token=KFP_TOKEN) as kfp:
            forge.permissions.add("contents")
            yield new_world(folder, forge, kfp)

    def run(
        self,
        world: World,
        word: str,
        *,
        at: int = 0,
        match: str = "",
        done: bool = False,
        **changes: str,
    ) -> list[str]:
        """Run a command, killed at a request or to its end; gives its requests.

        Args:
            world: where.
            word: the command.
            at: the number of the request, from 1.
            match: or a pattern of it.
            done: whether that request is carried out.
            changes: to the environment.
        """
        gate = Gate(at=at, match=match, done=done)
        with gate.before(world.forge.uri) as forge, gate.before(world.kfp.url) as kfp:
            environment = {
                **world.environment,
                "GITHUB_API_URL": forge,
                "KFP_ENDPOINT": kfp,
                "KFP_UI_ENDPOINT": world.kfp.url,
                "MLFLOW_TRACKING_URI": self._uri,
                **changes,
            }
            command = self._nursery.start(
                [word], folder=world.git.root, environment=environment
            )
            gate.pid = command.pid
            status = command.go().wait()
        assert status == (_KILLED if at or match else 0), command.output
        return gate.passed

    def each(
        self, word: str, prepare: Callable[[World], None], **changes: str
    ) -> Iterator[tuple[World, str]]:
        """Kill a command at each request; gives the world after it was run again."""
        with self.world() as world:
            prepare(world)
            requests = self.run(world, word, **changes)
        for number, request in enumerate(requests, 1):
            for done in (False, True):
                with self.world() as world:
                    prepare(world)
                    self.run(world, word, at=number, done=done, **changes)
                    self.run(world, word, **changes)
                    yield world, f"{'after' if done else 'before'} {number}: {request}"


@pytest.fixture
def trials(tmp_path: Path, nursery: Nursery, tracking: Tracking) -> Trials:
    return Trials(tmp_path, nursery, tracking.uri)


@pytest.mark.parametrize(
    ("request_", "done"),
    [("POST .*/v2beta1/runs$", True), ("POST .*/statuses/", False)],
    ids=["its run is there", "no status is there"],
)
def test_retrain_killed_when_it_matters_gives_one_run(
    trials: Trials, request_: str, *, done: bool
) -> None:
    with trials.world() as world:
        trials.run(world, "retrain", match=request_, done=done)
        assert len(world.kfp.runs) == 1
        assert not world.statuses
        trials.run(world, "retrain")
        assert not _wrong_after_retrain(world)


@pytest.mark.parametrize(
    ("request_", "done"),
    [("POST .*/comments$", True), ("POST .*/statuses/", False)],
    ids=["its comment is there", "no status is there"],
)
def test_finalize_killed_when_it_matters_gives_one_comment(
    trials: Trials, tracking: Tracking, request_: str, *, done: bool
) -> None:
    with trials.world() as world:
        tracking.add_row(world.submitted("SUCCEEDED"), "promote")
        trials.run(world, "finalize", match=request_, done=done)
        assert len(world.comments) == 1
        trials.run(world, "finalize")
        assert not _wrong_after_finalize(world)


def test_a_pull_request_whose_command_was_killed_has_one_comment(
    trials: Trials,
) -> None:
    with trials.world() as world:
        request = "POST .*/issues/7/comments$"
        trials.run(world, "retrain", match=request, done=True, **_PULL_REQUEST)
        trials.run(world, "retrain", **_PULL_REQUEST)
        assert len(world.forge.bodies("issues/7")) == 1


@pytest.mark.slow
def test_retrain_killed_at_any_request_gives_one_run(trials: Trials) -> None:
    ends = [
        (where, _wrong_after_retrain(world))
        for world, where in trials.each("retrain", lambda _: None)
    ]
    assert len(ends) > 20
    assert not [end for end in ends if end[1]]


@pytest.mark.slow
def test_finalize_killed_at_any_request_gives_one_comment(
    trials: Trials, tracking: Tracking
) -> None:
    def prepare(world: World) -> None:
        tracking.add_row(world.submitted("SUCCEEDED"), "promote")

    ends = [
        (where, _wrong_after_finalize(world))
        for world, where in trials.each("finalize", prepare)
    ]
    assert len(ends) > 10
    assert not [end for end in ends if end[1]]


@pytest.mark.slow
def test_a_pull_request_killed_at_any_request_has_one_comment(trials: Trials) -> None:
    ends = [
        (where, world.forge.bodies("issues/7"))
        for world, where in trials.each("retrain", lambda _: None, **_PULL_REQUEST)
    ]
    assert len(ends) > 5
    assert not [end for end in ends if len(end[1]) != 1]


def _wrong_after_retrain(world: World) -> str:
    """What is not as it should be; empty: one run, and one status that leads to it."""
    runs = list(world.kfp.runs)
    if len(runs) != 1 or len(world.statuses) != 1:
        return f"{len(runs)} runs, {world.statuses}"
    (status,) = world.forge.statuses[world.new]
    leads = status["state"] == "pending" and status["target_url"].endswith(runs[0])
    return "" if leads else str(status)


def _wrong_after_finalize(world: World) -> str:
    states = [state for state, _ in world.statuses]
    if len(world.comments) != 1 or states[-1] != "success":
        return f"{len(world.comments)} comments, {states}"
    return ""
