"""The tasks `gate-model` and `finalize`: what a run's model and the run come to."""

import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from seglib.config import Config
from seglib.delivery.sending import closing
from seglib.environment import EVENTS, TASK_RUN
from seglib.evaluation.decision import PROMOTE, write_decision
from seglib.plain_text import without_login
from seglib.registry.promotion import standing
from seglib.report.verdict import REPORT, with_verdict
from seglib.runtime.events import run_id, source_tags, tell
from seglib.runtime.kfp_run import PAGE_TAG, ending, page_of
from seglib.runtime.step import Artifact, RunningStep
from seglib.steps.gate import gate
from seglib.storage.atomic_write import write_text
from seglib.tasks.task import configure, task
from seglib.tracking.mlflow_address import tracking_uri


def gate_model(
    *,
    manifest: Artifact,
    model: Artifact,
    evaluation: Artifact,
    decision: Artifact,
    summary: Artifact,
    report: Artifact,
    **given: Any,
) -> str:
    """Is a model good enough, and better than the champion?

    Returns:
        "promote" or "hold".
    """
    inputs = {"manifest": manifest, "model": model, "evaluation": evaluation}
    paths = {name: Path(artifact.path) for name, artifact in inputs.items()}
    with (
        task("gate", out=decision, inputs=list(inputs.values())) as step,
        tempfile.TemporaryDirectory() as place,
    ):
        config = configure(step, given).gate
        stands = standing(config.registered_model, paths, folder=Path(place))
        decided = gate(
            **paths, champion=stands.champion, barred=stands.barred, config=config
        )
        write_decision(decided, Path(decision.path))
        shutil.copy(Path(decision.path) / "decision.md", summary.path)
        page = (paths["evaluation"] / REPORT).read_text(encoding="utf-8")
        page = with_verdict(page, decided, links=_links(step, decided.verdict))
        write_text(Path(decision.path) / REPORT, page)
        shutil.copy(Path(decision.path) / REPORT, report.path)
        step.send(
            "decided",
            lineage=step.lineage,
            verdict=decided.verdict,
            reasons="; ".join(decided.reasons),
            metrics=decided.metrics,
            registry=stands.entry,
            decision=decision.path,
            **{name: str(path) for name, path in paths.items()},
        )
    return decided.verdict


def finalize(*, status: Any, **identity: str) -> None:
    """Tell how the run ended, and send what its steps could not.

    Args:
        status: KFP's PipelineTaskFinalStatus; a hint, where KFP's API says more.
        identity: data_md5, remote and code_version.
    """
    end = ending(status.state)
    given = settings_of(end.pop("parameters", {}))
    with closing() as events:
        tell(events, "close", **end, parameters=given, **identity, tags=source_tags())


def _links(step: RunningStep, verdict: str) -> dict[str, str]:
    """Where a reader of the report finds the run, the data report and the export."""
    run = run_id()
    links = {"Run": page_of(run).get(PAGE_TAG, "")}
    if not urlsplit(links["Run"]).scheme:
        links["Run"] = run
    uri, of_task = without_login(tracking_uri()), os.environ.get(TASK_RUN, "")
    if of_task and uri.startswith("http"):
        links["MLflow"] = f"{uri.rstrip('/')}/#/runs/{of_task}"
    if events := os.environ.get(EVENTS):  # of the local runner, in its run's folder
        folder = Path(events).resolve().parent
        links["Data report"] = (folder / "verification.html").as_uri()
        if verdict == PROMOTE:
            links["Export"] = (folder / "export").as_uri()
    elif folder_of := step.lineage.get("verify", {}).get("folder"):
        links["Data report"] = f"{folder_of}/report.html"
    return links


def settings_of(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a run among its parameters, as KFP's API tells them.

    Each has its setting's type (JSON writes 1 for 1.0). Those that differ by trial are
    left out: the chosen trial's are the run's.
    """
    swept = str(parameters.get("swept", "")).split(",")
    return {
        name: type(default)(parameters[name])
        for name, default in Config().flat().items()
        if name in parameters and name not in swept
    }
