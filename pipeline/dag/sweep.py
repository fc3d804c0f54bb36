"""The sweep: several trainings on the same data, of which the best is judged.

verify → augment → train, once for each trial, a few at a time → select → evaluate →
gate → export. From the selection on it is the training pipeline.
"""

from typing import Any

from kfp import dsl

from components.select_model import select_model
from components.train_model import train_model
from pipeline.dag.sweep_trials import Sweep
from pipeline.dag.training import Steps, build
from seglib.config import Config

NAME = "segmentation-sweep"
_OWN = {
    "trials": "a training each: the settings in which it differs, as JSON",
    "swept": "the names of these settings, with commas between them",
}


def sweep_pipeline(sweep: Sweep, config: Config, **options: Any) -> Any:
    """Build the pipeline.

    Args:
        sweep: its trials, and how many of them train at the same time.
        config: the settings that all trials share: the parameters' defaults.
        options: as of `training_pipeline`.
    """

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
