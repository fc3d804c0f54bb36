"""The training pipeline: verify → augment → train → evaluate → gate → export.

A component's parameter takes the pipeline's parameter of the same name, so what is
written out here is only what flows from step to step.
"""

import inspect
from collections.abc import Mapping
from typing import Any

from kfp import dsl

from components.augment_data import augment_data
from components.base import IMAGE, on_kubernetes
from components.evaluate_model import evaluate_model
from components.export_model import export_model
from components.finalize import finalize
from components.gate_model import gate_model
from components.step import CHECKPOINTS
from components.train_model import train_model
from components.verify_data import verify_data
from seglib.config import Config

NAME = "segmentation-training"  # scopes the cache: a new name reuses nothing
_RETRIES = 5  # of a training whose state is kept: pods are evicted


def training_pipeline(
    *, image: str = IMAGE, gpus: int = 0, checkpoints: str = ""
) -> Any:
    """Build the pipeline.

    Args:
        image: the image of every step, best pinned by digest.
        gpus: NVIDIA GPUs of the training step.
        checkpoints: where the training step keeps its state: s3://bucket/prefix.

    Returns:
        A KFP pipeline. Its parameters are the fields of the configuration, with
        their defaults, and `data_md5`, `remote` and `code_version`.
    """

    def training(*values: Any) -> None:
        """Verify, augment, train, evaluate, gate; export what passes the gate.

        Args:
            data_md5: the hash DVC gives the dataset's folder, "….dir".
            remote: where its files are: a DVC remote (s3:// or a folder).
            code_version: what computes the results; another one reuses nothing.
        """
        steps = _Steps(dict(zip(signature.parameters, values, strict=True)), image)
        last = steps.add(finalize, cached=False)
        with dsl.ExitHandler(last):
            verified = steps.add(verify_data)
            manifest = verified.outputs["manifest"]
            augmented = steps.add(augment_data, manifest=manifest)
            shards = augmented.outputs["shards"]
            trained = steps.add(
                train_model,
                gpus=gpus,
                checkpoints=checkpoints,
                manifest=manifest,
                shards=shards,
            )
            model = trained.outputs["model"]
            evaluated = steps.add(evaluate_model, manifest=manifest, model=model)
            judged = {"manifest": manifest, "model": model}
            judged["evaluation"] = evaluated.outputs["evaluation"]
            gated = steps.add(gate_model, cached=False, **judged)
            with dsl.If(gated.outputs["Output"] == "promote", name="promoted"):
                decision = gated.outputs["decision"]
                steps.add(export_model, cached=False, decision=decision, **judged)

    signature = _signature()
    training.__signature__ = signature  # type: ignore[attr-defined]
    return dsl.pipeline(name=NAME)(training)


class _Steps:
    """Adds tasks to the pipeline that is being built."""

    def __init__(self, parameters: Mapping[str, Any], image: str):
        self._parameters = parameters
        self._image = image

    def add(
        self,
        component: Any,
        *,
        cached: bool = True,
        gpus: int = 0,
        checkpoints: str = "",
        **artifacts: Any,
    ) -> dsl.PipelineTask:
        wanted = component.component_spec.inputs
        shared = {k: v for k, v in self._parameters.items() if k in wanted}
        task = component(**shared, **artifacts)
        task.set_caching_options(enable_caching=cached)
        on_kubernetes(
            task,
            image=self._image,
            gpus=gpus,
            environment={CHECKPOINTS: checkpoints} if checkpoints else {},
            retries=_RETRIES if checkpoints else 0,  # it goes on where it was
        )
        return task


def _signature() -> inspect.Signature:
    """The pipeline's parameters; KFP reads them as if they were written out."""
    given = {"data_md5": str, "remote": str, "code_version": str}
    settings = Config().flat()
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    return inspect.Signature(
        [
            *(inspect.Parameter(name, kind, annotation=t) for name, t in given.items()),
            *(
                inspect.Parameter(name, kind, annotation=type(value), default=value)
                for name, value in settings.items()
            ),
        ]
    )
