"""The sweep: several trainings on the same data, of which the best is judged.

verify → augment → train, once for each trial, a few at a time → select → evaluate →
gate → export. From the selection on it is the training pipeline.
"""

import itertools
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from pipeline.dag.inputs import find_settings
from seglib.config import Config, ModelConfig, TrainConfig
from seglib.errors import UsageError

NAME = "segmentation-sweep"
_OWN = {
    "trials": "a training each: the settings in which it differs, as JSON",
    "swept": "the names of these settings, with commas between them",
}
_SWEEPABLE = tuple(f.name for part in (ModelConfig, TrainConfig) for f in fields(part))


@dataclass(frozen=True)
class Sweep:
    """Trials, each the settings in which it differs from the others."""

    trials: tuple[Mapping[str, Any], ...]
    parallel: int = 2  # at the same time

    @property
    def parameters(self) -> dict[str, Any]:
        """Those of the pipeline that are a sweep's own."""
        return {
            "trials": [json.dumps(trial, sort_keys=True) for trial in self.trials],
            "swept": ",".join(sorted(self.trials[0])),
        }


def sweep_pipeline(sweep: Sweep, config: Config, **options: Any) -> Any:
    """Build the pipeline.

    Args:
        sweep: its trials, and how many of them train at the same time.
        config: the settings that all trials share: the parameters' defaults.
        options: as of `training_pipeline`.
    """
    from kfp import dsl

    from components.select_model import select_model
    from components.train_model import train_model
    from pipeline.dag.training import Steps, build

    def train(steps: Steps, **inputs: Any) -> Any:
        """Train with several settings, choose by val mIoU, and judge the best."""
        # No `name`, for the reason that Steps gives: its outputs are collected.
        trials = steps.parameters["trials"]
        with dsl.ParallelFor(trials, parallelism=sweep.parallel) as trial:
            trained = steps.add("train", train_model, trial=trial, **inputs)
        models = dsl.Collected(trained.outputs["model"])
        # It is cheap, and tells the run's row what was chosen.
        chosen = steps.add("select", select_model, cached=False, models=models)
        return chosen.outputs["model"]

    return build(
        train,
        name=NAME,
        display_name="Segmentation sweep",
        config=config,
        own=sweep.parameters,
        texts=_OWN,
        **options,
    )


def plan_sweep(
    file: Path | None, changes: Iterable[str], *, parallel: int = 2
) -> tuple[Config, Sweep]:
    """All combinations of the values that settings are given.

    Args:
        file: YAML; `None` gives the defaults.
        changes: "name=value" each, or "name=value,value" for what is to be tried.
        parallel: how many trials train at the same time.

    Returns:
        The settings that the trials share, and the trials.
    """
    fixed, tried = [], {}
    for change in changes:
        name, _, text = change.partition("=")
        name = name.strip()
        if name not in Config().flat() or "," not in text or name == "class_names":
            fixed.append(change)
        elif name in _SWEEPABLE:
            tried[name] = [value.strip() for value in text.split(",")]
        else:
            raise UsageError(
                f"`{name}` cannot be tried with several values: what a sweep repeats "
                f"is the training, with the settings of `model` and `train`. Received: "
                f"{change!r}. Start a run for each value."
            )
    shared = find_settings(file, fixed)
    if not tried:
        raise UsageError(
            "Nothing to try. Give a setting several values, with commas between them: "
            "--set learning_rate=0.001,0.003."
        )
    trials = []
    for values in itertools.product(*tried.values()):
        pairs = [f"{k}={v}" for k, v in zip(tried, values, strict=True)]
        settings = find_settings(file, [*fixed, *pairs]).flat()
        trial = {name: settings[name] for name in tried}
        if trial not in trials:
            trials.append(trial)
    return shared, Sweep(tuple(trials), parallel)
