"""The measurements of a GPU, at a tiny size on a CPU."""

import math
import subprocess
import sys
import time
from dataclasses import replace

import pytest

from benchmarks.gpu import (
    ALONE,
    AT_LAST,
    BESIDE,
    HEADER,
    ON_A_CPU,
    gpu_lines,
    job,
    write_images,
)
from benchmarks.gpu_measures import MEASURES
from benchmarks.gpu_parts import Part
from benchmarks.turns import run_in_turns
from benchmarks.waiting import HANG_S

TINY = {"network": "compact_small", "size": (32, 32), "batch_size": 2, "steps": 4}


def test_every_part_of_the_plan_has_a_name_of_its_own_and_is_one_that_is_measured():
    plan = [*ALONE, *BESIDE, *AT_LAST]
    for parts in (plan, ON_A_CPU):
        assert len(set(map(str, parts))) == len(parts)
        assert {part.kind for part in parts} <= MEASURES.keys()
    for part in plan:
        assert Part.from_argument(part.as_argument()) == part


def test_a_step_is_timed_with_batches_of_all_three_kinds():
    facts = {}
    result = MEASURES["step"](Part(kind="step", **TINY), facts.update)
    assert facts["first_s"] > 0
    for name in ("ms", "host_ms", "arrays_ms", "ahead_ms"):
        assert 0 < result[name] < math.inf


def test_without_a_gpu_the_operations_of_a_step_are_counted(tmp_path, repository):
    page = tmp_path / "page.md"
    page.write_text("<!-- gpu-on-a-cpu: begin -->\n<!-- gpu-on-a-cpu: end -->\n")
    done = subprocess.run(
        [
            *(sys.executable, "-m", "benchmarks.gpu", "--cpu", "--size", "32", "32"),
            *("--parts", "compact float32", "--minutes", str(HANG_S / 60)),
            *("--rows", str(tmp_path / "rows"), "--write", str(page)),
        ],
        cwd=repository,
        capture_output=True,
        text=True,
        check=True,
    )
    (row,) = (line for line in page.read_text().splitlines() if "graph" in line)
    name, operations, traced_s, *_ = (cell.strip() for cell in row.split("|")[1:])
    assert name == "graph compact float32 eager"
    # Before the update of a variable was one operation there were 4,480.
    assert 500 < int(operations.replace(",", "")) < 2500
    assert float(traced_s) > 0
    assert len((tmp_path / "rows").read_text().splitlines()) == 2
    assert "missing" not in done.stdout


@pytest.mark.slow
def test_all_kinds_are_measured_beside_one_another(tmp_path):
    write_images(tmp_path)
    parts = [
        Part(kind="step", calls=2, autotune=0, metric=False, **TINY),
        Part(kind="step", cache="tuning", **TINY),
        Part(kind="step", cache="steps", **TINY),
        *(Part(kind=kind, **TINY) for kind in ("train", "auto", "fit", "loader")),
        Part(kind="graph", xla=True, precision="bfloat16", **TINY),
        Part(kind="torch", **TINY),
    ]
    results = {}
    missing = run_in_turns(
        [job(replace(part, data=str(tmp_path)), on_cpu=True) for part in parts],
        slots=2,
        ends=time.monotonic() + HANG_S,
        on_facts=lambda name, facts: results.setdefault(name, {}).update(facts),
    )
    assert all("No module named 'torch'" in missing[name] for name in missing)
    assert all("torch" in name for name in missing)
    graph = results["graph compact_small bfloat16 XLA"]
    assert graph["kernels"] > 100
    assert graph["gflop"] > 0
    lines = gpu_lines(results)
    assert all(len(line) == len(HEADER) for line in lines)
    assert {line[0].split()[0] for line in lines} >= {"step", "train", "auto", "fit"}
