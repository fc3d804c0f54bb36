"""Processes that are timed one at a time."""

import os
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.turns import Job, run_in_turns
from benchmarks.waiting import HANG_S

READY = """
import json, os, sys
def say(**facts): print(json.dumps(facts), flush=True)
say(ready=True, pid=os.getpid())
sys.stdin.readline()
"""


def jobs_of(**scripts: str) -> list[Job]:
    return [
        Job(name, [sys.executable, "-c", script], os.environ, 0)
        for name, script in scripts.items()
    ]


def run(jobs, *, slots, ends_in=HANG_S):
    told: dict[str, dict] = {}
    missing = run_in_turns(
        jobs,
        slots=slots,
        ends=time.monotonic() + ends_in,
        on_facts=lambda name, facts: told.setdefault(name, {}).update(facts),
    )
    return told, missing


def test_a_process_that_crashes_leaves_the_others():
    told, missing = run(
        jobs_of(
            broken="raise ValueError('no such kernel')",
            whole=READY + "say(ms=1.5)",
            late=READY + "sys.exit('out of memory')",
        ),
        slots=2,
    )
    assert told["whole"]["ms"] == 1.5
    assert told["whole"]["prepared_s"] > 0
    assert "ValueError: no such kernel" in missing["broken"]
    assert missing["late"] == "out of memory"
    assert "whole" not in missing


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="Linux has /proc.")
def test_the_others_are_stopped_while_one_is_timed(tmp_path):
    begin = f"import os, pathlib, time; folder = pathlib.Path({str(tmp_path)!r})"
    busy = f"""
{begin}
(folder / "pid.new").write_text(str(os.getpid()))
(folder / "pid.new").rename(folder / "pid")
while not (folder / "end").exists():
    time.sleep(0.01)
print('{{"ended": true}}')
"""
    timed = f"""
{begin}
while not (folder / "pid").exists():
    time.sleep(0.01)
other = pathlib.Path("/proc", (folder / "pid").read_text(), "stat")
assert other.read_text().split()[2] in "RSD"
{READY}
while other.read_text().split()[2] != "T":  # stopped
    time.sleep(0.01)
(folder / "end").touch()
say(ms=1)
"""
    told, missing = run(jobs_of(busy=busy, timed=timed), slots=2)
    assert missing == {}
    assert told["timed"]["ms"] == 1
    assert told["busy"] == {"ended": True}


def test_what_has_no_time_left_is_named():
    short, later = jobs_of(short=READY + "say(ms=1)", later="")
    later = replace(later, expected_s=2 * HANG_S)
    told, missing = run([short, later], slots=1)
    assert told["short"]["ms"] == 1
    assert missing == {"later": "not begun: the time was short"}
    jobs = jobs_of(long="import time; time.sleep(3600)", next="")
    _, missing = run(jobs, slots=1, ends_in=0.5)
    assert missing == {
        "long": "not finished: the time was short",
        "next": "not begun: the time was short",
    }
