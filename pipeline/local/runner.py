"""The local runner's process: `python -m pipeline.local.runner REQUEST.json`.

It is a process of its own, in a session of its own, so that the whole DAG can be
stopped at once, and so that what KFP prints can be told from what a person should see.
"""

import json
import logging
import shlex
import sys
import warnings
from pathlib import Path
from typing import Any

from pipeline.dag.compile import import_kfp
from pipeline.local.containers import docker_runner

logger = logging.getLogger(__name__)


def main(request_file: Path) -> int:
    """Compile the pipeline, and run the document as it would be submitted.

    Only the code version of a step is its own, so that a change of code runs again what
    that code computes, and nothing else.

    The request names `parameters`, `folder` (of the run), `cache` (empty: nothing is
    reused), `docker` (whether in containers), `told` (variables of the steps) and
    `sweep` (its trials, or null).

    Returns:
        The exit status: 0, or 1 when a step failed.
    """
    import_kfp()
    from kfp import compiler, components, local

    request = json.loads(request_file.read_text(encoding="utf-8"))
    folder, parameters = Path(request["folder"]), request["parameters"]
    logging.basicConfig(stream=sys.stdout, level=logging.INFO, format="%(message)s")
    # KFP writes the interpreter's path into a shell script as it is.
    sys.executable = shlex.quote(sys.executable)
    warnings.filterwarnings("ignore", "You may be attemping to run a task", Warning)
    # A container engine would make what it mounts and does not find, as root.
    steps, workspace = folder / "steps", folder / ".workspace"
    steps.mkdir()
    workspace.mkdir()
    document = folder / "pipeline.yaml"
    compiler.Compiler().compile(_pipeline(request), str(document))
    pipeline = components.load_component_from_file(str(document))
    local.init(
        runner=(
            docker_runner(folder, remote=parameters["remote"], told=request["told"])
            if request["docker"]
            else local.SubprocessRunner(use_venv=False)
        ),
        pipeline_root=str(steps),
        workspace_root=str(workspace),
        enable_caching=bool(request["cache"]),
        cache_root=request["cache"] or None,
    )
    try:
        pipeline(**parameters)
    except RuntimeError as error:  # KFP's word for a failed task
        logger.error("%s", error)
        return 1
    return 0


def _pipeline(request: dict[str, Any]) -> Any:
    by_step = not request["docker"]  # else the image's digest is the version
    if not request["sweep"]:
        from pipeline.dag.training import training_pipeline

        return training_pipeline(code_by_step=by_step)
    from pipeline.dag.sweep import Sweep, sweep_pipeline
    from seglib.config import Config

    return sweep_pipeline(Sweep(**request["sweep"]), Config(), code_by_step=by_step)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
