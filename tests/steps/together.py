"""One of several processes that train together; prints what it learns, as JSON.

    python tests/steps/together.py REQUEST.json

The request: `data`, `place` of checkpoints or null, `every_s`, `settings`, `seed` of
the first weights, `teacher`: whether there is one, and `stop`: after how many steps to
print `paused` and to wait for the end of the input, or 0.
TF_CONFIG says which process this is.
"""

import json
import logging
import os
import sys
from pathlib import Path

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import numpy as np
import tensorflow as tf

from seglib.config import TrainConfig
from seglib.data.verification.loading import load_dataset
from seglib.distributed import join
from seglib.errors import SegError
from seglib.steps.train import train
from seglib.training.checkpoints import Checkpoints
from seglib.training.distillation import Distillation
from tests.steps.small_network import build


def main() -> None:
    request = json.loads(Path(sys.argv[1]).read_text())
    logging.basicConfig(level=logging.INFO, format="%(message)s", force=True)
    # Threads add up in an order of their own; with this they do not.
    tf.config.experimental.enable_op_determinism()
    place, epochs = request["place"], []

    def on_step(done: int, _total: int) -> None:
        if done == request["stop"]:
            sys.stdout.write("paused\n")
            sys.stdout.flush()
            sys.stdin.read()

    try:
        group = join()
        model = build(request["seed"])
        teacher = build(3) if request["teacher"] else None
        taught = Distillation(teacher=teacher, pairwise_weight=1.0) if teacher else None
        history = train(
            model,
            load_dataset(Path(request["data"])),
            config=TrainConfig(**request["settings"]),
            checkpoints=place
            and Checkpoints(place, every_s=request["every_s"], largest_share=1e9),
            distillation=taught,
            processes=group,
            on_epoch=lambda row: epochs.append(row["epoch"]),
            progress=on_step,
        )
    except SegError as error:
        sys.stdout.write(f"{error}\n")
        raise SystemExit(1) from error
    outcome = {
        "history": [
            [row["loss"], row["train_miou"], row["val_miou"]] for row in history
        ],
        "weights": [np.ravel(w).tolist() for w in model.network.get_weights()],
        "epochs": epochs,
    }
    sys.stdout.write(json.dumps(outcome) + "\n")


if __name__ == "__main__":
    main()
