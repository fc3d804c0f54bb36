"""Make the fixtures of `tests/test_made_before.py` with the code of one commit.

python tests/made_before/make.py COMMIT FOLDER [PART …]

Parts: dataset, models, training, publication, runs; each needs those before it. The
commands run in FOLDER on a clone of the commit; a part whose results are there already
is only packed. In the clone, some networks are made narrow first, by
editing the numbers of their channels, so that a fixture is a few kilobytes; all other
code is that of the commit. Absolute paths in text files become `@HERE@`, which the
tests replace. Reports and most curves are left out.
"""

import io
import lzma
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import tarfile
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

HERE = Path(__file__).resolve().parent
PLACEHOLDER = b"@HERE@"
LEFT_OUT = (".html", ".webp")
PAGES = ("report", "preview")  # HTML for KFP
NARROWER = {  # file: numbers of channels, and those of the fixtures
    "models/small_encoders.py": {
        "widths=(12, 20, 40, 64, 96)": "widths=(2, 3, 4, 5, 6)",
        "(16, 32, 64, 128, 256, 256), 2": "(2, 2, 3, 3, 4, 4), 2",
        "(64, 128, 256, 256, 256), 1": "(2, 2, 3, 3, 4), 1",
    },
    "models/zoo.py": {"width=0.5": "width=0.0625"},
    "models/mix_transformer.py": {
        "Variant((32, 64, 160, 256), (2, 2, 2, 2))": "Variant((2, 4, 5, 8), (1,) * 4)"
    },
    "models/segformer.py": {"_WIDTH = 256": "_WIDTH = 8"},
    "models/pspnet.py": {
        "_WIDTH = 256": "_WIDTH = 8",
        "features[3], 64,": "features[3], 4,",
    },
    "models/fcn.py": {
        '(features[5], 256, name="fc6")': '(features[5], 4, name="fc6")',
        '(x, 256, 1, name="fc7")': '(x, 4, 1, name="fc7")',
    },
}
MODELS = ("compact_small", "fcn_8", "pspnet", "segformer", "segnet")  # all layers
IMAGE = "dataset/test_images/test_0.png"
TRAIN = ("-m", "seglib.cli", "train", "dataset", "--config", "settings.yaml")
SETTINGS = """\
model:
  architecture: compact_small
train:
  batch_size: 2
  learning_rate: 0.01
  warmup_steps: 1
  precision: float32
  min_scale: 1.0
  max_scale: 1.0
gate:
  registered_model: streets
  min_miou: 0.0
augment:
  num_shards: 1
"""

DATASET = """
import sys
from pathlib import Path
from seglib.data import sample_scenes
from seglib.data.images import write_image
root, numbers = Path(sys.argv[1]), iter(range(9))
for split, count in {"train": 4, "val": 2, "test": 2}.items():
    for index in range(count):
        image, mask = sample_scenes.render_scene(next(numbers), height=32, width=48)
        write_image(root / f"{split}_images" / f"{split}_{index}.png", image)
        write_image(root / f"{split}_segmentation" / f"{split}_{index}.png", mask)
names = ", ".join(sample_scenes.CLASS_NAMES)
ignored = sample_scenes.IGNORE_INDEX
text = f"class_names: [{names}]\\nignore_index: {ignored}\\n"
(root / "dataset.yaml").write_text(text)
"""
LOGITS = """
import sys
import numpy as np
from seglib.artifact import load_model
from seglib.data.images import read_image
image = read_image(sys.argv[1])
for folder in sys.argv[2:]:
    model = load_model(folder)
    joined = image
    if model.contract.channels > 3:
        joined = np.concatenate([image, image[..., :1] // 2], axis=-1)
    logits = model.predict_logits(joined)
    np.savez_compressed(
        f"{folder}.npz",
        image=joined,
        logits=logits[::4, ::4],  # float32 numbers do not get smaller by compression
        prediction=model.predict(joined),
    )
"""
CUSTOM = """
import json
import sys
import keras
from seglib.models import build_custom
from seglib.models.layers import Channels, Normalize
from seglib.models.mix_transformer import SpatialAttention
from seglib.models.resampling import (
    CropLike, MaxUnpool, PadToMultiple, RegionPool, ResizeLike,
)
from seglib.models.upsampling import BilinearInitializer, LearntUpsample, Upsample
from seglib.metrics import MeanIoU
from seglib.uncertainty import SamplingDropout

keras.utils.set_random_seed(1)
image = keras.Input((32, 48, 3), name="image")
depth = keras.Input((32, 48, 1), name="depth")
x = keras.layers.Concatenate()([image, depth])
x = Normalize((127.5,) * 4, (64.0,) * 4)(x)
x = PadToMultiple(4)(x)
first = keras.layers.Conv2D(4, 3, padding="same")(x)
x = keras.layers.MaxPooling2D()(first)
second = keras.layers.Conv2D(4, 3, padding="same")(x)
x = keras.layers.MaxPooling2D()(second)
x = SpatialAttention(2)(x, RegionPool(2)(x))
x = LearntUpsample(4, 2, 0.5)(x)
x = keras.layers.Add()([x, Upsample(2, 1)(keras.layers.MaxPooling2D()(second))])
x = keras.layers.Add()([x, ResizeLike()(first, second)])
x = CropLike()(MaxUnpool()(x, first), image)
x = keras.layers.Conv2D(8, 1)(x)
build_custom([image, depth], x).save(sys.argv[1])

objects = [
    Channels(1, 2), Normalize((1.0, 2.0), (3.0, 4.0), reverse=True),
    SpatialAttention(2), MaxUnpool(), RegionPool(3), ResizeLike(), PadToMultiple(32),
    CropLike(), Upsample(2), Upsample(4, 3), LearntUpsample(5, 2, 0.5),
    BilinearInitializer(), MeanIoU(4, 255), SamplingDropout(0.25),
]
described = [keras.saving.serialize_keras_object(one) for one in objects]
with open(sys.argv[2], "w") as file:
    file.write(json.dumps(described, indent=1) + "\\n")
"""


