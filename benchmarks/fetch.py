"""Ten thousand small files from S3: our fetch, `dvc pull`, and boto3 with no checks.

    python -m benchmarks.fetch [--files 10000] [--rounds 3] [--write docs/results.md]

Against SeaweedFS on loopback, so that what counts is each one's own work. The files are
published once, in DVC's layout; then, round by round, each brings them into an empty
folder of its own. The table gives the median of the rounds, and ratios to `dvc pull`
and to the bare loop within this run. It ends with exit code 1 where a bar is missed.
"""

import argparse
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import boto3

from benchmarks.seaweedfs import environment, seaweedfs
from benchmarks.tables import add_write_option, show
from seglib.storage.backends import THREADS, object_key
from seglib.storage.fetching import fetch
from seglib.storage.listings import manifest_entries
from seglib.storage.publishing import publish

BUCKET, PREFIX = "datasets", "benchmark"
URL = f"s3://{BUCKET}/{PREFIX}"
FASTER_THAN_DVC, SHARE_OF_BARE = 5.0, 0.7  # the bars


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    add_write_option(parser)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        with seaweedfs(root / "server") as address:
            os.environ |= environment(address)
            boto3.client("s3").create_bucket(Bucket=BUCKET)
            size = write_files(root / "data", options.files)
            data_md5 = publish(root / "data", URL).key
            print(f"{options.files:,} files, {size / 1e6:.0f} MB\n")
            seconds = measure(root, data_md5, options.rounds)
    passed = report(seconds, options.files, options.write)
    sys.exit(not passed)


def write_files(root: Path, count: int) -> int:
    """Files of 2 to 16 kB in two folders, like small images and masks; their bytes."""
    draw, total = random.Random(0), 0
    for number in range(count):
        part = "images" if number % 2 else "segmentation"
        path = root / f"train_{part}" / f"{number // 2:05}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        total += path.write_bytes(draw.randbytes(draw.randrange(2_000, 16_000)))
    return total


def measure(root: Path, data_md5: str, rounds: int) -> dict[str, list[float]]:
    """Seconds of each way in each round, one after the other."""
    ways: dict[str, Callable[[Path], object]] = {
        "boto3, no checks": lambda out: fetch_bare(out, data_md5),
        "seglib": lambda out: fetch(data_md5, URL, cache=out),
        "dvc pull": pull,
    }
    seconds: dict[str, list[float]] = {name: [] for name in (*ways, "seglib again")}
    for number in range(1, rounds + 1):
        for name, bring in ways.items():
            out = (
                root / f"{number} {name}"
            )  # kept: ext4 steps over what was just removed
            out.mkdir()
            if name == "dvc pull":
                prepare_dvc(out, data_md5)
            seconds[name].append(_timed(lambda: bring(out)))  # noqa: B023 - now
            if name == "seglib":
                seconds["seglib again"].append(_timed(lambda: bring(out)))  # noqa: B023
            print(f"round {number}: {name} {seconds[name][-1]:.1f} s", flush=True)
    return seconds


def fetch_bare(out: Path, data_md5: str) -> None:
    """What one would write oneself: nothing is checked, nothing is atomic."""
    entries = manifest_entries(data_md5, URL)
    for folder in {(out / entry.path).parent for entry in entries}:
        folder.mkdir(parents=True)
    client = boto3.client("s3")

    def get(number: int) -> None:
        entry = entries[number]
        key = f"{PREFIX}/{object_key(entry.md5)}"
        body = client.get_object(Bucket=BUCKET, Key=key)["Body"]
        (out / entry.path).write_bytes(body.read())

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(get, range(len(entries))))


def prepare_dvc(out: Path, data_md5: str) -> None:
    """A repository of DVC with the pin, and nothing in its cache."""
    _dvc(out, "init", "--quiet", "--no-scm")
    _dvc(out, "remote", "add", "--quiet", "--default", "s3", URL)
    pin = f"outs:\n- md5: {data_md5}\n  hash: md5\n  path: data\n"
    (out / "data.dvc").write_text(pin)


def pull(out: Path) -> None:
    _dvc(out, "pull", "--quiet")


def report(
    seconds: dict[str, list[float]], count: int, page: Path | None = None
) -> bool:
    """Print the table; returns whether both bars are met."""
    median = {name: statistics.median(times) for name, times in seconds.items()}
    bare, dvc = median["boto3, no checks"], median["dvc pull"]
    header = ["", "seconds", "files/s", "× dvc pull", "× boto3"]
    rows = [
        [
            name,
            f"{value:.1f}",
            f"{count / value:,.0f}",
            f"{dvc / value:.1f}",
            f"{bare / value:.1f}",
        ]
        for name, value in median.items()
    ]
    show("fetch", header, rows, page)
    ours = median["seglib"]
    return dvc / ours >= FASTER_THAN_DVC and bare / ours >= SHARE_OF_BARE


def _timed(bring: Callable[[], object]) -> float:
    start = time.perf_counter()
    bring()
    return time.perf_counter() - start


def _dvc(root: Path, *command: str) -> None:
    # No daemon that reports usage, and still writes when the folder is removed.
    quiet = {"DVC_NO_ANALYTICS": "true"}
    apart = ("DVC_GLOBAL_CONFIG_DIR", "DVC_SYSTEM_CONFIG_DIR", "DVC_SITE_CACHE_DIR")
    subprocess.run(
        [sys.executable, "-m", "dvc", *command],
        cwd=root,
        env={**os.environ, **quiet, **dict.fromkeys(apart, str(root / ".apart"))},
        check=True,
    )


if __name__ == "__main__":
    main()
