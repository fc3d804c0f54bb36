"""A table of the zoo: what each model costs, and what some minutes of it give.

    python -m benchmarks.zoo path/to/camvid [--minutes 3] [--models unet fpn …]
        [--write README.md]

Parameters; GFLOPs of one 360×480 image (2 for a multiply and an add); images a second
at that size, forward one by one and in training (batches of 8, views of 192×256); the
SavedModel's size; and val mIoU on CamVid after an equal time from random weights, or
from ImageNet's where a package carries them. Every model runs in a process of its own.
`--write` puts the table between the marks in that file.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

SIZE = (360, 480)
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
    "model | encoder | parameters | GFLOPs | images/s forward | images/s training | "
    "× bare | SavedModel | val mIoU"
)
MARKS = ("<!-- zoo: begin -->", "<!-- zoo: end -->")


def main() -> None:
    options = _options()
    if options.one:
        print(json.dumps(measure(*options.one.split("/"), options)))
        return
    wanted = [row for row in ROWS if not options.models or row[0] in options.models]
    lines = [f"| {HEADER} |", "|" + "---|" * (HEADER.count("|") + 1)]
    for name, encoder in wanted:
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "benchmarks.zoo",
                *sys.argv[1:],
                "--one",
                f"{name}/{encoder}",
            ],
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
            stdout=subprocess.PIPE,
            check=True,
        )
        lines.append(_line(name, encoder, json.loads(done.stdout.splitlines()[-1])))
        print(lines[-1], flush=True)
    if options.write:
        _write(options.write, "\n".join(lines))


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
    forward = _seconds(network, SIZE)
    row = {
        "parameters": network.count_params(),
        "gflops": _flops(network, SIZE) / 1e9,
        "forward": 1 / forward,
        # At a size that divides, where padding and cropping are not needed.
        "bare": _seconds(network, (384, 480)) / _seconds(_bare(model), (384, 480)),
        "size_bytes": _saved_size(model),
        "pretrained": bool(load),
    }
    if options.minutes:
        trained = train_for(model, data, config.train, options.minutes)
        row |= {"training": config.train.batch_size / trained.seconds_a_step}
        row |= {"miou": trained.miou, "minutes": trained.minutes}
    return row


def _bare(model: Any) -> Any:
    """The same layers without what the model adds around them."""
    import keras

    from seglib.models.encoders import ENCODERS
    from seglib.models.zoo import ARCHITECTURES

    contract = model.contract
    encoder = ENCODERS[contract.encoder]
    images = keras.Input((None, None, contract.channels))
    features = encoder.features(encoder.build(contract.channels), images)
    logits = ARCHITECTURES[contract.architecture].decode(features, contract.num_classes)
    return keras.Model(images, logits)


def _seconds(network: Any, size: tuple[int, int], repeats: int = 15) -> float:
    """Of one image, the fastest of some, in a compiled function."""
    import numpy as np
    import tensorflow as tf

    call = tf.function(lambda x: network(x, training=False), jit_compile=False)
    image = tf.constant(np.zeros((1, *size, 3), np.float32))
    call(image)
    durations = []
    for _ in range(repeats):
        started = time.perf_counter()
        call(image)
        durations.append(time.perf_counter() - started)
    return min(durations)


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
    with tempfile.TemporaryDirectory() as folder:
        model.network.export(folder, format="tf_saved_model", verbose=False)
        return sum(path.stat().st_size for path in Path(folder).rglob("*"))


def _line(name: str, encoder: str, row: dict[str, Any]) -> str:
    trained = "" if "miou" not in row else f"{row['miou']:.3f}"
    speed = "" if "training" not in row else f"{row['training']:.1f}"
    weights = " (ImageNet)" if row["pretrained"] else ""
    return (
        f"| {name} | {encoder}{weights} | {row['parameters'] / 1e6:.2f} M "
        f"| {row['gflops']:.1f} | {row['forward']:.1f} | {speed} | {row['bare']:.2f} "
        f"| {row['size_bytes'] / 1e6:.1f} MB | {trained} |"
    )


def _write(path: Path, table: str) -> None:
    text = path.read_text(encoding="utf-8")
    before, rest = text.split(MARKS[0])
    _, after = rest.split(MARKS[1])
    path.write_text(f"{before}{MARKS[0]}\n{table}\n{MARKS[1]}{after}", encoding="utf-8")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("camvid", type=Path)
    parser.add_argument("--models", nargs="+")
    parser.add_argument("--minutes", type=float, default=3.0, help="0: do not train")
    parser.add_argument("--write", type=Path)
    parser.add_argument(
        "--config", type=Path, default=Path("configs/camvid-scratch.yaml")
    )
    parser.add_argument("--one", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
