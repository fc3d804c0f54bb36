"""Every open question about training on a GPU, answered in six minutes.

    python -m benchmarks.gpu [--minutes 6] [--parts WORDS …] [--write docs/results.md]
    python -m benchmarks.gpu --cpu                    (what a CPU can say, 3 minutes)

Without a GPU it does the second by itself. It needs the project's environment and no
network; PyTorch is measured beside where it can be imported.

On a GPU, at 360×480 and batch 8: the training step of `unet` and `compact` in each
number format, with XLA and without, bare (`step`: batches as tensors, as arrays of
NumPy's, and copied ahead by a thread) and inside of `train`, which loads its images;
several steps in one call; `train` as it chooses by itself (`auto`), with the time to
its first step; XLA's levels of autotuning, and the two kinds of `cache` on the disk;
the loader by its threads; Keras's `fit` and PyTorch with the same network. On a CPU:
the operations of each traced step, and what XLA makes of it.

Each part is a process, so that a crash leaves the others. The first run alone; the
others compile beside one another, and are stopped while one is timed. The results are
appended to `--rows` as they come. After `--minutes` all ends, and what is missing is
named. `--parts` chooses: those whose names contain all words of one of its values.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.gpu_parts import Part
from benchmarks.tables import add_write_option, show
from benchmarks.turns import Job, run_in_turns
from seglib.hardware import usable_cores

HEADER = (
    "part",
    "ms a step",
    "from NumPy",
    "copied ahead",
    "ms of the host",
    "images/s",
    "× PyTorch",
    "first step, s",
    "memory, MB",
)
CPU_HEADER = (
    "step",
    "operations",
    "traced in s",
    "compiled in s",
    "kernels",
    "GFLOP",
    "MB read and written",
)
EXPECTED_S = 40  # of a part on a GPU; with less time left it is not begun
MOST_SLOTS = 7
BF16 = {"precision": "bfloat16"}
PYTORCH = Part(kind="torch", **BF16)
# The most valuable first.
ALONE = (Part(kind="auto"),)
BESIDE = (
    PYTORCH,
    Part(kind="step", xla=True, **BF16),
    Part(kind="step", network="compact", xla=True, **BF16),
    Part(kind="train", network="compact", xla=True, **BF16),
    Part(kind="loader"),
    Part(kind="step", xla=True, autotune=0, **BF16),
    Part(kind="step", xla=True, precision="float16"),
    Part(kind="fit", xla=True, **BF16),
    Part(kind="step", xla=True, calls=4, **BF16),
    Part(kind="step", xla=True),
    Part(kind="step", **BF16),
    Part(kind="step", xla=True, masks="uint8", **BF16),
    Part(kind="step", xla=True, autotune=2, **BF16),
    Part(kind="step", network="compact", **BF16),
    Part(kind="step"),
    Part(kind="step", network="compact", xla=True),
    Part(kind="torch"),
    Part(kind="torch", xla=True, **BF16),
    Part(kind="train", xla=True, precision="float16"),
    Part(kind="step", xla=True, metric=False, **BF16),
    Part(kind="step", precision="float16"),
    Part(kind="step", network="compact"),
    Part(kind="step", network="compact", xla=True, precision="float16"),
    Part(kind="fit", network="compact", xla=True, **BF16),
    Part(kind="train"),
    Part(kind="train", network="compact"),
)
AT_LAST = tuple(
    Part(kind="step", xla=True, cache=cache, run=run, **BF16)
    for cache in ("tuning", "steps")
    for run in (1, 2)
)
ON_A_CPU = (
    Part(kind="graph", network="compact"),
    Part(kind="graph"),
    Part(kind="graph", network="compact", xla=True, **BF16),
    Part(kind="graph", xla=True, **BF16),
    Part(kind="graph", xla=True, precision="float16"),
)


def main() -> None:
    options = _options()
    ends = time.monotonic() + 60 * options.minutes
    on_cpu = options.cpu or not _has_gpu()
    beside = min(MOST_SLOTS, max(1, usable_cores() // 2))
    rounds = [(ALONE, 1), (BESIDE, beside), (AT_LAST, 1)]
    if on_cpu:
        rounds = [(ON_A_CPU, 1)]
    results: dict[str, dict[str, Any]] = {}
    missing: dict[str, str] = {}
    options.rows.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, options.rows.open("a") as rows:
        write_images(Path(folder))

        def on_facts(name: str, facts: dict[str, Any]) -> None:
            results.setdefault(name, {}).update(facts)
            print(f"{name}: {json.dumps(facts)}", flush=True)
            rows.write(json.dumps({"part": name, **facts}) + "\n")
            rows.flush()

        settings = {
            "data": folder,
            "size": options.size or ((64, 96) if on_cpu else (360, 480)),
            "batch_size": options.batch_size or (2 if on_cpu else 8),
        }
        for parts, slots in rounds:
            chosen = [part for part in parts if _is_chosen(part, options.parts)]
            jobs = [job(replace(part, **settings), on_cpu=on_cpu) for part in chosen]
            missing |= run_in_turns(jobs, slots=slots, ends=ends, on_facts=on_facts)
    if on_cpu:
        show("gpu-on-a-cpu", CPU_HEADER, cpu_lines(results), options.write)
    else:
        show("gpu", HEADER, gpu_lines(results), options.write)
    for name, row in results.items():
        for line in row.get("trial", ()):
            print(f"{name}: {line}")
    for name, reason in missing.items():
        print(f"missing: {name}: {reason}")


def job(part: Part, *, on_cpu: bool) -> Job:
    """The process that measures a part."""
    environment = {
        **os.environ,
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "TF_FORCE_GPU_ALLOW_GROWTH": "true",
        "TF_XLA_FLAGS": part.tensorflow_flags,
        "XLA_FLAGS": f"{os.environ.get('XLA_FLAGS', '')} {part.xla_flags}".strip(),
    }
    if on_cpu:
        environment["CUDA_VISIBLE_DEVICES"] = ""
    command = [sys.executable, "-m", "benchmarks.gpu_measures", part.as_argument()]
    return Job(str(part), command, environment, 0 if on_cpu else EXPECTED_S)


def write_images(folder: Path) -> None:
    """A dataset of painted scenes, and the folders of XLA's caches."""
    from tools.sample_scenes import write_sample_dataset

    write_sample_dataset(folder, counts={"train": 32, "val": 0, "test": 0})
    for name in ("tuning", "steps"):
        (folder / name).mkdir()


