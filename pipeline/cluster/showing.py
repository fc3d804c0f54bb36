"""Runs, tasks, news and plans as people read them."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pipeline.cluster.runs import CANCELED, FAILED, SUCCEEDED, Run, Task
from pipeline.cluster.watching import News

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

STYLES = {
    SUCCEEDED: "green",
    "CACHED": "green",
    FAILED: "bold red",
    CANCELED: "yellow",
    "CANCELING": "yellow",
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


def tasks_table(run: Run) -> "Table":
    """One line a task."""
    table = _table("task", "state", "took", "")
    for task in run.tasks:
        table.add_row(
            task.name, _styled(task.state), _took(task), _first_line(task.error)
        )
    return table


def news_lines(news: News, *, now: datetime | None = None) -> Iterator[str]:
    """What to say of what changed, a line each, with the run's age before it."""
    age = duration(news.run.duration_s(now))
    if news.trouble:
        yield f"{age:>9}  {news.trouble} The run goes on; trying further."
    for task in news.tasks:
        took = _took(task) if task.ended or task.state == "CACHED" else ""
        error = _first_line(task.error)
        yield f"{age:>9}  {task.name:<20} {task.state:<10} {took} {error}".rstrip()


def ending(run: Run) -> str:
    """How a run ended, in a sentence."""
    failed = [task.name for task in run.tasks if task.state == FAILED]
    where = f" in {', '.join(failed)}" if failed else ""
    why = f": {_first_line(run.error)}" if run.error else ""
    word = run.state.lower()
    return f"{run.name}: {word} after {duration(run.duration_s())}{where}{why}"


def duration(seconds: float | None) -> str:
    """Hours, minutes and seconds: 0:02:48."""
    if seconds is None:
        return ""
    minutes, rest = divmod(round(max(seconds, 0.0)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"


def _took(task: Task) -> str:
    return "" if task.state in ("PENDING", "SKIPPED") else duration(task.duration_s())


def _styled(state: str) -> "Text":
    from rich.text import Text

    return Text(state, STYLES.get(state, ""))


def _first_line(text: str) -> str:
    line = text.strip().partition("\n")[0]
    return line if len(line) <= 200 else f"{line[:199]}…"


def _table(*titles: str) -> "Table":
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for title in titles:
        table.add_column(title, overflow="fold")
    return table
