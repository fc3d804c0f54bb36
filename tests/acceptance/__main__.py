"""Whether a cluster is as the product takes it to be: `make test-cluster ARGS="…"`.

It runs a pipeline of seconds in every way that a run can go, and with --training the
training pipeline itself, prints a table, and leaves nothing behind but what KFP keeps
of a deleted run in its object store. On an idle cluster it takes about 15 minutes, and
with a training that much longer. For example:

    make test-cluster ARGS="--image REGISTRY/seglib@sha256:… --namespace kubeflow
        --training '--image REGISTRY/seglib@sha256:… --config configs/sample.yaml'"

The exit status is 1 where a check fails, else 0, also where some could not be made.
"""

import argparse
import shlex
import sys
import tempfile
from pathlib import Path

from pipeline.kfp.connection import connect
from pipeline.kfp.endpoint import Endpoint
from seglib.errors import SegError
from tests.acceptance.checks import CHECKS, Check, timed
from tests.acceptance.ground import Ground
from tests.acceptance.probe import NO_ROOM, compile_probe


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="make test-cluster ARGS=…",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--image", required=True, help="what the steps run in")
    parser.add_argument(
        "--host", default="", help="KFP; default: KFP_ENDPOINT, or by kubeconfig"
    )
    parser.add_argument("--namespace", default="", help="default: kubeflow")
    parser.add_argument("--context", default="", help="of kubeconfig")
    parser.add_argument(
        "--training",
        default="",
        help="options of `python -m pipeline submit`, as one word",
    )
    parser.add_argument(
        "--train-job", default="", help="options of `python -m pipeline train-job`"
    )
    parser.add_argument(
        "--only", default="", help="checks whose sentence holds this word"
    )
    parser.add_argument(
        "--longest", type=float, default=15.0, help="minutes for one run"
    )
    options = parser.parse_args()
    endpoint = Endpoint.from_environment(
        host=options.host, namespace=options.namespace, context=options.context
    )
    try:
        cluster = connect(endpoint)
    except SegError as error:
        sys.exit(f"error: {error}")
    print(f"KFP {cluster.version or '?'} at {cluster.address}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        probe, waiting = Path(folder, "probe.yaml"), Path(folder, "waiting.yaml")
        compile_probe(probe, image=options.image)
        compile_probe(waiting, image=options.image, cpu=NO_ROOM)
        ground = Ground(
            cluster=cluster,
            probe=probe,
            waiting=waiting,
            training=tuple(shlex.split(options.training)),
            train_job=tuple(shlex.split(options.train_job)),
            longest_s=60 * options.longest,
        )
        with ground.cleaning():
            failed = run(ground, only=options.only)
    sys.exit(1 if failed else 0)


def run(ground: Ground, *, only: str = "") -> int:
    """Make the checks, print a line for each, and count those that fail."""
    results = []
    for check in CHECKS:
        if only in sentence(check):
            result, why, took_s = timed(check, ground)
            results.append(result)
            print(f"{result:<12}{took_s:6.0f} s  {sentence(check)}", flush=True)
            if why:
                print(f"{'':22}{why}", flush=True)
    counts = {word: results.count(word) for word in ("holds", "FAILED", "not checked")}
    print(", ".join(f"{count} {word}" for word, count in counts.items()), flush=True)
    return counts["FAILED"]


def sentence(check: Check) -> str:
    """What a check says, after the sections of docs/cluster.md that it belongs to."""
    return (check.__doc__ or "").partition("\n")[0].rstrip(".")


if __name__ == "__main__":
    main()