def gpu_lines(results: dict[str, dict[str, Any]]) -> list[list[str]]:
    """A row for each part that was timed, and for each number of loader threads."""
    reference = results.get(str(PYTORCH), {}).get("ms")
    lines = []
    for name, row in results.items():
        for threads, rate in row.get("loader", {}).items():
            cells = [""] * len(HEADER)
            cells[0] = f"loader, {threads} threads of {row['cores']} cores"
            cells[HEADER.index("images/s")] = _number(rate, ",.0f")
            lines.append(cells)
        if "ms" not in row:
            continue
        beside = "" if name in map(str, ALONE + AT_LAST) else "~"
        lines.append(
            [
                name,
                _number(row["ms"], ".2f"),
                _number(row.get("arrays_ms"), ".2f"),
                _number(row.get("ahead_ms"), ".2f"),
                _number(row.get("host_ms"), ".2f"),
                _number(1000 * row["batch_size"] / row["ms"], ",.0f"),
                _number(reference and row["ms"] / reference, ".2f"),
                beside + _number(row.get("first_s"), ".1f"),
                _number(row.get("memory_mb"), ",.0f"),
            ]
        )
    return lines


def cpu_lines(results: dict[str, dict[str, Any]]) -> list[list[str]]:
    """A row for each graph."""
    return [
        [
            name,
            _number(row["operations"], ","),
            _number(row["traced_s"], ".1f"),
            _number(row["compiled_s"], ".1f"),
            _number(row.get("kernels"), ","),
            _number(row.get("gflop"), ".2f"),
            _number(row.get("moved_mb"), ",.0f"),
        ]
        for name, row in results.items()
        if "traced_s" in row
    ]


def _number(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)


def _is_chosen(part: Part, wanted: Sequence[str] | None) -> bool:
    words = str(part).split()
    return not wanted or any(set(value.split()) <= set(words) for value in wanted)


def _has_gpu() -> bool:
    """Asked in a process of its own: TensorFlow would hold the GPU here."""
    question = "from seglib.hardware import has_gpu; print(has_gpu())"
    done = subprocess.run(
        [sys.executable, "-c", question],
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return done.stdout.split()[-1] == "True"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=6)
    parser.add_argument("--parts", nargs="+", metavar="WORDS")
    parser.add_argument("--cpu", action="store_true", help="even where there is a GPU")
    parser.add_argument("--size", type=int, nargs=2, metavar=("HEIGHT", "WIDTH"))
    parser.add_argument("--batch-size", type=int)
    parser.add_argument("--rows", type=Path, default=Path("build/gpu.jsonl"))
    add_write_option(parser)
    return parser.parse_args()


if __name__ == "__main__":
    main()
