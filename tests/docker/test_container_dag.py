"""The image, and the whole pipeline in containers: `make test-docker`."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from components.base import IMAGE
from tools.sample_scenes import write_sample_dataset

pytestmark = pytest.mark.docker


@pytest.fixture(scope="module")
def in_image(engine: Any) -> Any:
    """Run a command in the image as a strict cluster would; gives what it prints."""

    def run(*command: str, mounts: dict[Path, str] | None = None) -> str:
        output = engine.containers.run(
            IMAGE,
            list(command),
            remove=True,
            read_only=True,
            tmpfs={"/tmp": ""},
            network_mode="none",
            cap_drop=["ALL"],
            security_opt=["no-new-privileges"],
            volumes={
                str(path): {"bind": place, "mode": "ro"}
                for path, place in (mounts or {}).items()
            },
        )
        return str(output.decode())

    return run


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("scenes")
    write_sample_dataset(root, counts={"train": 6, "val": 2, "test": 2})
    root.chmod(
        0o755
    )  # pytest's folders are for their owner only; the image has its own
    return root


# Prints the digest of all sources of the `seglib` that Python finds.
_DIGEST = """
import hashlib, pathlib, seglib
root = pathlib.Path(seglib.__file__).parent
sources = sorted(root.rglob("*.py"))
text = "".join(f"{path.relative_to(root)}\\n{path.read_text()}" for path in sources)
print(hashlib.sha256(text.encode()).hexdigest())
"""


def test_the_image_holds_the_code_of_this_checkout(
    in_image: Any, repository: Path
) -> None:
    here = subprocess.run(
        [sys.executable, "-c", _DIGEST],
        cwd=repository,
        capture_output=True,
        text=True,
        check=True,
    )
    assert in_image("python3", "-c", _DIGEST) == here.stdout


def test_the_image_has_no_code_of_ours_but_seglib(in_image: Any) -> None:
    script = (
        "import importlib.util;"
        "names = ('seglib', 'components', 'pipeline', 'tools', 'dvc');"
        "print([name for name in names if importlib.util.find_spec(name)])"
    )
    assert in_image("python3", "-c", script).strip() == "['seglib']"


def test_the_image_is_smaller_than_2_8_gigabytes(engine: Any) -> None:
    assert engine.images.get(IMAGE).attrs["Size"] < 2.8e9


def test_the_image_runs_as_a_known_user_without_privileges(in_image: Any) -> None:
    script = (
        "import os, pathlib, pwd;"
        "print(os.getuid(), pwd.getpwuid(os.getuid()).pw_name);"
        "(pathlib.Path.home() / '.cache' / 'seglib').mkdir(parents=True)"
    )
    assert in_image("python3", "-c", script).split() == ["1000", "seglib"]


def test_the_image_has_neither_compiler_nor_package_cache(in_image: Any) -> None:
    script = (
        "for tool in cc gcc g++ make uv; do command -v $tool; done;"
        "ls -A ~root/.cache /opt/venv/lib/python3*/site-packages/pip 2>/dev/null; true"
    )
    assert in_image("sh", "-c", script) == ""


def test_the_image_names_its_commit_and_version(engine: Any) -> None:
    labels = engine.images.get(IMAGE).labels
    for name in ("revision", "version", "title", "licenses"):
        assert labels[f"org.opencontainers.image.{name}"] not in ("", "unknown")


def test_the_image_verifies_a_dataset_on_a_read_only_root(
    in_image: Any, scenes: Path
) -> None:
    assert "clean" in in_image("seglib", "verify", "/data", mounts={scenes: "/data"})


def test_the_whole_pipeline_runs_in_containers(
    engine: Any, scenes: Path, tmp_path: Path, repository: Path
) -> None:
    runs = tmp_path / "runs"
    settings = {  # enough to beat the majority class, so that the export runs, too
        "image_height": 64,
        "image_width": 96,
        "epochs": 4,
        "batch_size": 2,
        "warmup_steps": 0,
        "learning_rate": 0.003,
        "min_miou": 0.0,
    }
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pipeline", "run", "--runner", "docker"),
            *("--data", str(scenes), "--runs", str(runs)),
            *(part for k, v in settings.items() for part in ("--set", f"{k}={v}")),
        ],
        cwd=repository,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    latest = runs / "latest"
    metrics = json.loads((latest / "metrics.json").read_text(encoding="utf-8"))
    assert metrics["num_images"] == 2
    assert (latest / "export" / "SHA256SUMS").is_file()
    # The code version of a containerised run is the image itself.
    request = json.loads((latest / "request.json").read_text(encoding="utf-8"))
    assert (
        engine.images.get(IMAGE)
        .id.split(":")[1]
        .startswith(request["parameters"]["code_version"])
    )
    left = engine.containers.list(all=True, filters={"ancestor": IMAGE})
    assert not left, "containers were left behind"
