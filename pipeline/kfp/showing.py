"""Runs, steps, news and plans as people read them."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pipeline.kfp.runs import CANCELED, CANCELING, FAILED, SUCCEEDED, Run
from pipeline.kfp.watching import News
from seglib.plain_text import first_line
from seglib.runtime.workflow import CACHED, PENDING, SKIPPED, Step

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

STYLES = {
    SUCCEEDED: "green",
    CACHED: "green",
    FAILED: "bold red",
    CANCELED: "yellow",
    CANCELING: "yellow",
    "RUNNING": "cyan",
}


def runs_table(runs: Iterable[Run]) -> "Table":
    """One line a run."""
    table = _table("run", "state", "started", "took", "id")
    for run in runs:
        table.add_row(
            run.name,
            _styled(run.state),
            f"{run.created.astimezone(UTC):%Y-%m-%d %H:%M}Z",
            duration(run.duration_s()),
            run.run_id,
        )
    return table


def steps_table(run: Run) -> "Table":
    """One line a step."""
    table = _table("step", "state", "took", "pods", "")
    for step in run.steps:
        pods = str(len(step.attempts) or "")
        table.add_row(
            step.label,
            _styled(step.state),
            _took(step),
            pods,
            first_line(step.message, longest=200),
        )
    return table


def news_lines(news: News, *, now: datetime | None = None) -> Iterator[str]:
    """What to say of what changed, a line each, with the run's age before it."""
    age = duration(news.run.duration_s(now))
    if news.trouble:
        yield f"{age:>9}  {news.trouble} The run goes on; trying further."
    for step in news.steps:
        took = _took(step) if step.ended else ""
        again = f"attempt {len(step.attempts)}" if len(step.attempts) > 1 else ""
        told = (took, again, first_line(step.message, longest=200))
        text = "  ".join(part for part in told if part)
        yield f"{age:>9}  {step.label:<12} {step.state:<10} {text}".rstrip()


def ending(run: Run) -> str:
    """How a run ended, in a sentence."""
    failed = [step.label for step in run.steps if step.state == FAILED]
    where = f" in {', '.join(failed)}" if failed and not run.error else ""
    why = f": {first_line(run.error, longest=200)}" if run.error else ""
    word = run.state.lower()
    return f"{run.name}: {word} after {duration(run.duration_s())}{where}{why}"


def duration(seconds: float | None) -> str:
    """Hours, minutes and seconds: 0:02:48."""
    if seconds is None:
        return ""
    minutes, rest = divmod(round(max(seconds, 0.0)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"


def _took(step: Step) -> str:
    idle = step.state in (PENDING, SKIPPED, CACHED)
    return "" if idle else duration(step.duration_s())


def _styled(state: str) -> "Text":
    from rich.text import Text

    return Text(state, STYLES.get(state, ""))


def _table(*titles: str) -> "Table":
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for title in titles:
        table.add_column(title, overflow="fold")
    return table
