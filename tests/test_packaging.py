"""The wheel: `seglib` alone, with all its files, and usable without its extras."""

import email
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tools.sample_scenes import write_sample_dataset

EXTRAS = {"pretrained", "hub", "mlflow", "convert", "export", "demo", "gpu"}
# What a plain `pip install seglib` does not bring.
ABSENT = ("mlflow", "kfp", "dvc", "docker", "psutil", "pg8000", "onnxruntime")


@pytest.fixture(scope="module")
def wheel(
    repository: Path, tmp_path_factory: pytest.TempPathFactory
) -> zipfile.ZipFile:
    """The wheel that the build backend makes of a copy of the sources."""
    source = tmp_path_factory.mktemp("source")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(repository / name, source)
    for name in ("seglib", "components", "pipeline", "tools"):
        shutil.copytree(
            repository / name, source / name, ignore=shutil.ignore_patterns("__*__")
        )
    for init in (repository / "seglib").rglob("__*__.py"):
        shutil.copy(init, source / init.relative_to(repository))
    build = "from setuptools import build_meta; print(build_meta.build_wheel('.'))"
    done = subprocess.run(
        [sys.executable, "-c", build],
        cwd=source,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return zipfile.ZipFile(source / done.stdout.splitlines()[-1])


def test_the_wheel_holds_seglib_alone(wheel: zipfile.ZipFile) -> None:
    tops = {name.partition("/")[0] for name in wheel.namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"seglib"}


def test_the_wheel_holds_every_file_of_seglib(
    wheel: zipfile.ZipFile, repository: Path
) -> None:
    files = {
        str(path.relative_to(repository))
        for path in (repository / "seglib").rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }
    assert files <= set(wheel.namelist())


def test_the_wheel_offers_the_extras_and_none_of_the_groups(
    wheel: zipfile.ZipFile,
) -> None:
    (name,) = [n for n in wheel.namelist() if n.endswith("/METADATA")]
    metadata = email.message_from_string(wheel.read(name).decode())
    assert set(metadata.get_all("Provides-Extra")) == EXTRAS
    required = " ".join(metadata.get_all("Requires-Dist"))
    assert "kfp" not in required
    assert "dvc" not in required


def test_the_core_runs_where_the_extras_are_not_installed(tmp_path: Path) -> None:
    write_sample_dataset(tmp_path / "data", counts={"train": 2, "val": 1})
    absent = "".join(f"sys.modules[{name!r}] = None\n" for name in ABSENT)
    script = (
        f"import sys\n{absent}"
        "from seglib.cli.main import main\n"
        f"sys.argv = ['seglib', 'verify', {str(tmp_path / 'data')!r}]\n"
        "main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "clean: 2 train, 1 val pairs" in done.stdout
