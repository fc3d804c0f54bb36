"""The configuration of a run that names none: planned from its data, once.

Times that are measured anew differ by milliseconds, and so would the epochs that follow
from them. A plan is therefore kept in the folder of runs, for the same data, classes,
minutes and machine; so a second run reuses what the first one trained.
"""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from pipeline.dag.inputs import REPOSITORY, Data, require_splits
from pipeline.local.outcome import shown
from seglib.config import Config
from seglib.errors import SegError
from seglib.hardware import gpu_count, usable_cores
from seglib.storage.fetching import fetch

PLANS = ".plans"


def plan_file(
    data: Data,
    config: Config,
    *,
    minutes: float,
    runs: Path,
    anew: bool,
    say: Callable[[str], None],
) -> Path:
    """The plan of a dataset, by `seglib plan` where there is none yet.

    It runs in a process of its own, whose memory and GPU are free again for the steps.

    Args:
        config: its classes hold for a folder without a dataset.yaml.
        minutes: of training.
        runs: folder of runs, in which plans are kept.
        anew: whether to plan again.
        say: gets one line.

    Raises:
        SegError: no plan can be made; the process has told why.
    """
    require_splits(data, config)
    given = []
    if config.data.num_classes:
        given.append(f"--num-classes={config.data.num_classes}")
    if config.data.ignore_index >= 0:
        given.append(f"--ignore-index={config.data.ignore_index}")
    machine = f"{usable_cores()}cores", f"{gpu_count()}gpus"
    parts = data.data_md5.removesuffix(".dir"), f"{minutes:g}min", *machine, *given
    file = runs / PLANS / f"{'-'.join(part.strip('-') for part in parts)}.yaml"
    if file.exists() and not anew:
        say(f"plan         {shown(file)}, made before (--no-cache plans anew)")
        return file
    is_folder = (Path(data.remote) / "train_images").is_dir()
    root = data.remote if is_folder else fetch(data.data_md5, data.remote)
    command = [sys.executable, "-m", "seglib.cli", "plan", str(root)]
    command += ["--out", str(file), "--minutes", str(minutes), "--overwrite", *given]
    path = os.pathsep.join(filter(None, [str(REPOSITORY), os.getenv("PYTHONPATH")]))
    environment = {**os.environ, "PYTHONPATH": path}
    if subprocess.run(command, check=False, env=environment).returncode:
        raise SegError(
            f"{data.title}: no plan could be made; the reason is above. Name a "
            "configuration with --config, or leave out --plan."
        )
    say(f"plan         {shown(file)}")
    return file
