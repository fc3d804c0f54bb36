"""The folder of a run, and the links in it that are the same in every run.

- runs/20261122-140501/: pipeline.yaml, request.json, pipeline.log, events.jsonl,
  plan.yaml where the configuration was planned;
  steps/ with the outputs of the steps that this run executed; and links to all of its
  outputs, whichever run made them: report.html, overlays, metrics.json, model, export …
- runs/latest: a link to the newest run
- runs/.cache/: KFP's index of the outputs that can be reused
- runs/.plans/: configurations that were planned from the data
- runs/.checkpoints/: where trainings are, so that a stopped one can be gone on with
- runs/mlflow.db, runs/mlflow-artifacts/: the tracking store
"""

import os
import re
import time
from collections.abc import Mapping
from pathlib import Path

from seglib.delivery.outbox import EVENT_FILE
from seglib.errors import SegError, UsageError

# Name of the link, step, file or folder in its output; later ones replace earlier ones.
LINKS = (
    ("verification.html", "verify", "report.html"),
    ("augmentation.html", "augment", "preview.html"),
    ("views.html", "train", "views.html"),
    ("selection.md", "select", "selection.md"),
    ("model", "train", "."),
    ("report.html", "evaluate", "report.html"),
    ("report.html", "gate", "report.html"),  # with the verdict
    ("per_image.js", "evaluate", "per_image.js"),  # the page finds them beside it
    ("images", "evaluate", "images"),
    ("overlays", "evaluate", "overlays"),
    ("metrics.json", "evaluate", "metrics.json"),
    ("decision.md", "gate", "decision.md"),
    ("export", "export", "."),
)


def create_run_folder(runs: Path, name: str = "") -> Path:
    """Create `runs`/<time>-<name>.

    Raises:
        UsageError: the name cannot be part of a file name.
        SegError: the folder cannot be written.
    """
    if not re.fullmatch(r"[\w.-]{0,60}", name, flags=re.ASCII):
        raise UsageError(
            "A name is made of letters, digits and . _ - (at most 60). "
            f"Received: {name!r}."
        )
    stem = "-".join(filter(None, [time.strftime("%Y%m%d-%H%M%S"), name]))
    try:
        runs.mkdir(parents=True, exist_ok=True)
        for attempt in range(1, 100):
            folder = runs.resolve() / (stem if attempt == 1 else f"{stem}-{attempt}")
            try:
                folder.mkdir()
            except FileExistsError:
                continue
            (folder / EVENT_FILE).touch()
            link(runs / "latest", folder)
            return folder
    except OSError as error:
        raise SegError(
            f"{runs}: cannot be written ({error.strerror}). Name another folder with "
            "--runs."
        ) from error
    raise SegError(f"{runs}: too many runs in one second.")


def link_outputs(folder: Path, outputs: Mapping[str, Path]) -> dict[str, Path]:
    """Link the outputs of steps into the run's folder; gives the links by name."""
    links = {}
    for name, step, inside in LINKS:
        target = outputs[step] / inside if step in outputs else None
        if target and target.exists():
            links[name] = link(folder / name, target)
    return links


def link(path: Path, target: Path) -> Path:
    """Make `path` a link to `target`, in place of what it linked to before."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.symlink_to(os.path.relpath(target, path.parent.resolve()))
    beside.replace(path)
    return path
