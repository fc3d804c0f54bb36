"""A table of the zoo: what each model costs, and what some minutes of it give.

    python -m benchmarks.zoo path/to/camvid [--minutes 1.5] [--models unet fpn …]
        [--write docs/results.md]

Parameters; GFLOPs of one 360×480 image (2 for a multiply and an add); images a second
at that size, forward one by one and in training (batches of 4, views of 192×256); the
SavedModel's size; and val mIoU on CamVid after an equal time from random weights, or
from ImageNet's where a package carries them. Every model runs in a process of its own.
Rows are kept in `--rows` as they come: a run that was stopped goes on where it was, and
deleting that file measures anew. `--write` puts the table between the marks in a file.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.tables import add_write_option, show

SIZE = (360, 480)
BATCH_SIZE = 4  # in so little time, more steps teach more than larger ones
ROWS = [
    ("compact_small", "compact_small"),
    ("compact", "compact"),
    ("compact", "efficientnet_lite0"),
    ("unet", "plain"),
    ("unet", "efficientnet_lite0"),
    ("unet_plus_plus", "efficientnet_lite0"),
    ("fpn", "efficientnet_lite0"),
    ("linknet", "efficientnet_lite0"),
    ("pspnet", "efficientnet_lite0"),
    ("deeplab_v3_plus", "efficientnet_lite0"),
    ("segformer", "mit_b0"),
    ("segformer", "efficientnet_lite0"),
    ("fcn_8", "plain"),
    ("fcn_16", "plain"),
    ("fcn_32", "plain"),
    ("segnet", "vanilla"),
    ("segnet_plain", "vanilla"),
    ("bayesian_segnet", "vanilla"),
]
HEADER = (
    "model",
    "encoder",
    "parameters",
    "GFLOPs",
    "images/s forward",
    "images/s training",
    "× bare",
    "SavedModel",
    "val mIoU",
)


def main() -> None:
    options = _options()
    if options.one:
        print(json.dumps(measure(*options.one.split("/"), options)))
        return
    wanted = [row for row in ROWS if not options.models or row[0] in options.models]
    rows = json.loads(options.rows.read_text()) if options.rows.exists() else {}
    for name, encoder in wanted:
        one = f"{name}/{encoder}"
        if one not in rows:
            rows[one] = _in_own_process(one)
            options.rows.parent.mkdir(parents=True, exist_ok=True)
            options.rows.write_text(json.dumps(rows, indent=1))
        print(*_line(name, encoder, rows[one]), flush=True)
    lines = [_line(*one.split("/"), row) for one, row in rows.items()]
    show("zoo", HEADER, lines, options.write)


def _in_own_process(one: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.zoo", *sys.argv[1:], "--one", one],
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        stdout=subprocess.PIPE,
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


def measure(name: str, encoder: str, options: argparse.Namespace) -> dict[str, Any]:
    """All figures of one model."""
    from benchmarks.camvid import open_camvid, train_for
    from seglib.models import ENCODERS, build_model

    data, config = open_camvid(options.camvid, options.config)
    load = ENCODERS[encoder].load and not ENCODERS[encoder].needs_download
    model = build_model(
        name,
        num_classes=data.num_classes,
        image_size=SIZE,
        encoder=encoder,
        weights="imagenet" if load else None,
    )
    network = model.network
    (forward,) = _seconds([network], SIZE)
    # At a size that divides, where padding and cropping are not needed.
    whole, bare = _seconds([network, _bare(model)], (384, 480))
    row = {
        "parameters": network.count_params(),
        "gflops": _flops(network, SIZE) / 1e9,
        "forward": 1 / forward,
        "bare": whole / bare,
        "size_bytes": _saved_size(model),
        "pretrained": bool(load),
    }
    if options.minutes:
        train = replace(config.train, batch_size=BATCH_SIZE)
        trained = train_for(model, data, train, options.minutes)
        row |= {"training": BATCH_SIZE / trained.seconds_a_step}
        row |= {"miou": trained.miou, "minutes": trained.minutes}
    return row


def _bare(model: Any) -> Any:
    """The same layers without what the model adds around them."""
    import keras

    from seglib.models.architectures import DECODERS
    from seglib.models.encoders import ENCODERS

    contract = model.contract
    encoder = ENCODERS[contract.encoder]
    images = keras.Input((None, None, contract.channels))
    features = encoder.features(encoder.build(contract.channels), images)
    logits = DECODERS[contract.architecture].decode(features, contract.num_classes)
    return keras.Model(images, logits)


def _seconds(
    networks: list[Any], size: tuple[int, int], at_most: float = 10.0
) -> list[float]:
    """Of one image in each network, turn by turn; the fastest of some."""
    import numpy as np
    import tensorflow as tf

    def compiled(network: Any) -> Any:
        return tf.function(lambda x: network(x, training=False), jit_compile=False)

    calls = [compiled(network) for network in networks]
    image = tf.constant(np.zeros((1, *size, 3), np.float32))
    durations: list[list[float]] = [[] for _ in calls]
    begun, turns = time.monotonic(), 0
    while turns < 12 or (turns < 100 and time.monotonic() - begun < at_most):
        for call, seconds in zip(calls, durations, strict=True):
            started = time.perf_counter()
            call(image)
            seconds.append(time.perf_counter() - started)
        turns += 1
    return [min(seconds) for seconds in durations]


def _flops(network: Any, size: tuple[int, int]) -> float:
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import (
        convert_variables_to_constants_v2,
    )

    call = tf.function(lambda x: network(x, training=False))
    concrete = call.get_concrete_function(tf.TensorSpec((1, *size, 3), tf.float32))
    graph = convert_variables_to_constants_v2(concrete).graph
    profile = tf.compat.v1.profiler
    options = profile.ProfileOptionBuilder(
        profile.ProfileOptionBuilder.float_operation()
    )
    quiet = options.with_empty_output().build()
    return profile.profile(graph, options=quiet).total_float_ops


def _saved_size(model: Any) -> int:
    """Of what `seglib export` writes."""
    from seglib.steps.export import export

    with tempfile.TemporaryDirectory() as folder:
        export(model, Path(folder) / "export")
        files = (Path(folder) / "export" / "saved_model").rglob("*")
        return sum(path.stat().st_size for path in files if path.is_file())


def _line(name: str, encoder: str, row: dict[str, Any]) -> list[str]:
    trained = "" if "miou" not in row else f"{row['miou']:.3f}"
    speed = "" if "training" not in row else f"{row['training']:.1f}"
    weights = " (ImageNet)" if row["pretrained"] else ""
    return [
        name,
        f"{encoder}{weights}",
        f"{row['parameters'] / 1e6:.2f} M",
        f"{row['gflops']:.1f}",
        f"{row['forward']:.1f}",
        speed,
        f"{row['bare']:.2f}",
        f"{row['size_bytes'] / 1e6:.1f} MB",
        trained,
    ]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("camvid", type=Path)
    parser.add_argument("--models", nargs="+")
    parser.add_argument("--minutes", type=float, default=1.5, help="0: do not train")
    parser.add_argument("--rows", type=Path, default=Path("build/zoo.json"))
    add_write_option(parser)
    parser.add_argument(
        "--config", type=Path, default=Path("configs/camvid-scratch.yaml")
    )
    parser.add_argument("--one", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
