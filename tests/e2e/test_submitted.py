"""The document that would be submitted, reloaded and run as it stands."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.waiting import HANG_S
from pipeline.dag.inputs import find_data
from seglib.config import Config
from tests.e2e.conftest import SETTINGS

IMAGE = f"registry.example/seglib@sha256:{'0' * 64}"
# As a pod does: no messages to a runner, no tracking store, nothing but the document.
RUN = """
import json, shlex, sys, warnings
from kfp import components, local

sys.executable = shlex.quote(sys.executable)
warnings.filterwarnings("ignore", "You may be attemping to run a task", Warning)
document, root, parameters = sys.argv[1:]
pipeline = components.load_component_from_file(document)
local.init(local.SubprocessRunner(use_venv=False), pipeline_root=root,
           workspace_root=root + "-workspace")
pipeline(**json.loads(parameters))
"""


@pytest.mark.slow
def test_the_compiled_file_is_reloaded_and_runs_to_the_export(
    tmp_path: Path, tiny_root: Path, repository: Path
) -> None:
    cluster = tmp_path / "cluster.yaml"
    cluster.write_text("cache: {claim: ''}")  # /cache is a pod's
    document, root = tmp_path / "pipeline.yaml", tmp_path / "steps"
    command = [sys.executable, "-m", "pipeline", "compile", "-o", str(document)]
    command += ["--image", IMAGE, "--cluster", str(cluster), "--gpus", "1"]
    subprocess.run(command, cwd=repository, check=True)
    (tmp_path / "steps-workspace").mkdir()
    data = find_data(tiny_root)
    given = {
        **Config.from_flat(SETTINGS).flat(),
        "data_md5": data.data_md5,
        "remote": data.remote,
        "code_version": "test",
    }
    environment = {k: v for k, v in os.environ.items() if not k.startswith("MLFLOW_")}
    done = subprocess.run(
        [sys.executable, "-c", RUN, str(document), str(root), json.dumps(given)],
        cwd=tmp_path,
        env={**environment, "PYTHONPATH": str(repository)},
        capture_output=True,
        text=True,
        timeout=HANG_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    (decision,) = root.rglob("decision.json")
    assert json.loads(decision.read_text())["verdict"] == "promote"
    assert list(root.glob("*/export-model/export/**/saved_model.pb"))
    (provenance,) = root.glob("*/export-model/export/provenance.json")
    steps = {"verify", "augment", "train", "evaluate", "gate", "export"}
    assert json.loads(provenance.read_text()).keys() == steps
