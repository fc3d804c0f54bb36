r"""Side by side with keras_segmentation: the same frames, for the same time.

    python -m benchmarks.against_keras_segmentation path/to/camvid --peer-python PYTHON

PYTHON is that of an environment for the peer, which needs an old TensorFlow:

    uv venv --python 3.11 peer
    uv pip install --python peer/bin/python 'tensorflow-cpu==2.15.1' 'numpy<1.24' \
        'opencv-python-headless<4.10' tqdm imgaug imageio six
    uv pip install --python peer/bin/python --no-deps keras-segmentation

Each pair trains one after the other, from random weights, on the train split's full
frames: the peer at the size that fits its network best among those it allows, with
its own functions and defaults (and Adam); ours with configs/camvid-scratch.yaml.
Both are scored on the val split at the original size, void left out.
"""

import argparse
import json
import os
import subprocess
import tempfile
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.table import Table

# Sizes that the peer's networks can take, near those of our training views.
PEERS = {"fcn_8": (192, 256), "segnet": (192, 256), "unet": (192, 256)}
BATCH_SIZE = 4  # ours: in so little time, more steps teach more than larger ones
PEERS["pspnet"] = (192, 192)  # multiples of 192 only


def main() -> None:
    options = _options()
    table = Table("model", "", "parameters", "minutes", "s a step", "val mIoU")
    for name in options.models:
        peer = _peer(name, options)
        table.add_row(name, "keras_segmentation", *_cells(peer))
        ours = _ours(name, options)
        table.add_row("", "seglib", *_cells(ours))
        table.add_row("", "ratio", "", "", "", f"{ours['miou'] / peer['miou']:.2f}")
        Console().print(table)
    print(f"{os.cpu_count()} cores")


def _ours(name: str, options: argparse.Namespace) -> dict[str, float]:
    from benchmarks.camvid import open_camvid, train_for
    from seglib.hardware import half_format
    from seglib.models import build_model

    data, config = open_camvid(options.camvid, options.config)
    height, width = config.model.image_height, config.model.image_width
    model = build_model(name, num_classes=data.num_classes, image_size=(height, width))
    precision = half_format() or "float32"
    train = replace(config.train, precision=precision, batch_size=BATCH_SIZE)
    trained = train_for(model, data, train, options.minutes)
    return {**vars(trained), "parameters": model.network.count_params()}


def _peer(name: str, options: argparse.Namespace) -> dict[str, float]:
    from benchmarks.camvid import miou_of_files, open_camvid

    data, _ = open_camvid(options.camvid, options.config)
    here = Path(__file__).parent
    height, width = PEERS[name]
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [
                *(options.peer_python, here / "keras_segmentation_side.py", name),
                *("--data", options.camvid, "--out", folder),
                *("--classes", str(data.num_classes)),
                *("--height", str(height), "--width", str(width)),
                *("--minutes", str(options.minutes)),
            ],
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": ""},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        facts = json.loads(done.stdout.splitlines()[-1])
        return {**facts, "miou": miou_of_files(Path(folder), data)}


def _cells(row: dict[str, float]) -> tuple[str, str, str, str]:
    return (
        f"{row['parameters'] / 1e6:.1f} M",
        f"{row['minutes']:.1f}",
        f"{row['seconds_a_step']:.2f}",
        f"{row['miou']:.3f}",
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("camvid", type=Path)
    parser.add_argument("--peer-python", required=True)
    parser.add_argument("--models", nargs="+", default=list(PEERS), choices=PEERS)
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument(
        "--config", type=Path, default=Path("configs/camvid-scratch.yaml")
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
