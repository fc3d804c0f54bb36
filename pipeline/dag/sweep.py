"""The sweep: several trainings on the same data, of which the best is judged.

verify → augment → train, once for each trial, a few at a time → select → evaluate →
gate → export. From the selection on it is the training pipeline.
"""

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from kfp import dsl

from components.augment_data import augment_data
from components.base import IMAGE
from components.finalize import finalize
from components.select_model import select_model
from components.train_model import train_model
from components.verify_data import verify_data
from pipeline.dag.cluster_config import ClusterConfig
from pipeline.dag.sweep_trials import Sweep
from pipeline.dag.training import GIVEN, Steps, describe, judge, signature_of
from seglib.config import Config
from seglib.environment import CHECKPOINTS

NAME = "segmentation-sweep"
DISPLAY_NAME = "Segmentation sweep"
_OWN = {
    "trials": "a training each: the settings in which it differs, as JSON",
    "swept": "the names of these settings, with commas between them",
}


def sweep_pipeline(
    sweep: Sweep,
    config: Config,
    *,
    image: str = IMAGE,
    cluster: ClusterConfig | None = None,
    checkpoints: str = "",
    code_by_step: bool = False,
) -> Any:
    """Build the pipeline.

    Args:
        sweep: its trials, and how many of them train at the same time.
        config: the settings that all trials share: the parameters' defaults.
        image: the image of every step, best pinned by digest.
        cluster: what the steps' pods need. `None`: nothing, for the local runner.
        checkpoints: where trainings keep their state: s3://bucket/prefix.
        code_by_step: as in `training_pipeline`.
    """

    def train_and_choose(*values: Any) -> None:
        """Train with several settings, choose by val mIoU, and judge the best."""
        parameters = dict(zip(signature.parameters, values, strict=True))
        steps = Steps(parameters, image, cluster, code_by_step=code_by_step)
        last = steps.add("finalize", finalize, cached=False)
        with dsl.ExitHandler(last):
            verified = steps.add("verify", verify_data)
            manifest = verified.outputs["manifest"]
            augmented = steps.add("augment", augment_data, manifest=manifest)
            # No `name`, for the reason that Steps gives: its outputs are collected.
            trials = dsl.ParallelFor(parameters["trials"], parallelism=sweep.parallel)
            with trials as trial:
                trained = steps.add(
                    "train",
                    train_model,
                    environment={CHECKPOINTS: checkpoints} if checkpoints else {},
                    manifest=manifest,
                    shards=augmented.outputs["shards"],
                    trial=trial,
                )
            models = dsl.Collected(trained.outputs["model"])
            # It is cheap, and tells the run's row what was chosen.
            chosen = steps.add("select", select_model, cached=False, models=models)
            judge(steps, manifest, chosen.outputs["model"])

    signature = _signature(sweep, config)
    train_and_choose.__signature__ = signature  # type: ignore[attr-defined]
    decorate = dsl.pipeline(name=NAME, display_name=DISPLAY_NAME)
    pipeline = decorate(train_and_choose)
    describe(pipeline.pipeline_spec, {**GIVEN, **_OWN})
    return pipeline


def _signature(sweep: Sweep, config: Config) -> inspect.Signature:
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    own: Mapping[str, Sequence[str] | str] = sweep.parameters
    types = {"trials": list[str], "swept": str}
    return inspect.Signature(
        [
            *signature_of(config).parameters.values(),
            *(
                inspect.Parameter(name, kind, annotation=types[name], default=value)
                for name, value in own.items()
            ),
        ]
    )
