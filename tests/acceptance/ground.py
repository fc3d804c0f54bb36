"""Where the acceptance suite runs: a cluster, real or recorded, and what it made."""

import contextlib
import re
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import kfp_server_api
import yaml

from pipeline.kfp.connection import KfpServer
from pipeline.kfp.failures import ClusterError
from pipeline.kfp.kubernetes_api import (
    PODS,
    Kubernetes,
    kubernetes_of,
)
from pipeline.kfp.objects import ensure_experiment
from pipeline.kfp.runs import Run, get_run, terminate

REPOSITORY = Path(__file__).resolve().parents[2]
EXPERIMENT = "seglib-acceptance"


class Unverified(Exception):  # noqa: N818
    """What a check needs is not here; the text says what."""


@dataclass(kw_only=True)
class Ground:
    """A cluster, and what the checks share.

    Args:
        probe: the compiled pipeline of seconds.
        waiting: the same, asking for more CPU cores than there are.
        recorded: whether answers are recorded ones, to which no pods belong.
        training: words for `python -m pipeline submit` of a training; empty: none.
        train_job: words for `python -m pipeline train-job`; empty: none.
        every_s: between two looks.
        longest_s: that a run of seconds may take, with all its pods.
    """

    cluster: KfpServer
    probe: Path
    waiting: Path
    recorded: bool = False
    training: tuple[str, ...] = ()
    train_job: tuple[str, ...] = ()
    every_s: float = 2.0
    longest_s: float = 900.0
    salt: str = field(default_factory=lambda: secrets.token_hex(4))
    made: list[str] = field(default_factory=list)  # ids of runs

    def start(self, behaviour: str, *, seconds: float = 0.0, salt: str = "") -> str:
        """Start a run of the probe; gives its id."""
        wanted = self.wanted(behaviour, seconds=seconds, salt=salt)
        create = self.cluster.runs.run_service_create_run
        done = self.cluster.call(create, run=wanted, doing="start a run")
        self.made.append(done.run_id)
        return str(done.run_id)

    def wanted(
        self, behaviour: str, *, seconds: float = 0.0, salt: str = "", told: str = ""
    ) -> Any:
        """A run of the probe as it is sent, with `told` as its description."""
        given = {
            "behaviour": behaviour,
            "seconds": seconds,
            "salt": salt or f"{self.salt}-{len(self.made)}",
        }
        return kfp_server_api.V2beta1Run(
            display_name=f"{EXPERIMENT}-{self.salt}-{len(self.made)}-{behaviour}",
            description=told,
            experiment_id=self.experiment(),
            pipeline_spec=self.spec(waits=behaviour == "wait"),
            runtime_config=kfp_server_api.V2beta1RuntimeConfig(parameters=given),
        )

    def spec(self, *, waits: bool = False) -> dict[str, Any]:
        """The compiled probe, as it is sent."""
        text = (self.waiting if waits else self.probe).read_text()
        documents = list(yaml.safe_load_all(text))
        if len(documents) == 1:
            return dict(documents[0])
        return {"pipeline_spec": documents[0], "platform_spec": documents[1]}

    def experiment(self) -> str:
        """The id of the experiment that everything is made in."""
        return ensure_experiment(self.cluster, EXPERIMENT)

    def run(self, behaviour: str, **options: Any) -> Run:
        """Start a run of the probe, and wait until it has ended."""
        return self.until(self.start(behaviour, **options), lambda run: run.finished)

    def until(self, run_id: str, holds: Callable[[Run], bool]) -> Run:
        """Look at a run until something holds of it.

        Raises:
            AssertionError: it ended without that, or takes too long.
        """
        begun = time.monotonic()
        while True:
            run = get_run(self.cluster, run_id)
            if holds(run):
                return run
            shown = ", ".join(f"{s.label} {s.state} {s.message}" for s in run.steps)
            assert not run.finished, f"it ended {run.state}: {shown}"
            late = time.monotonic() - begun > self.longest_s
            assert not late, f"after {self.longest_s:.0f} s it is {run.state}: {shown}"
            time.sleep(self.every_s)

    @staticmethod
    def variables() -> set[str]:
        """Those of ours that are read anywhere in what runs in a pod."""
        folders = (REPOSITORY / "components", REPOSITORY / "seglib")
        text = "".join(p.read_text() for f in folders for p in f.rglob("*.py"))
        return set(re.findall(r"\"(SEGLIB_[A-Z0-9_]+)\"", text))

    def below(self) -> Kubernetes:
        """The Kubernetes API below KFP.

        Raises:
            Unverified: there is none.
        """
        try:
            return kubernetes_of(self.cluster)
        except ClusterError as error:
            raise Unverified(f"needs a kubeconfig: {error}") from error

    def delete_pod(self, name: str) -> None:
        """Delete a pod, as an operator does.

        Raises:
            Unverified: this is not a cluster with pods.
        """
        if self.recorded:
            raise Unverified("no pods belong to recorded answers")
        kubernetes = self.below()
        pod = kubernetes.get(PODS, name)
        kubernetes.delete(PODS, name, uid=pod["metadata"]["uid"])

    @contextlib.contextmanager
    def cleaning(self) -> Iterator[None]:
        """Leave no run and no experiment behind."""
        try:
            yield
        finally:
            for run_id in self.made:
                with contextlib.suppress(ClusterError):
                    if not get_run(self.cluster, run_id).finished:
                        terminate(self.cluster, run_id)
                    self.cluster.call(
                        self.cluster.runs.run_service_delete_run,
                        run_id,
                        doing="delete the run",
                    )
