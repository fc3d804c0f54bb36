"""Everything that retraining meets: a clone, a remote, Docker, a forge, KFP, MLflow."""

import json
import os
import stat
import sys
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.ci.git import Git
from pipeline.ci.reporter import CONTEXT
from seglib.data.image_io import encode_png
from seglib.evaluation.bootstrap import Comparison, Interval
from seglib.evaluation.decision import Check, Decision, write_decision
from seglib.tracking.names import key
from seglib.tracking.queries import TrackedRuns
from seglib.tracking.run_end import record_end
from seglib.tracking.tracked_run import TrackedRun
from tests.fakes.forge_server import REPOSITORY, TOKEN, ForgeServer
from tests.fakes.kfp_api import KfpApi
from tests.pipeline.ci.repositories import (
    CONFIG,
    FILES,
    commit,
    new_repository,
    pin,
    push,
)

KFP_TOKEN = "kfpCanaryThatMustNotBeWrittenEither7"
IMAGES = "registry.example.com/team/seglib"
EARLIER = timedelta(minutes=5)
CLASSES = ("road", "car_@all|<b>")  # as whoever made the dataset likes it

# Stands in for Docker and the registry: `registry.json` has tags and digests, and
# `calls` what was asked for. As of real builds, each gives another digest.
_DOCKER = """
import fcntl, json, pathlib, secrets, sys
place = pathlib.Path(__file__).parent
registry, words = place / "registry.json", sys.argv[1:]
with (place / "calls").open("a") as calls:
    fcntl.flock(calls, fcntl.LOCK_EX)
    print(json.dumps(words), file=calls)
    known = json.loads(registry.read_text()) if registry.exists() else {}
    if words[:3] == ["buildx", "imagetools", "inspect"]:
        if words[3] not in known:
            sys.exit(f"ERROR: {words[3]}: not found")
        print(json.dumps({"digest": known[words[3]], "size": 1}))
    elif (place / "fails").exists():
        sys.exit("ERROR: denied")
    elif words[:3] == ["buildx", "build", "--push"]:
        known[words[words.index("--tag") + 1]] = "sha256:" + secrets.token_hex(32)
        if not (place / "forgets").exists():
            registry.write_text(json.dumps(known))
"""


@dataclass
class World:
    """A clone whose last commit pins other data than the one before."""

    folder: Path
    git: Git
    old: str  # the commit before
    new: str  # the commit that is checked out
    forge: ForgeServer
    kfp: KfpApi

    @property
    def environment(self) -> dict[str, str]:
        """Of the commands; nothing of the machine's but what finds programs."""
        kept = ("HOME", "LANG", "PYTHONPATH", "SEGLIB_CACHE", "TMPDIR", "VIRTUAL_ENV")
        return {
            **{name: os.environ[name] for name in kept if name in os.environ},
            "PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}",
            "NO_ALBUMENTATIONS_UPDATE": "1",
            "GITHUB_API_URL": self.forge.url,
            "GITHUB_REPOSITORY": REPOSITORY,
            "GITHUB_TOKEN": TOKEN,
            "KFP_ENDPOINT": self.kfp.url,
            "KFP_TOKEN": KFP_TOKEN,
            "RETRAIN_SINCE": self.old,
            "RETRAIN_CONFIG": CONFIG,
            "RETRAIN_REMOTE": str(self.folder / "remote"),
            "SEGLIB_IMAGE_REPOSITORY": IMAGES,
            # As CI gives what is not there.
            "AWS_DEFAULT_REGION": "",
            "RETRAIN_FORCE": "",
            "RETRAIN_DATA_REV": "",
            "RETRAIN_SET": "",
            "FINALIZE_RUN": "",
        }

    @property
    def statuses(self) -> list[tuple[str, str]]:
        """State and description of each status that the commit was given, in order."""
        found = self.forge.statuses.get(self.new, [])
        assert {one["context"] for one in found} <= {CONTEXT}
        return [(one["state"], one["description"]) for one in found]

    @property
    def comments(self) -> list[str]:
        return self.forge.bodies(f"commits/{self.new}")

    @property
    def docker_calls(self) -> list[list[str]]:
        path = self.folder / "bin" / "calls"
        lines = path.read_text().splitlines() if path.exists() else []
        return [json.loads(line) for line in lines]

    @property
    def builds(self) -> int:
        return sum(words[1] == "build" for words in self.docker_calls)

    def set_status(self, commit: str, state: str) -> None:
        """As an earlier push had left it."""
        body = {"context": CONTEXT, "state": state, "description": "earlier"}
        self.forge.create_status(commit, body)

    def add_run(
        self,
        state: str,
        *,
        ended: timedelta = EARLIER,
        commit: str = "",
        key: str = "",
    ) -> str:
        """A run of a commit, as `retrain` submits it; gives its id.

        Args:
            state: KFP's, or CANCELED, for which KFP says FAILED in the end.
            ended: how long ago.
            commit: default: the newest.
            key: of its triple; default: one of its own.
        """
        run_id, commit = str(uuid.uuid4()), commit or self.new
        data, key = "d" * 32 + ".dir", key or uuid.uuid4().hex[:16]
        parts = {"commit": commit, "data": data, "config": "c" * 12, "image": IMAGES}
        moment = datetime.now(UTC).replace(microsecond=0) - ended
        self.kfp.runs[run_id] = {
            "run_id": run_id,
            "display_name": f"{commit[:7]}-{data[:7]}-{key}",
            "description": "\n".join(f"{k}: {v}" for k, v in parts.items()),
            "created_at": (moment - EARLIER).isoformat().replace("+00:00", "Z"),
            "finished_at": moment.isoformat().replace("+00:00", "Z"),
            "storage_state": "AVAILABLE",
            "state": "FAILED" if state == "CANCELED" else state,
            "state_history": [
                {"update_time": moment.isoformat(), "state": told}
                for told in (
                    ["CANCELING", "FAILED"] if state == "CANCELED" else [state]
                )
            ],
        }
        return run_id

    def submitted(self, state: str, **options: Any) -> str:
        """A run that the newest commit's status leads to."""
        run_id = self.add_run(state, **options)
        body = {
            "context": CONTEXT,
            "state": "pending",
            "description": f"training: {self.kfp.runs[run_id]['display_name']}",
            "target_url": f"{self.kfp.url}/#/runs/details/{run_id}",
        }
        self.forge.create_status(self.new, body)
        return run_id

    def commit(self, files: Mapping[str, str]) -> str:
        self.new = commit(self.git.root, files)
        return self.new


