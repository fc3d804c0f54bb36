"""What MLflow costs a training: when it answers, is silent, is dead, or is not there.

    python -m benchmarks.silent_mlflow [--rounds 3] [--epochs 10]
        [--write docs/results.md]

The same small training, as the pipeline's step runs it in a pod: it tracks by itself,
from a thread of its own, more than one message a second. The stores take turns, in
another order each round; the table gives the medians over the rounds, and each round's
ratio to the training without a store. MLflow is imported before, which a
step does beside its first epochs, and only if the server answers.
"""

import argparse
import contextlib
import itertools
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from benchmarks.tables import add_write_option, show

STORES = ("nothing", "answers", "is silent", "is dead")
_SCENE, _VIEW = (96, 128), (64, 96)
_STEPS_PER_EPOCH = 20
_FIRST = 2  # epochs that are not timed: the network is compiled


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=10)
    add_write_option(parser)
    options = parser.parse_args()
    import mlflow  # noqa: F401

    rows: dict[str, list[dict[str, float]]] = {store: [] for store in STORES}
    with tempfile.TemporaryDirectory() as place, stores(Path(place)) as addresses:
        data = Path(place) / "data"
        write_scenes(data)
        for number in range(options.rounds):
            # Each round in another order: what the machine does besides hits them all.
            for store in STORES[number % 4 :] + STORES[: number % 4]:
                with tracked_in(addresses[store]):
                    rows[store].append(measure(data, options.epochs))
                print(f"round {number + 1}, {store}: {rows[store][-1]}", flush=True)
    header = ["MLflow", "step", "ratio to no MLflow", "wait at the end", "unsent"]
    lines = [_line(name, measured, rows["nothing"]) for name, measured in rows.items()]
    show("mlflow", header, lines, options.write)


def _line(store: str, measured: list[dict[str, float]], bare: list[Any]) -> list[str]:
    pairs = zip(measured, bare, strict=True)
    ratios = sorted(m["step_ms"] / n["step_ms"] for m, n in pairs)
    step, wait, left = (
        statistics.median(m[name] for m in measured)
        for name in ("step_ms", "wait_s", "left")
    )
    shown = "" if bare is measured else ", ".join(f"{one:.2f}" for one in ratios)
    return [store, f"{step:.1f} ms", shown, f"{wait:.1f} s", f"{left:.0f}"]


def measure(data: Path, epochs: int) -> dict[str, float]:
    """Milliseconds a step, validation and messages included, and the wait at the end.

    The first is the median over the epochs. left: messages that could not be sent.
    """
    import keras

    from seglib.config import TrainConfig
    from seglib.data.verification.loading import load_dataset
    from seglib.delivery.outbox import UNSENT_FILE
    from seglib.models import build_model
    from seglib.runtime.events import read_events
    from seglib.steps.train import train
    from seglib.tasks.task import task

    keras.utils.clear_session()
    dataset = load_dataset(data)
    model = build_model(
        "compact_small",
        num_classes=dataset.num_classes,
        image_size=_VIEW,
        ignore_index=dataset.ignore_index,
    )
    config = TrainConfig(
        epochs=epochs, steps_per_epoch=_STEPS_PER_EPOCH, precision="float32"
    )
    ends: list[float] = []
    with tempfile.TemporaryDirectory() as place:
        out = SimpleNamespace(path=f"{place}/model", uri="model")
        with task("train", out=out, watched=True) as told:
            train(
                model,
                dataset,
                config=config,
                on_epoch=told.epoch,
                progress=lambda _done, _total: ends.append(time.perf_counter()),
            )
            trained = time.perf_counter()
        waited = time.perf_counter() - trained
        left = len(read_events(Path(out.path) / UNSENT_FILE))
    last = ends[_FIRST * _STEPS_PER_EPOCH - 1 :: _STEPS_PER_EPOCH]  # of each epoch
    epoch_s = statistics.median(b - a for a, b in itertools.pairwise(last))
    return {
        "step_ms": round(1000 * epoch_s / _STEPS_PER_EPOCH, 2),
        "wait_s": round(waited, 2),
        "left": left,
    }


@contextlib.contextmanager
def tracked_in(uri: str) -> Iterator[None]:
    """Within it, this process is the pod of a run that is tracked in a store."""
    from seglib.delivery.sending import own_sender
    from seglib.environment import RUN_ID, TRACKING_URI

    os.environ[RUN_ID] = f"benchmark-{time.time_ns()}"
    os.environ.pop(TRACKING_URI, None)
    if uri:
        os.environ[TRACKING_URI] = uri
    yield
    if uri:
        own_sender(uri)[0].close()
        own_sender.cache_clear()


def write_scenes(root: Path) -> None:
    """A few small sample scenes."""
    from seglib.data.image_io import write_image
    from tools import sample_scenes

    numbers = iter(range(100))
    for split, count in {"train": 16, "val": 2}.items():
        for index in range(count):
            height, width = _SCENE
            scene = sample_scenes.render_scene(
                next(numbers), height=height, width=width
            )
            for kind, pixels in zip(("images", "segmentation"), scene, strict=True):
                write_image(root / f"{split}_{kind}" / f"{index}.png", pixels)
    names = ", ".join(sample_scenes.CLASS_NAMES)
    description = f"class_names: [{names}]\nignore_index: {sample_scenes.IGNORE_INDEX}"
    (root / "dataset.yaml").write_text(f"{description}\n", encoding="utf-8")


@contextlib.contextmanager
def stores(folder: Path) -> Iterator[dict[str, str]]:
    """The address of each store, on loopback."""
    with socket.socket() as silent, socket.socket() as dead:
        for one in (silent, dead):
            one.bind(("127.0.0.1", 0))
        silent.listen(128)  # accepts, and never answers; the other refuses
        uris = [f"http://127.0.0.1:{one.getsockname()[1]}" for one in (silent, dead)]
        with mlflow_server(folder) as answering:
            yield dict(zip(STORES, ("", answering, *uris), strict=True))


@contextlib.contextmanager
def mlflow_server(folder: Path) -> Iterator[str]:
    """A real MLflow server on SQLite."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    uri = f"http://127.0.0.1:{port}"
    command = [
        *(sys.executable, "-m", "mlflow", "server", "--workers", "1"),
        *("--host", "127.0.0.1", "--port", str(port)),
        *("--backend-store-uri", f"sqlite:///{folder}/server.db"),
        *("--artifacts-destination", str(folder / "artifacts")),
    ]
    environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with (folder / "server.log").open("w") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        while process.poll() is None:
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"{uri}/health", timeout=2).close()
                break
            time.sleep(0.2)
        yield uri
    finally:
        process.terminate()
        process.wait()


if __name__ == "__main__":
    main()