class Maker:
    """Runs commands of the commit in a folder, and packs what they leave there."""

    def __init__(self, commit: str, folder: Path):
        self.folder, self.code = folder, folder / "code"
        if self.code.exists():
            return
        folder.mkdir(parents=True, exist_ok=True)
        top = subprocess.check_output(
            ["git", "-C", HERE, "rev-parse", "--show-toplevel"], text=True
        ).strip()
        subprocess.run(["git", "clone", "-q", "-n", top, self.code], check=True)
        subprocess.run(["git", "-C", self.code, "checkout", "-q", commit], check=True)
        for name, changes in NARROWER.items():
            path = self.code / "seglib" / name
            text = path.read_text()
            for old, new in changes.items():
                if text.count(old) != 1:
                    raise ValueError(
                        f"{name}: {old!r} is there {text.count(old)} times"
                    )
                text = text.replace(old, new)
            path.write_text(text)
        (folder / "settings.yaml").write_text(SETTINGS)

    def python(self, *arguments: object, **environment: str) -> None:
        """Run Python with the code of the commit."""
        subprocess.run(
            self.command(*arguments),
            cwd=self.folder,
            check=True,
            env=self.environment(environment),
        )

    def command(self, *arguments: object) -> list[str]:
        return [sys.executable, *map(str, arguments)]

    def environment(self, more: dict[str, str] | None = None) -> dict[str, str]:
        own = {"PYTHONPATH": str(self.code), "TF_CPP_MIN_LOG_LEVEL": "2"}
        quiet = {
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "DO_NOT_TRACK": "1",
            "SEGLIB_CACHE": str(self.folder / "cache"),
        }
        kept = {k: v for k, v in os.environ.items() if not k.startswith("MLFLOW_")}
        return kept | quiet | own | (more or {})

    def pack(self, name: str, paths: Iterable[Path]) -> None:
        """Files and folders into NAME.tar.xz, the same bytes for the same content."""
        content = io.BytesIO()
        with tarfile.open(fileobj=content, mode="w") as archive:
            for file in sorted({file for path in paths for file in _files(path)}):
                data = file.read_bytes()
                if b"\0" not in data:
                    data = data.replace(str(self.folder).encode(), PLACEHOLDER)
                entry = tarfile.TarInfo(file.relative_to(self.folder).as_posix())
                entry.size, entry.mode = len(data), 0o644
                archive.addfile(entry, io.BytesIO(data))
        target = HERE / f"{name}.tar.xz"
        target.write_bytes(lzma.compress(content.getvalue(), preset=9))
        print(f"{target.name}: {target.stat().st_size:,} bytes")  # noqa: T201

    def _train(self, out: str, *arguments: object) -> None:
        self.python(*TRAIN, "--out", out, *arguments)

    # Parts, in the order in which they need each other.

    def dataset(self) -> None:
        """A dataset with its manifest."""
        if not (self.folder / "verified").exists():
            self.python("-c", DATASET, "dataset")
            self.python("-m", "seglib.cli", "verify", "dataset", "--out", "verified")
        manifest = self.folder / "verified" / "manifest.json"
        self.pack("dataset", [self.folder / "dataset", manifest])

    def models(self) -> None:
        """Trained models, one of own layers, and the description of each layer."""
        for name in MODELS:
            if not (self.folder / "models" / name).exists():
                self._train(f"models/{name}", "--model", name, "--epochs", 1)
        self.python("-c", CUSTOM, "models/custom", HERE / "layers.json")
        folders = [f"models/{name}" for name in (*MODELS, "custom")]
        self.python("-c", LOGITS, IMAGE, *folders)
        self.pack("models", [self.folder / "models"])

    def training(self) -> None:
        """What `seglib train` leaves when it is interrupted by SIGTERM."""
        if not (self.folder / "training").exists():
            self._interrupt("training/model")
        self.python("-c", LOGITS, IMAGE, "training/model.unfinished")
        left = self.folder / "training"
        checkpoints = left.glob("model.checkpoints/*/*.checkpoint")
        newest = max(checkpoints, key=lambda path: path.stat().st_mtime)
        unfinished = [left / "model.unfinished", left / "model.unfinished.npz"]
        self.pack("training", [newest, *unfinished, self.folder / "settings.yaml"])

    def publication(self) -> None:
        """An export that was published under a name, on a remote that is a folder."""
        if not (self.folder / "remote").exists():
            self.python("-m", "seglib.cli", "export", "models/compact_small")
            remote = ["publish", "export", "remote", "--name", "streets"]
            self.python("-m", "seglib.cli", *remote)
        self.pack("publication", [self.folder / "remote"])

    def runs(self) -> None:
        """Two runs of the pipeline: one in a store with its champion, one unsent."""
        runs = self.folder / "runs"
        run = ["-m", "pipeline", "run", "--data", "dataset"]
        run += ["--config", "settings.yaml"]
        if not runs.exists():
            self.python(*run, "--name", "tracked", "--set", "epochs=2")
            with socket.socket() as unused:  # nothing answers there
                unused.bind(("127.0.0.1", 0))
                away = f"http://127.0.0.1:{unused.getsockname()[1]}"
                one_epoch = ["--name", "unsent", "--set", "epochs=1"]
                self.python(*run, *one_epoch, MLFLOW_TRACKING_URI=away)
        (champion,) = runs.glob("*-tracked/steps/*/train-model/model")
        self.python("-c", LOGITS, IMAGE, champion)
        with closing(sqlite3.connect(runs / "mlflow.db")) as store:
            (runs / "mlflow.sql").write_text("\n".join(store.iterdump()) + "\n")
        (unsent,) = runs.glob("*-unsent")
        (verified,) = runs.glob("*-tracked/steps/*/verify-data/manifest/manifest.json")
        kept = [unsent / name for name in ("events.jsonl", "untracked.jsonl")]
        kept += [unsent / "tracking.json", unsent / "steps", runs / "mlflow.sql"]
        kept += [runs / "mlflow-artifacts"]
        self.pack("runs", [*kept, verified, champion.with_name("model.npz")])

    def _interrupt(self, out: str) -> None:
        """SIGTERM after the third epoch of twelve."""
        command = [*TRAIN, "--epochs", "12", "--out", out]
        with subprocess.Popen(
            self.command(*command),
            cwd=self.folder,
            env=self.environment(),
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        ) as process:
            for line in process.stdout or ():
                if ":epoch 3/" in line:
                    process.send_signal(signal.SIGTERM)
        if process.returncode != 128 + signal.SIGTERM:
            raise RuntimeError(f"The training ended with {process.returncode}.")


def _files(path: Path) -> Iterable[Path]:
    files = path.rglob("*") if path.is_dir() else [path]
    return [
        file
        for file in files
        if file.is_file() and not file.is_symlink() and file.suffix not in LEFT_OUT
        if file.name not in PAGES
        if file.name != "curves.png" or "compact_small" in file.parts
    ]


def main() -> None:
    commit, folder, *parts = sys.argv[1:]
    maker = Maker(commit, Path(folder).resolve())
    for part in parts or ("dataset", "models", "training", "publication", "runs"):
        getattr(maker, part)()


if __name__ == "__main__":
    main()