def new_world(folder: Path, forge: ForgeServer, kfp: KfpApi) -> World:
    """A world in which nothing was submitted yet."""
    put_docker(folder / "bin")
    old, new = (push(folder / "remote", dataset(names)) for names in ("a", "ab"))
    git = new_repository(folder / "clone", {**FILES, "data.dvc": pin(old)})
    before = git.commit("HEAD")
    now = commit(git.root, {"data.dvc": pin(new)})
    return World(folder, git, before, now, forge, kfp)


def dataset(names: str) -> dict[str, bytes]:
    """A training pair for each letter, and one to score on."""
    files = {"val_images/v.png": encode_png(np.full((32, 48, 3), 200, np.uint8))}
    files["val_segmentation/v.png"] = encode_png(np.eye(32, 48, dtype=np.uint8))
    for value, name in enumerate(names, 1):
        image = np.full((32, 48, 3), value, np.uint8)
        files[f"train_images/{name}.png"] = encode_png(image)
        mask = np.zeros((32, 48), np.uint8)
        mask[:, value:] = 1
        files[f"train_segmentation/{name}.png"] = encode_png(mask)
    return files


def put_docker(folder: Path) -> Path:
    """The stand-in for Docker, as a program."""
    folder.mkdir(parents=True)
    path = folder / "docker"
    path.write_text(f"#!{sys.executable}\n{_DOCKER}", encoding="utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


class Tracking:
    """An MLflow store, with the rows that the pipeline's steps would have written."""

    def __init__(self, folder: Path):
        self._folder = folder
        self.uri = f"sqlite:///{folder}/mlflow.db"
        self._rows: list[TrackedRun] = []

    def add_row(
        self, run_id: str, verdict: str, *, compared: bool = True, **tags: str
    ) -> None:
        """The row of a run that came to its gate."""
        row = TrackedRun(self.uri, run_id, time_ms=int(1000 * time.time()))
        self._rows.append(row)
        metrics = {"miou": 0.7912, "pixel_accuracy": 0.91, "iou/road": 0.95}
        metrics[f"iou/{key(CLASSES[1])}"] = 0.6324
        checks = (Check("min_delta", verdict == "promote", "mIoU +0.0120 wanted"),)
        change = Interval(0.0120, 0.0050, 0.0190)
        comparison = Comparison(
            challenger_miou=0.7912,
            champion_miou=0.7792,
            miou=change,
            class_iou=(change, Interval(-0.0042, -0.0100, 0.0016)),
            num_images=101,
            confidence=0.95,
        )
        decision = Decision(checks, class_names=CLASSES)
        if compared:
            decision = replace(decision, champion="version 3", comparison=comparison)
        out = self._folder / run_id
        write_decision(decision, out)
        reasons = "; ".join(decision.reasons)
        row.log(
            tags={"verdict": verdict, "reasons": reasons, **tags},
            metrics={**metrics, **decision.metrics},
        )
        row.log_file(out / "decision.json", "gate")
        row.close("FINISHED")

    def add_failure(self, run_id: str, step: str, message: str) -> None:
        row = TrackedRun(self.uri, run_id, time_ms=int(1000 * time.time()))
        self._rows.append(row)
        row.log(tags={"failed_step": step, "failure": message})
        row.close("FAILED")

    def close_row(self, run_id: str, message: Mapping[str, Any]) -> str:
        """What the exit task does: MLflow's word for the run's end."""
        row = TrackedRun(self.uri, run_id, time_ms=int(1000 * time.time()))
        self._rows.append(row)
        record_end(row, message)
        return str(TrackedRuns(self.uri).find(run_id).status)

    def close(self) -> None:
        for row in self._rows:
            row._client._tracking_client.store._dispose_engine()
