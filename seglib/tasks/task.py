"""What all tasks share: a step with its events, on their way to MLflow."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from seglib.config import Config
from seglib.delivery.sending import require_tracking, sending
from seglib.errors import SegError, disk_problem
from seglib.plain_text import without_login
from seglib.runtime.provenance import Origin, read_lineage
from seglib.runtime.step import Artifact, RunningStep, plain_log_lines
from seglib.runtime.system_metrics import watching

logger = logging.getLogger(__name__)


@contextmanager
def task(
    name: str,
    *,
    out: Artifact,
    inputs: Sequence[Artifact] = (),
    watched: bool = False,
    trial: Mapping[str, Any] | None = None,
) -> Iterator[RunningStep]:
    """Run the body of a task as a step, tell its start and end, and send its events.

    Args:
        name: of the step: verify, augment, train …
        out: the artifact that gets the provenance, and the events that are not sent.
        inputs: artifacts that led to it; their unsent events are sent first.
        watched: tell the load of the machine while the body runs.
        trial: of a sweep: the settings in which this task differs from the others.

    Raises:
        SystemExit: the step ended in a problem that its reader can solve; the
            message has been told, and a traceback would only hide it.
    """
    # On the remote, trials would write over each other's events.
    left_as = "" if trial else name
    folders = [Path(artifact.path) for artifact in inputs]
    lineage: dict[str, Origin] = {}
    for folder in folders:
        lineage |= read_lineage(folder)
    with sending(left_as, out=Path(out.path), inputs=folders) as events:
        step = RunningStep(
            name, uri=out.uri, events=events, inputs=lineage, trial=trial
        )
        with _failures_told(step), plain_log_lines():
            step.send("started", lineage=step.lineage)
            require_tracking()
            with watching(step.load) if watched else nullcontext():
                yield step
            step.finish(Path(out.path))


def configure(step: RunningStep, given: Mapping[str, Any]) -> Config:
    """The configuration among a component's arguments; the provenance names it, too.

    Args:
        given: the arguments; those that are no settings are not looked at. A setting
            that is not among them has its default.

    Raises:
        UsageError: a value that cannot be.
    """
    names = Config().flat().keys() & given.keys()
    config = Config.from_flat({name: given[name] for name in names})
    flat = config.flat()
    step.origin["settings"] = {name: flat[name] for name in sorted(names)}
    return config


@contextmanager
def _failures_told(step: RunningStep) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        known = error if isinstance(error, SegError) else disk_problem(error)
        text = str(known or f"{type(error).__name__}: {error}")
        try:
            step.fail(without_login(text))
        except OSError:  # of a full disk
            logger.error("%s", text)
        if known:
            raise SystemExit(1) from error
        raise
