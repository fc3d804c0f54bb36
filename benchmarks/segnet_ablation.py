"""SegNet with the encoder's pooling indices against SegNet with plain upsampling.

    python -m benchmarks.segnet_ablation path/to/camvid [--steps 600] [--seeds 3]

Both have the same parameters and see the same views in the same order, seed by seed,
for an equal number of steps; from random weights, batches of 4, as in the zoo's table.
Prints val mIoU of each, the mean difference and its standard error. Results are kept in
`--rows` as they come: what was stopped goes on where it was.
"""

import argparse
import json
import statistics
from dataclasses import replace
from pathlib import Path

from benchmarks.camvid import miou, open_camvid
from benchmarks.zoo import BATCH_SIZE, SIZE

VARIANTS = ("segnet", "segnet_plain")


def main() -> None:
    options = _options()
    rows = json.loads(options.rows.read_text()) if options.rows.exists() else {}
    for seed in range(options.seeds):
        for name in VARIANTS:
            key = f"{name}, seed {seed}, {options.steps} steps"
            if key not in rows:
                rows[key] = measure(name, seed, options)
                options.rows.parent.mkdir(parents=True, exist_ok=True)
                options.rows.write_text(json.dumps(rows, indent=1))
            print(f"{key}: val mIoU {rows[key]:.4f}", flush=True)
    indices, plain = (
        [rows[f"{name}, seed {s}, {options.steps} steps"] for s in range(options.seeds)]
        for name in VARIANTS
    )
    print(f"mean with indices    {statistics.mean(indices):.4f}")
    print(f"mean with upsampling {statistics.mean(plain):.4f}")
    differences = [a - b for a, b in zip(indices, plain, strict=True)]
    if len(differences) > 1:
        error = statistics.stdev(differences) / len(differences) ** 0.5
        mean = statistics.mean(differences)
        print(f"difference {mean:+.4f}, standard error {error:.4f}")


def measure(name: str, seed: int, options: argparse.Namespace) -> float:
    """Val mIoU of one variant after its steps."""
    import keras

    from seglib.models import build_model
    from seglib.steps.train import train

    data, config = open_camvid(options.camvid, options.config)
    keras.utils.set_random_seed(seed)
    model = build_model(
        name, num_classes=data.num_classes, image_size=SIZE, encoder="vanilla"
    )
    quiet = replace(data, splits={"train": data.splits["train"]})
    settings = replace(
        config.train,
        batch_size=BATCH_SIZE,
        epochs=1,
        steps_per_epoch=options.steps,
        train_seed=seed,
    )
    train(model, quiet, config=settings)
    return miou(model, data)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("camvid", type=Path)
    parser.add_argument(
        "--config", type=Path, default=Path("configs/camvid-scratch.yaml")
    )
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--rows", type=Path, default=Path("build/segnet.json"))
    return parser.parse_args()


if __name__ == "__main__":
    main()
