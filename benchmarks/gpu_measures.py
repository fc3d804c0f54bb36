"""Measures one part of `benchmarks.gpu`, in a process of its own.

    python -m benchmarks.gpu_measures PART

It prints JSON objects, the last of which are the results; see `benchmarks.turns`.
"""

import contextlib
import itertools
import json
import logging
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.gpu_parts import Part
from benchmarks.gpu_steps import (
    CLASSES,
    IGNORED,
    compiled_step_of,
    copied_ahead,
    dataset_of,
    loss,
    model_of,
    network_of,
    random_batch,
)
from benchmarks.hlo_costs import costs, floating_point_operations

_MOST_TIMED_S = 4.0
_WARM = 20  # steps of a training: the loader's buffer is as full as it will be
_LOADER_THREADS = (1, 2, 4, 8, 16)

Ready = Callable[..., None]  # tells facts, and waits until nothing else runs
Facts = dict[str, Any]


def main() -> None:
    """Run the part, and print what it gives."""
    part = Part.from_argument(sys.argv[1])

    def ready(**facts: Any) -> None:
        print(json.dumps({"ready": True, **facts}), flush=True)
        sys.stdin.readline()

    result = MEASURES[part.kind](part, ready)
    print(json.dumps({**result, "batch_size": part.batch_size}), flush=True)


def measure_step(part: Part, ready: Ready) -> Facts:
    """The bare compiled step: its batch as tensors, as arrays, and copied ahead."""
    import tensorflow as tf

    step = compiled_step_of(part)
    images, masks, rate = batch = random_batch(part)
    there = [tf.identity(tensor) for tensor in batch]
    started = time.perf_counter()
    float(step(*there)[0])
    ready(first_s=time.perf_counter() - started)
    result = _timed(lambda: step(*there)[0], float, part)
    if part.calls > 1:
        return result
    arrays = _timed(lambda: step(*batch)[0], float, part)
    pairs = copied_ahead(itertools.repeat((images, masks)))
    ahead = _timed(lambda: step(*next(pairs), rate)[0], float, part)
    return {
        **result,
        "arrays_ms": arrays["ms"],
        "ahead_ms": ahead["ms"],
        "memory_mb": _peak_mb(),
    }


def measure_graph(part: Part, ready: Ready) -> Facts:
    """What a CPU can say of a step: its operations, and XLA's module of it."""
    from tensorflow.python.eager import context

    from seglib.models.layers import resampling, upsampling

    # The layers take the operations that GPUs have; XLA compiles no others.
    upsampling.has_gpu = resampling.has_gpu = lambda: True  # type: ignore[assignment]
    step = compiled_step_of(part)
    batch = random_batch(part)
    started = time.perf_counter()
    step.get_concrete_function(*batch)
    traced = time.perf_counter()
    context.enable_graph_collection()
    float(step(*batch)[0])
    compiled = time.perf_counter()
    graphs = context.export_run_metadata().function_graphs
    largest = max((graph.post_optimization_graph for graph in graphs), key=_operations)
    ready()
    facts = {
        "operations": _operations(largest),
        "traced_s": traced - started,
        "compiled_s": compiled - traced,
    }
    if part.xla:
        before, after = (
            _largest_text(Path(part.data) / part.dump_name, f"*{stage}.txt")
            for stage in ("before_optimizations", "after_optimizations")
        )
        made = costs(after)
        facts["kernels"], moved = made.kernels, made.read_and_written_bytes
        facts["moved_mb"] = moved / 1e6
        facts["gflop"] = floating_point_operations(before) / 1e9
    return facts


def measure_training(part: Part, ready: Ready) -> Facts:
    """`train`, with its loader; for the kind `auto` it chooses the format itself."""
    from seglib.config import TrainConfig
    from seglib.steps.train import train

    trial = _Lines()
    logging.getLogger("seglib.training.precision").addHandler(trial)
    logging.getLogger("seglib.training.precision").setLevel(logging.INFO)
    settings: Facts = {}
    if part.kind != "auto":
        settings = {"precision": part.precision, "xla": "always" * part.xla or "never"}
    ended: list[float] = []
    warm, last = _WARM, 2 * _WARM + 10 * part.steps
    started = time.perf_counter()

    def on_step(done: int, _total: int) -> None:
        ended.append(time.perf_counter())
        if done == warm:
            ready(first_s=ended[0] - started)
        # What was loaded while this process waited is used up by twice as many steps.
        late = done > 2 * warm and ended[-1] > ended[2 * warm] + _MOST_TIMED_S
        if done == last or late:
            raise KeyboardInterrupt

    data, model = dataset_of(part), model_of(part)
    config = TrainConfig(
        steps_per_epoch=1000, epochs=1000, batch_size=part.batch_size, **settings
    )
    with contextlib.suppress(KeyboardInterrupt):
        train(model, data, config=config, progress=on_step)
    timed = ended[2 * warm :]
    return {
        "ms": 1000 * (timed[-1] - timed[0]) / (len(timed) - 1),
        "memory_mb": _peak_mb(),
        "trial": trial.lines,
    }


