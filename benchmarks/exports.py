"""How fast each exported format answers, and which format each network has.

    python -m benchmarks.exports MODEL --data path/to/camvid [--classes 11]
    python -m benchmarks.exports --zoo [--write docs/results.md]

The first prints, of one image at the network's size and two threads, the time from its
pixels to class ids in each format, and the ratio to `keras.Model.predict`, which
users of Keras call. The second writes every architecture on its default encoder, with
random weights, in every format, and prints the largest difference of a logit from
the Keras model's, relative to the largest logit, or why there is no such file.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.tables import add_write_option, show

_SIZE, _CLASSES = (96, 128), 8
_CALLS = 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", nargs="?")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--classes", type=int, default=11)
    parser.add_argument("--zoo", action="store_true")
    parser.add_argument("--only", nargs="*", help="architectures of --zoo")
    add_write_option(parser)
    options = parser.parse_args()
    if options.zoo:
        from seglib.exports.exported import FORMATS

        header = ["architecture", "encoder", *FORMATS]
        show("export-zoo", header, list(_zoo(options.only)), options.write)
    else:
        rows = _latencies(options)
        header = ["", "ms an image", "faster than predict", "mIoU", "MB"]
        show("exports", header, rows, options.write)


def _zoo(only: list[str] | None) -> list[list[str]]:
    from seglib.exports.exported import FORMATS, ExportedModel
    from seglib.models import ARCHITECTURES, build_model
    from seglib.models.contract import CONTRACT
    from seglib.steps.export import write_format

    rows = []
    images = np.random.default_rng(0).integers(0, 256, (4, *_SIZE, 3))
    images = images.astype(np.float32)
    for name in only or ARCHITECTURES:
        model = build_model(name, num_classes=_CLASSES, image_size=_SIZE)
        expected = np.asarray(model.network(images))
        row = [f"`{name}`", f"`{model.contract.encoder}`"]
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            (folder / CONTRACT).write_text(model.contract.to_json())
            for kind in FORMATS:
                try:
                    write_format(model, kind, folder / FORMATS[kind].file, images)
                    logits = ExportedModel.open(folder, kind, threads=2).run(images)
                    worst = np.abs(logits - expected).max() / np.abs(expected).max()
                    row.append(f"{worst:.0e}")
                except Exception as error:  # noqa: BLE001 - the table tells it
                    row.append(" ".join(str(error).split())[:120])
        print(row, flush=True)
        rows.append(row)
    return rows


def _latencies(options: argparse.Namespace) -> list[list[str]]:
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(2)
    from seglib.config import ExportConfig
    from seglib.data.verification.loading import load_dataset
    from seglib.exports.exported import FORMATS
    from seglib.exports.saved_model import random_image
    from seglib.models.model import load_model
    from seglib.steps.export import export

    model = load_model(options.model)
    data = load_dataset(
        options.data, num_classes=options.classes, ignore_index=options.classes
    )
    config = ExportConfig(export_formats=",".join(FORMATS), max_miou_loss=1.0)
    with tempfile.TemporaryDirectory() as place:
        table = export(model, Path(place) / "out", config=config, data=data)["formats"]
    contract = model.contract
    image = random_image(0, contract.image_size, contract.channels)[None]
    durations = []
    for _ in range(_CALLS):
        started = time.perf_counter()
        model.network.predict(image.astype(np.float32), verbose=0).argmax(-1)
        durations.append(1000 * (time.perf_counter() - started))
    base = statistics.median(durations)
    rows = [["`keras.Model.predict`", f"{base:.1f}", "1.0", "", ""]]
    for name, found in table.items():
        median, size = found["latency_ms"]["p50"], found.get("bytes")
        shown = "`model.predict`" if name == "keras" else f"`{FORMATS[name].file}`"
        cells = [f"{median:.1f}", f"{base / median:.1f}", f"{found['miou']:.4f}"]
        rows.append([shown, *cells, f"{size / 1e6:.1f}" if size else ""])
    return rows


if __name__ == "__main__":
    main()
