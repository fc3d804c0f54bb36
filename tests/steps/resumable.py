"""A process of its own that trains: some are killed, others go on where they were.

    python tests/steps/resumable.py train DATA PLACE [STEP]
    python tests/steps/resumable.py train-until-cut DATA PLACE
    python tests/steps/resumable.py train-until-told DATA PLACE STEP
    python tests/steps/resumable.py compare DATA PLACE SCENARIO …

`train` prints a line a step, and what came of it as JSON; after STEP it waits for the
end of its input. `train-until-cut` dies while it writes a checkpoint; in
`train-until-told` no checkpoint is due. `compare` prints, for each scenario, what came
of it with and without interruptions, as JSON.
"""

import hashlib
import json
import logging
import os
import resource
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import tensorflow as tf

from benchmarks.waiting import wait_until
from seglib.config import TrainConfig
from seglib.data.dataset import Dataset, with_splits
from seglib.data.verification.loading import load_dataset
from seglib.errors import SegError
from seglib.models.model import load_model
from seglib.steps.train import train
from seglib.training.checkpoints import Checkpoints, forget
from seglib.training.distillation import Distillation
from tests.steps.small_network import build

STEPS_PER_EPOCH = 3
SETTINGS: dict[str, Any] = {
    "epochs": 4,
    "steps_per_epoch": STEPS_PER_EPOCH,
    "batch_size": 2,
    "learning_rate": 3e-3,
}
# The steps after which each is interrupted: amid an epoch, and where a phase ends.
SCENARIOS: dict[str, tuple[tuple[int, ...], dict[str, Any]]] = {
    "killed": ((), {}),  # by another process
    "phases": ((3, 7), {"freeze_epochs": 1, "encoder_learning_rate": 0.5}),
    "taught": ((4,), {"validate_every": 3}),
}


def limit_files(size: int) -> None:
    """From now on the kernel kills this process in the middle of a larger file."""
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def run(
    data: Dataset,
    place: str | None,
    stop: int = 0,
    *,
    lines: bool = False,
    hold: int = 0,
    cut: int = 0,
    slow: bool = False,
    waits: bool = True,
    changes: dict[str, Any] | None = None,
    distillation: Distillation | None = None,
) -> dict[str, Any] | None:
    """Train, with a checkpoint after every step; `None` if stopped after one."""
    model = build(7, dropout=0.3)
    checkpoints = None
    if place:
        every_s = 3600 if slow else 0
        checkpoints = Checkpoints(place, every_s=every_s, largest_share=1e9)

    def on_step(done: int, _total: int) -> None:
        # The checkpoint of the step before lies there: what follows is determined.
        if checkpoints and waits:
            wait_until(lambda: checkpoints.written_step >= done - 1)
        if done == cut:
            limit_files(1000)
        if lines:
            sys.stdout.write(f"step {done}\n")
            sys.stdout.flush()
        if done == hold:
            sys.stdin.read()  # until it is killed, or told to go on
        if stop and done == stop + 1:
            raise KeyboardInterrupt

    try:
        history = train(
            model,
            data,
            config=TrainConfig(**SETTINGS, **(changes or {})),
            distillation=distillation,
            checkpoints=checkpoints,
            progress=on_step,
        )
    except KeyboardInterrupt:
        return None
    digest = hashlib.sha256()
    for array in model.network.get_weights():
        digest.update(array.tobytes())
    for row in history:
        del row["duration_s"]
    return {"weights": digest.hexdigest(), "history": history}


def compare(data: Dataset, place: str, name: str) -> dict[str, Any]:
    """The outcomes of one scenario."""
    stops, changes = SCENARIOS[name]
    options: dict[str, Any] = {"changes": changes}
    if name == "taught":
        options["distillation"] = Distillation(teacher=build(3))
    if name == "phases":  # without val: the weights are those of the last step
        data = with_splits(data, {"train": data.splits["train"]})
    stopped = [run(data, place, stop, **options) for stop in stops]
    return {
        "stopped": stopped,
        "resumed": run(data, place, **options),
        "whole": run(data, None, **options),
    }


def save_later(data: Dataset, place: str, out: Path) -> dict[str, Any]:
    """Train to the end, where the disk refuses the model; then once more."""
    out.mkdir(parents=True)
    (out / "mine.txt").write_text("not a model")
    steps: list[int] = []
    refused = ""
    for _ in range(2):
        try:
            _train_and_save(data, out, Checkpoints(place), steps)
        except SegError as error:
            refused = str(error)
            (out / "mine.txt").unlink()
    files = sorted(path.name for path in out.iterdir())
    return {"steps": len(steps), "refused": refused, "files": files}


def lose_the_model(data: Dataset, place: str, out: Path) -> dict[str, Any]:
    """Train to the end of the time, lose the model on its way; then once more."""
    steps: list[int] = []
    written = []
    for _ in range(2):
        kept = Checkpoints(place, keep_outcome=True)
        _train_and_save(data, out, kept, steps, max_minutes=4)
        model = load_model(out)
        digest = hashlib.sha256()
        for array in model.network.get_weights():
            digest.update(array.tobytes())
        written.append([digest.hexdigest(), (out / "history.json").read_text()])
        shutil.rmtree(out)
    left = [path.name for path in Path(kept.folder).glob("*.checkpoint")]
    forget(kept.folder)
    forget(kept.folder)
    gone = not Path(kept.folder).exists()
    return {"steps": len(steps), "written": written, "left": left, "gone": gone}


def _train_and_save(
    data: Dataset, out: Path, kept: Checkpoints, steps: list[int], **changes: Any
) -> None:
    train(
        build(7, dropout=0.3),
        data,
        config=TrainConfig(**SETTINGS, **changes),
        out=out,
        checkpoints=kept,
        progress=lambda done, _total: steps.append(done),
        now=lambda: 60.0 * len(steps),  # a step takes a minute
    )


def main() -> None:
    what, root, place, *names = sys.argv[1:]
    # Threads add up in an order of their own; with this they do not.
    tf.config.experimental.enable_op_determinism()
    logging.basicConfig(level=logging.INFO, format="%(message)s", force=True)
    data = load_dataset(Path(root))
    if what.startswith("train"):
        cut = 5 if what == "train-until-cut" else 0
        hold = int(*names) if names else 0
        slow = what == "train-until-told"
        waits = bool(hold or cut) and not slow
        outcome = run(
            *(data, place), lines=True, hold=hold, cut=cut, slow=slow, waits=waits
        )
        sys.stdout.write(json.dumps(outcome) + "\n")
    else:
        outcomes = {name: compare(data, place, name) for name in names}
        if len(names) > 1:
            here = Path.cwd()
            outcomes["saved later"] = save_later(data, place, here / "model")
            kept = str(here / "kept")
            outcomes["lost"] = lose_the_model(data, kept, here / "lost")
        sys.stdout.write(json.dumps(outcomes) + "\n")


if __name__ == "__main__":
    main()
