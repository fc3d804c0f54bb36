"""What all tasks share: a step with its events, on their way to MLflow."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from seglib.config import Config
from seglib.delivery.pod import sending
from seglib.runtime.step import Artifact, Step, step


@contextmanager
def task(
    name: str,
    *,
    out: Artifact,
    inputs: Sequence[Artifact] = (),
    watched: bool = False,
    trial: Mapping[str, Any] | None = None,
) -> Iterator[Step]:
    """Run the body of a task as a step whose events are sent.

    Args:
        name: of the step: verify, augment, train …
        out: the artifact that gets the provenance, and the events that are not sent.
        inputs: artifacts whose unsent events are sent first.
        watched: tell the load of the machine while the body runs.
        trial: of a sweep: the settings in which this task differs from the others.

    Raises:
        SystemExit: the step ended in a problem that its reader can solve; the
            message has been told.
    """
    # On the remote, trials would write over each other's events.
    left_as = "" if trial else name
    folders = [Path(artifact.path) for artifact in inputs]
    with (
        sending(left_as, out=Path(out.path), inputs=folders) as outgoing,
        step(
            name,
            out=out,
            events=outgoing.events,
            inputs=inputs,
            watched=watched,
            trial=trial,
        ) as current,
    ):
        outgoing.require()
        yield current


def configure(step: Step, given: Mapping[str, Any]) -> Config:
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
