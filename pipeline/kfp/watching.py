"""Looking at a run again and again until it ends, and what is said of it."""

from collections.abc import Callable, Iterable
from datetime import UTC
from typing import TYPE_CHECKING

from pipeline.kfp.connection import KfpServer
from pipeline.kfp.failures import ClusterError, look_again
from pipeline.kfp.runs import CANCELING, Run, get_run
from seglib.plain_text import first_line
from seglib.runtime.workflow import (
    CACHED,
    CANCELED,
    FAILED,
    PENDING,
    RUNNING,
    SKIPPED,
    SUCCEEDED,
    RunStep,
)

if TYPE_CHECKING:
    from rich.table import Table

_LONGEST = 200  # characters of a message
_STYLES = {
    SUCCEEDED: "green",
    CACHED: "green",
    FAILED: "bold red",
    CANCELED: "yellow",
    CANCELING: "yellow",
    RUNNING: "cyan",
}


def follow(
    server: KfpServer,
    run_id: str,
    *,
    say: Callable[[str], None],
    every_s: float = 5.0,
    longest_s: float = 0.0,
) -> Run | None:
    """Say what changes in a run until it ends, a line a step, after the run's age.

    Args:
        run_id: of the run.
        say: takes a line.
        every_s: pause between two looks.
        longest_s: stop looking after that; 0: never.

    Returns:
        The run as it was seen last.
    """
    run: Run | None = None

    def away(error: ClusterError) -> None:
        if not run:
            raise error
        age = duration(run.duration_s())
        say(f"{age:>9}  {error} The run goes on; trying further.")

    known: dict[str, tuple[object, ...]] = {}
    for run in look_again(
        lambda: get_run(server, run_id), every_s=every_s, longest_s=longest_s, away=away
    ):
        age = duration(run.duration_s())
        for step in run.steps:
            told = step.state, len(step.attempts), step.message
            if known.get(step.label) != told:
                known[step.label] = told
                say(f"{age:>9}  {_line(step)}")
        if run.finished:
            break
    return run


def ending(run: Run) -> str:
    """How a run ended, in a sentence."""
    failed = [step.label for step in run.steps if step.state == FAILED]
    where = f" in {', '.join(failed)}" if failed and not run.error else ""
    why = f": {first_line(run.error, longest=_LONGEST)}" if run.error else ""
    word = run.state.lower()
    return f"{run.name}: {word} after {duration(run.duration_s())}{where}{why}"


def runs_table(runs: Iterable[Run]) -> "Table":
    """One line a run."""
    rows = (
        (
            run.name,
            run.state,
            f"{run.created.astimezone(UTC):%Y-%m-%d %H:%M}Z",
            duration(run.duration_s()),
            run.run_id,
        )
        for run in runs
    )
    return _table(("run", "state", "started", "took", "id"), rows)


def steps_table(run: Run) -> "Table":
    """One line a step."""
    rows = (
        (
            step.label,
            step.state,
            _took(step),
            str(len(step.attempts) or ""),
            first_line(step.message, longest=_LONGEST),
        )
        for step in run.steps
    )
    return _table(("step", "state", "took", "pods", ""), rows)


def duration(seconds: float | None) -> str:
    """Hours, minutes and seconds: 0:02:48."""
    if seconds is None:
        return ""
    minutes, rest = divmod(round(max(seconds, 0.0)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"


def _line(step: RunStep) -> str:
    again = f"attempt {len(step.attempts)}" if len(step.attempts) > 1 else ""
    took = _took(step) if step.ended else ""
    told = (took, again, first_line(step.message, longest=_LONGEST))
    text = "  ".join(part for part in told if part)
    return f"{step.label:<12} {step.state:<10} {text}".rstrip()


def _took(step: RunStep) -> str:
    idle = step.state in (PENDING, SKIPPED, CACHED)
    return "" if idle else duration(step.duration_s())


def _table(titles: Iterable[str], rows: Iterable[tuple[str, ...]]) -> "Table":
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for title in titles:
        table.add_column(title, overflow="fold")
    for name, state, *others in rows:
        table.add_row(name, Text(state, _STYLES.get(state, "")), *others)
    return table
