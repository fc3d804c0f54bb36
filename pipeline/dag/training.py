"""The training pipeline: verify → augment → train → evaluate → gate → export.

A component's parameter takes the pipeline's parameter of the same name, so what is
written out here is only what flows from step to step.
"""

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
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
_GIVEN = {
    "data_md5": "the hash DVC gives the dataset's folder, “….dir”",
    "remote": "where its files are: a DVC remote (s3:// or a folder)",
    "code_version": "what computes the results; another one reuses nothing",
}


def training_pipeline(**options: Any) -> Any:
    """Build the pipeline.

    Args:
        options: of `build`: image, cluster, checkpoints, code_by_step.

    Returns:
        A KFP pipeline. Its parameters are the fields of the configuration, with their
        defaults, and those that are given for each run.
    """

    def train(steps: "Steps", **inputs: Any) -> Any:
        """Verify, augment, train, evaluate, gate; export what passes the gate."""
        return steps.add("train", train_model, **inputs).outputs["model"]

    return build(train, name=NAME, display_name="Segmentation training", **options)


def build(
    train: Callable[..., Any],
    *,
    name: str,
    display_name: str,
    config: Config | None = None,
    own: Mapping[str, Any] | None = None,
    texts: Mapping[str, str] | None = None,
    given: Mapping[str, str] | None = None,
    image: str = IMAGE,
    cluster: ClusterConfig | None = None,
    checkpoints: str = "",
    code_by_step: bool = False,
) -> Any:
    """Build a pipeline around its trainings.

    Args:
        train: adds them to `Steps`, of manifest and shards, and returns the model to
            be judged; its docstring describes the pipeline.
        name: of the pipeline.
        display_name: for people.
        config: the parameters' defaults. Default: those of the configuration.
        own: further parameters, with their defaults.
        texts: their descriptions.
        given: default values of the parameters that are given for each run.
        image: the image of every step, best pinned by digest.
        cluster: what the steps' pods need. `None`: nothing, for the local runner.
        checkpoints: where the training step keeps its state: s3://bucket/prefix.
        code_by_step: a step is cached by the code that it imports here, in place of
            the parameter `code_version`.
    """

    def pipeline(*values: Any) -> None:
        parameters = dict(zip(signature.parameters, values, strict=True))
        steps = Steps(parameters, image, cluster, checkpoints, code_by_step)
        with dsl.ExitHandler(steps.add("finalize", finalize, cached=False)):
            verified = steps.add("verify", verify_data)
            manifest = verified.outputs["manifest"]
            augmented = steps.add("augment", augment_data, manifest=manifest)
            shards = augmented.outputs["shards"]
            model = train(steps, manifest=manifest, shards=shards)
            judged = {"manifest": manifest, "model": model}
            evaluated = steps.add("evaluate", evaluate_model, **judged)
            judged["evaluation"] = evaluated.outputs["evaluation"]
            gated = steps.add("gate", gate_model, cached=False, **judged)
            with dsl.If(gated.outputs["Output"] == "promote", name="promoted"):
                judged["decision"] = gated.outputs["decision"]
                steps.add("export", export_model, cached=False, **judged)

    defaults = dict(own or {}) | (config or Config()).flat()
    signature = _signature(given or {}, defaults)
    pipeline.__signature__ = signature  # type: ignore[attr-defined]
    pipeline.__doc__ = train.__doc__
    built = dsl.pipeline(name=name, display_name=display_name)(pipeline)
    texts = {**_GIVEN, **(texts or {})}
    of_steps = built.pipeline_spec.components.values()
    _describe(of_steps, {**texts, **Config.described()})
    _describe([built.pipeline_spec.root], {**texts, **Config.described(sections=True)})
    return built


@dataclass(frozen=True)
class Steps:
    """Adds tasks to the pipeline that is being built."""

    parameters: Mapping[str, Any]
    image: str
    cluster: ClusterConfig | None
    checkpoints: str
    code_by_step: bool

    def add(
        self, name: str, component: Any, *, cached: bool = True, **inputs: Any
    ) -> dsl.PipelineTask:
        # No `set_display_name`: to older servers that name is the task's own, and who
        # takes its outputs doesn't find it (kubeflow/pipelines issue 11173).
        wanted = component.component_spec.inputs
        shared = {k: v for k, v in self.parameters.items() if k in wanted}
        if self.code_by_step and cached:
            module = component.python_func.__module__
            shared["code_version"] = step_code_version(module, step=name)
        task = component(**shared, **inputs)
        task.set_caching_options(enable_caching=cached)
        in_image(task, self.image)
        if self.cluster:
            keeps = name == "train" and self.checkpoints
            environment = {CHECKPOINTS: self.checkpoints} if keeps else {}
            on_kubernetes(task, name, self.cluster, environment=environment)
        return task


def _signature(
    given: Mapping[str, str], defaults: Mapping[str, Any]
) -> inspect.Signature:
    """The pipeline's parameters; KFP reads them as if they were written out."""
    kind, empty = inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.empty
    parameters = [
        inspect.Parameter(name, kind, annotation=str, default=given.get(name, empty))
        for name in _GIVEN
    ]
    parameters.sort(key=lambda parameter: parameter.default is not empty)
    for name, value in defaults.items():
        type_ = list[str] if isinstance(value, list) else type(value)
        one = inspect.Parameter(name, kind, annotation=type_, default=value)
        parameters.append(one)
    return inspect.Signature(parameters)


def _describe(components: Iterable[Any], texts: Mapping[str, str]) -> None:
    """Give every parameter that has no description its own."""
    for component in components:
        for name, parameter in component.input_definitions.parameters.items():
            if not parameter.description:
                parameter.description = texts.get(name, "")
