"""The training pipeline: verify → augment → train → evaluate → gate → export.

A component's parameter takes the pipeline's parameter of the same name, so what is
written out here is only what flows from step to step.
"""

import inspect
from collections.abc import Mapping
from typing import Any

from kfp import dsl

from components.augment_data import augment_data
from components.base import IMAGE
from components.evaluate_model import evaluate_model
from components.export_model import export_model
from components.finalize import finalize
from components.gate_model import gate_model
from components.train_model import train_model
from components.verify_data import verify_data
from pipeline.dag.cluster_config import ClusterConfig
from pipeline.dag.executor import in_image, on_kubernetes
from pipeline.dag.inputs import step_code_version
from seglib.config import Config
from seglib.environment import CHECKPOINTS

NAME = "segmentation-training"  # scopes the cache: a new name reuses nothing
DISPLAY_NAME = "Segmentation training"
GIVEN = {
    "data_md5": "the hash DVC gives the dataset's folder, “….dir”",
    "remote": "where its files are: a DVC remote (s3:// or a folder)",
    "code_version": "what computes the results; another one reuses nothing",
}


def training_pipeline(
    *,
    image: str = IMAGE,
    cluster: ClusterConfig | None = None,
    checkpoints: str = "",
    code_by_step: bool = False,
) -> Any:
    """Build the pipeline.

    Args:
        image: the image of every step, best pinned by digest.
        cluster: what the steps' pods need. `None`: nothing, for the local runner.
        checkpoints: where the training step keeps its state: s3://bucket/prefix.
        code_by_step: a step is cached by the code that it imports here, in place of
            the parameter `code_version`.

    Returns:
        A KFP pipeline. Its parameters are the fields of the configuration, with
        their defaults, and those of GIVEN.
    """

    def training(*values: Any) -> None:
        """Verify, augment, train, evaluate, gate; export what passes the gate."""
        parameters = dict(zip(signature.parameters, values, strict=True))
        steps = Steps(parameters, image, cluster, code_by_step=code_by_step)
        last = steps.add("finalize", finalize, cached=False)
        with dsl.ExitHandler(last):
            verified = steps.add("verify", verify_data)
            manifest = verified.outputs["manifest"]
            augmented = steps.add("augment", augment_data, manifest=manifest)
            shards = augmented.outputs["shards"]
            trained = steps.add(
                "train",
                train_model,
                environment={CHECKPOINTS: checkpoints} if checkpoints else {},
                manifest=manifest,
                shards=shards,
            )
            judge(steps, manifest, trained.outputs["model"])

    signature = signature_of(Config())
    training.__signature__ = signature  # type: ignore[attr-defined]
    pipeline = dsl.pipeline(name=NAME, display_name=DISPLAY_NAME)(training)
    describe(pipeline.pipeline_spec)
    return pipeline


def judge(steps: "Steps", manifest: Any, model: Any) -> None:
    """Evaluate a model, put it before the gate, and export it if it passes."""
    judged = {"manifest": manifest, "model": model}
    evaluated = steps.add("evaluate", evaluate_model, **judged)
    judged["evaluation"] = evaluated.outputs["evaluation"]
    gated = steps.add("gate", gate_model, cached=False, **judged)
    with dsl.If(gated.outputs["Output"] == "promote", name="promoted"):
        judged["decision"] = gated.outputs["decision"]
        steps.add("export", export_model, cached=False, **judged)


class Steps:
    """Adds tasks to the pipeline that is being built."""

    def __init__(
        self,
        parameters: Mapping[str, Any],
        image: str,
        cluster: ClusterConfig | None,
        *,
        code_by_step: bool = False,
    ):
        self._parameters = parameters
        self._image = image
        self._cluster = cluster
        self._code_by_step = code_by_step

    def add(
        self,
        name: str,
        component: Any,
        *,
        cached: bool = True,
        environment: Mapping[str, str] | None = None,
        **inputs: Any,
    ) -> dsl.PipelineTask:
        # No `set_display_name`: to older servers that name is the task's own, and who
        # takes its outputs doesn't find it (kubeflow/pipelines issue 11173).
        wanted = component.component_spec.inputs
        shared = {k: v for k, v in self._parameters.items() if k in wanted}
        if self._code_by_step and cached:
            module = component.python_func.__module__
            shared["code_version"] = step_code_version(module, step=name)
        task = component(**shared, **inputs)
        task.set_caching_options(enable_caching=cached)
        in_image(task, self._image)
        if self._cluster:
            on_kubernetes(task, name, self._cluster, environment=environment)
        return task


def signature_of(config: Config) -> inspect.Signature:
    """The pipeline's parameters; KFP reads them as if they were written out.

    Args:
        config: gives the defaults.
    """
    settings = config.flat()
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    return inspect.Signature(
        [
            *(inspect.Parameter(name, kind, annotation=str) for name in GIVEN),
            *(
                inspect.Parameter(name, kind, annotation=type(value), default=value)
                for name, value in settings.items()
            ),
        ]
    )


def describe(spec: Any, texts: Mapping[str, str] = GIVEN) -> None:
    """Give every parameter its description, of the pipeline and of the components.

    Args:
        texts: of the parameters that are no settings.
    """
    texts = {**texts, **Config.described()}
    for component in (spec.root, *spec.components.values()):
        for name, parameter in component.input_definitions.parameters.items():
            if not parameter.description:
                parameter.description = texts.get(name, "")