def measure_loader(part: Part, ready: Ready) -> Facts:
    """Images/s of the loader, by its threads."""
    from seglib.config import TrainConfig
    from seglib.data.loader import PairSource, training_batches
    from seglib.hardware import usable_cores

    config, data = TrainConfig(batch_size=part.batch_size), dataset_of(part)
    ready()
    rates = {}
    for threads in _LOADER_THREADS:
        if threads > 2 * usable_cores():
            continue
        batches = iter(
            training_batches(
                PairSource(data.pairs("train"), inputs={"image": 3}),
                image_size=part.size,
                ignore_index=data.ignore_index,
                config=config,
                num_threads=threads,
            )
        )
        for _ in range(_WARM):  # the pairs are decoded, and the buffer is full
            next(batches)
        images, started = 0, time.perf_counter()
        while time.perf_counter() < started + _MOST_TIMED_S / 2:
            next(batches)
            images += config.batch_size
        rates[str(threads)] = images / (time.perf_counter() - started)
    return {"loader": rates, "cores": usable_cores()}


def measure_fit(part: Part, ready: Ready) -> Facts:
    """Keras's own loop with the same network, loss, optimizer and metric."""
    import keras
    import tensorflow as tf

    from seglib.config import TrainConfig
    from seglib.evaluation.metrics import MeanIoU
    from seglib.training.optimizer import build_optimizer

    network = network_of(part)
    optimizer = build_optimizer(TrainConfig(), network)
    network.compile(
        optimizer,
        loss(),
        metrics=[MeanIoU(CLASSES, IGNORED)],
        jit_compile=part.xla,
        steps_per_execution=part.calls,
    )
    images, masks, _ = random_batch(part)
    data = tf.data.Dataset.from_tensors((images, masks)).repeat().prefetch(4)
    ended: list[float] = []

    def on_train_batch_end(*_: Any, **__: Any) -> None:
        ended.append(time.perf_counter())

    clock = keras.callbacks.LambdaCallback(on_train_batch_end=on_train_batch_end)

    def fit(steps: int) -> None:
        network.fit(data, steps_per_epoch=steps, verbose=0, callbacks=[clock])

    started = time.perf_counter()
    fit(2 * part.calls)
    ready(first_s=ended[0] - started)
    ended.clear()
    fit(part.steps * part.calls)
    durations = [b - a for a, b in itertools.pairwise(ended)]
    skipped = durations[len(durations) // 4 :]  # its first steps
    return {"ms": 1000 * sum(skipped) / len(skipped) / part.calls}


def measure_pytorch(part: Part, ready: Ready) -> Facts:
    """PyTorch's U-Net of the same layers; its batch lies on the device."""
    from benchmarks.torch_unet import training_step

    images, masks, _ = random_batch(part)
    step, parameters = training_step(
        images,
        masks,
        num_classes=CLASSES,
        bfloat16=part.precision == "bfloat16",
        compiled=part.xla,
    )
    started = time.perf_counter()
    float(step())
    ready(first_s=time.perf_counter() - started)
    return {**_timed(step, float, part), "parameters": parameters}


MEASURES: dict[str, Callable[[Part, Ready], Facts]] = {
    "auto": measure_training,
    "fit": measure_fit,
    "graph": measure_graph,
    "loader": measure_loader,
    "step": measure_step,
    "torch": measure_pytorch,
    "train": measure_training,
}


def _timed(call: Callable[[], Any], wait: Callable[[Any], Any], part: Part) -> Facts:
    """The middle of three rounds of calls that are not waited for one by one."""
    for _ in range(3):
        started = time.perf_counter()
        wait(call())
    one_s = time.perf_counter() - started
    number = max(2, min(part.steps, int(_MOST_TIMED_S / 3 / one_s))) // part.calls or 1
    rounds = []
    for _ in range(3):
        started = time.perf_counter()
        for _ in range(number):
            last = call()
        launched = time.perf_counter() - started
        wait(last)
        rounds.append((time.perf_counter() - started, launched))
    whole, launched = sorted(rounds)[1]
    steps = number * part.calls
    return {"ms": 1000 * whole / steps, "host_ms": 1000 * launched / steps}


def _operations(graph: Any) -> int:
    """Operations of a graph that TensorFlow has optimized, its functions included."""
    nodes = itertools.chain(
        graph.node, *(function.node_def for function in graph.library.function)
    )
    passive = ("Const", "NoOp", "_Arg", "_Retval", "Placeholder")
    return sum(node.op not in passive for node in nodes)


def _largest_text(folder: Path, pattern: str) -> str:
    path = max(folder.glob(pattern), key=lambda path: path.stat().st_size)
    return path.read_text(encoding="utf-8")


def _peak_mb() -> float | None:
    import tensorflow as tf

    if not tf.config.list_physical_devices("GPU"):
        return None
    return tf.config.experimental.get_memory_info("GPU:0")["peak"] / 2**20


class _Lines(logging.Handler):
    """Keeps what is logged."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


if __name__ == "__main__":
    main()
