"""The size of the code, as a table for CHANGELOG.

python -m tools.count [--without-step]
"""

import argparse
import ast
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("seglib", "components", "pipeline", "tools")
LONG = 300  # lines of a module
# Trains one step on one CPU; prints how many modules of seglib had a function run.
_ONE_STEP = """
import os, sys, threading
from pathlib import Path
root, place = Path(sys.argv[1]), Path(sys.argv[2])
import keras, numpy, seglib
from tools.sample_scenes import write_sample_dataset
write_sample_dataset(place / "data", counts={"train": 2, "val": 1})
data = seglib.load_dataset(place / "data")
model = seglib.build_model("compact_small", num_classes=8, image_size=(64, 96))
config = seglib.TrainConfig(epochs=1, steps_per_epoch=1, batch_size=2)
ran = set()
def note(frame, event, argument):
    name = frame.f_code.co_filename
    if name.startswith(f"{root}{os.sep}seglib") and frame.f_code.co_name != "<module>":
        ran.add(name)
threading.setprofile(note)
sys.setprofile(note)
seglib.train(model, data, config=config)
sys.setprofile(None)
threading.setprofile(None)
print(len(ran))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--without-step", action="store_true", help="train nothing: quicker"
    )
    options = parser.parse_args()
    print("| | |\n|---|---|")
    if not options.without_step:
        print(f"| files that one training step on one CPU passes through | {step()} |")
    for name, value in counts().items():
        print(f"| {name} | {value} |")


def counts() -> dict[str, str]:
    """Every figure but that of the training step, by its name."""
    sources = {package: _modules(package) for package in PACKAGES}
    modules = [path for package in PACKAGES for path in sources[package]]
    tests = _modules("tests")
    names = Counter(path.stem for path in modules if path.stem[0] != "_")
    classes = Counter(name for path in modules for name in _classes(path))
    by_package = {f"– {p}": f"{_lines(sources[p]):,}" for p in PACKAGES}
    return {
        "modules": f"{len(modules):,}",
        "lines of source": f"{_lines(modules):,}",
        **by_package,
        "lines of benchmarks": f"{_lines(_modules('benchmarks')):,}",
        "lines of tests": f"{_lines(tests):,}",
        f"modules of more than {LONG} lines": str(
            sum(_lines([path]) > LONG for path in modules)
        ),
        "module names that occur more than once": _repeated(names),
        "class names that occur more than once": _repeated(classes),
        "README": f"{(ROOT / 'README.md').stat().st_size / 1000:.1f} kB",
    }


def step() -> int:
    """Count the files of seglib that run while one step is trained."""
    with tempfile.TemporaryDirectory() as place:
        done = subprocess.run(
            [sys.executable, "-c", _ONE_STEP, str(ROOT), place],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
    return int(done.stdout.splitlines()[-1])


def _modules(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def _lines(paths: list[Path]) -> int:
    return sum(path.read_text(encoding="utf-8").count("\n") for path in paths)


def _classes(path: Path) -> list[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names = [node.name for node in tree.body if isinstance(node, ast.ClassDef)]
    return [name for name in names if name[0] != "_"]


def _repeated(found: Counter[str]) -> str:
    names = sorted(name for name, count in found.items() if count > 1)
    return f"{len(names)} ({', '.join(names)})" if names else "0"


if __name__ == "__main__":
    main()
