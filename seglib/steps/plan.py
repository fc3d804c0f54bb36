"""The plan step: a dataset's folder in, a commented configuration out."""

import logging
import math
import shlex
from dataclasses import dataclass
from pathlib import Path

from seglib.arguments import checked
from seglib.config import Config, DataConfig
from seglib.errors import UsageError
from seglib.hardware import has_gpu, usable_cores
from seglib.models.encoders.efficientnet_lite import has_weights
from seglib.planning.document import class_rows, dataset_rows, to_yaml
from seglib.planning.fingerprint import Fingerprint, take_fingerprint
from seglib.planning.measuring import measure
from seglib.planning.rules import Choice, Machine, choose
from seglib.planning.timetable import plan_time
from seglib.progress import Progress, shown
from seglib.settings import require
from seglib.storage.atomic_write import write_text

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainingPlan:
    """A plan, and what it follows from.

    facts: of the dataset.
    choices: the settings with their reasons.
    minutes: that the training is expected to take on this machine.
    memory_bytes: that it is expected to take.
    """

    facts: Fingerprint
    choices: tuple[Choice, ...]
    minutes: float
    memory_bytes: int

    @property
    def config(self) -> Config:
        """The configuration, as the file holds it."""
        return Config.from_flat({choice.name: choice.value for choice in self.choices})


@checked
def plan(
    data: str | Path,
    out: str | Path | None = None,
    *,
    minutes: float = 20.0,
    config: DataConfig | None = None,
    overwrite: bool = False,
    progress: Progress = None,
) -> TrainingPlan:
    """Plan a training from its data, this machine and a budget of time.

    The same data and machine give the same plan, except for what follows from measured
    times: the epochs, and how often is validated.

    Args:
        data: folder in the dataset format.
        out: the YAML file to write.
        minutes: that the training may take on this machine.
        config: the classes of a folder without a dataset.yaml; they become part of
            the plan.
        overwrite: replace a file that is there.
        progress: see `seglib.train`; a function is called with (pairs opened, all that
            are to be opened).

    Raises:
        UsageError: `out` is there already, or the budget is too short.
        SegError: the data cannot be trained on, or a view does not fit the memory.
    """
    require(0 < minutes < math.inf, "minutes", "a number > 0", minutes)
    if out and Path(out).exists() and not overwrite:
        raise UsageError(
            f"{out}: is there already. Name another file with --out, or replace it "
            "with --overwrite."
        )
    given = config or DataConfig()
    with shown(progress, "verifying") as tell:
        facts = take_fingerprint(Path(data), given, progress=tell)
    machine = Machine("gpu" if has_gpu() else "cpu", has_weights=has_weights("lite0"))
    draft, choices = choose(facts, machine, minutes)
    logger.info("taking a few steps of %s", draft.model.architecture)
    measured = measure(facts, draft, device=machine.device)
    timetable = plan_time(facts, measured, minutes)
    classes = [
        Choice(name, value, "given to the plan")
        for name, value in vars(given).items()
        if value != getattr(DataConfig(), name)
    ]
    last = (*classes, *choices, *measured.choices(draft), *timetable.choices)
    by_name = {choice.name: choice for choice in last}
    made = TrainingPlan(
        facts, tuple(by_name.values()), timetable.minutes, measured.memory_bytes
    )
    if out:
        write_text(Path(out), _text(made, str(data), str(out), minutes))
    return made


def _text(made: TrainingPlan, data: str, out: str, minutes: float) -> str:
    folder, file = shlex.quote(data), shlex.quote(out)
    place = "one GPU" if has_gpu() else f"{usable_cores()} cores"
    memory = f"{made.memory_bytes / 1e9:.1f} GB of memory"
    head = [
        ("source", f"seglib plan {folder} --minutes {minutes:g}"),
        ("command", f"seglib train {folder} --config {file}"),
        ("cost", f"about {made.minutes:.0f} minutes and {memory} on {place}"),
        ("result", "none yet: not trained"),
    ]
    return to_yaml(
        head, (dataset_rows(made.facts), class_rows(made.facts)), made.choices
    )
