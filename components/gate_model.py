"""Decide whether a model is good enough, and better than the champion."""

from kfp.dsl import HTML, Artifact, Dataset, Input, Markdown, Model, Output

from components.base import component


@component
def gate_model(
    manifest: Input[Dataset],
    model: Input[Model],
    evaluation: Input[Artifact],
    min_miou: float,
    max_latency_ms: float,
    max_model_mb: float,
    min_delta: float,
    max_class_drop: float,
    confidence: float,
    bootstrap_block: int,
    registered_model: str,
    decision: Output[Artifact],
    summary: Output[Markdown],
    report: Output[HTML],
) -> str:
    """Decide, and tell the run in MLflow what led here. Never cached.

    Args:
        decision: decision.json and decision.md, and the evaluation's page with the
            verdict.
        summary: the decision once more, as KFP shows it.
        report: the page once more, as KFP shows it.

    Returns:
        "promote" or "hold". (One unnamed output: a condition on a named one is
        silently skipped by the local runner.)
    """
    given = locals()
    from seglib.tasks import verdict_tasks as task

    return task.gate_model(**given)
