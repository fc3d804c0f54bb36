"""The commands on tracked runs: `track`, `compare` and `reproduce`."""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.options import Context, Runs, optional
from seglib.cli.help import App
from seglib.cli.options import option
from seglib.cli.terminal import Terminal, echo
from seglib.environment import TRACKING_URI
from seglib.errors import SegError, UsageError
from seglib.plain_text import without_login

if TYPE_CHECKING:
    from pipeline.history.compare import Line

app = App()

_FORMATS = (".md", ".csv", ".json")
_TOLERANCE = 0.005  # mIoU


@app.command()
def track(
    folders: Annotated[
        list[str] | None,
        typer.Argument(
            help="Folders of runs, outputs of steps with an untracked.jsonl, or "
            "s3://… as the log of a pod names it. Default: none; rows of trainings in "
            "several pods are closed.",
            show_default=False,
        ),
    ] = None,
    context: Context = "",
) -> None:
    """Send MLflow what it has not got of a run, because it was away.

    What it has got already is not doubled. MLFLOW_TRACKING_URI names the server; by
    default it is the store that the run was to be tracked in. Exits with 1 if
    something is still left.

    Without a folder, Kubernetes is asked for the jobs of all rows of `train-job` that
    are RUNNING and silent for a quarter of an hour: a row whose job was deleted is
    closed as KILLED, and one whose job has ended as that ended.

    For example:

    python -m pipeline track runs/20261122-140501

    python -m pipeline track
    """
    from pipeline.local.tracker import send_from_remote, send_unsent, tracking_uri

    warn = partial(echo, err=True)
    if not folders:
        _close_rows(context, warn)
        return
    whole = True
    for folder in folders:
        if "://" in folder:
            done = send_from_remote(folder, tracking_uri(Path("runs")), warn=warn)
        else:
            done = send_unsent(Path(folder), _store_of(Path(folder)), warn=warn)
        whole = whole and done.whole
        echo(f"{folder}: {done.sent} event(s) sent, {done.left} left")
        if done.left and done.reason:
            echo(f"  {done.reason}")
        for reason in done.refused:
            echo(f"  refused: {reason}")
    raise typer.Exit(0 if whole else 1)


@app.command()
def compare(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="RUN",
            help="Runs by their name, folder or MLflow id, or `latest`. "
            "Default: the newest three, the oldest of them first.",
            show_default=False,
        ),
    ] = None,
    output: Annotated[
        Path | None,
        option("Write the table, too: FILE.md, FILE.csv, FILE.json.", "--output", "-o"),
    ] = None,
    runs: Runs = Path("runs"),
) -> None:
    """Put runs side by side: settings that differ, scores, classes, data, code, time.

    It is what the MLflow UI shows on its page of a comparison. Differences are to the
    first run.

    For example: python -m pipeline compare 20261122-140501 latest -o comparison.md
    """
    from pipeline.history.compare import compare as lines_of
    from pipeline.history.compare import to_csv, to_json, to_markdown
    from seglib.storage.atomic_write import write_bytes
    from seglib.tracking.queries import TrackedRuns

    if output and output.suffix not in _FORMATS:
        raise UsageError(f"{output}: expected a name that ends in .md, .csv or .json.")
    with existing_store(runs) as uri:
        store = TrackedRuns(uri)
        rows = [store.find(name) for name in names or ()] or store.newest(3)[::-1]
        rows = [store.whole(row) for row in rows]
    if not rows:
        raise SegError(f"No runs in {uri} yet: python -m pipeline run")
    lines = lines_of(rows)
    _print_table(Terminal(), [row.name for row in rows], lines)
    if output:
        write = {".md": to_markdown, ".csv": to_csv, ".json": to_json}[output.suffix]
        write_bytes(output, write(rows, lines).encode())
        echo(f"written: {output}")


@app.command()
def reproduce(
    name: Annotated[
        str,
        typer.Argument(metavar="RUN", help="Its name, folder or MLflow id, or latest."),
    ],
    data: Annotated[
        Path | None, optional("The dataset's folder, where it is not where it was.")
    ] = None,
    any_code: Annotated[
        bool, option("Go on although the code is another.", "--any-code")
    ] = False,
    tolerance: Annotated[
        float, option("The largest difference of mIoU that is accepted.", min=0)
    ] = _TOLERANCE,
    runs: Runs = Path("runs"),
) -> None:
    """Make a run again, from its row: same data, settings and seeds; nothing is reused.

    Checks first that data and code are those of the run, and says which commit to
    check out if they are not. Prints both scores. Exits with 1 if they differ by more
    than the tolerance. A run that was limited by max_minutes depends on the machine.

    For example: python -m pipeline reproduce latest
    """
    from pipeline.history.reproduce import difference, recipe
    from pipeline.local.execution import execute
    from seglib.tracking.queries import TrackedRuns

    with existing_store(runs) as uri:
        store = TrackedRuns(uri)
        row = store.whole(store.find(name))
    how = recipe(row, folder=data, any_code=any_code)
    difference(row, {"miou": 0.0})  # a run without a score is told before an hour
    outcome = execute(
        how.config,
        how.data,
        runs=runs,
        name="again",
        cache=False,
        docker="image" in row.tags,
        tags={"reproduces": row.id},
        console=Terminal(),
    )
    if outcome.state != "SUCCEEDED":
        raise typer.Exit(outcome.exit_status)
    scores = json.loads((outcome.folder / "metrics.json").read_text(encoding="utf-8"))
    then, more = difference(row, scores)
    same = abs(more) <= tolerance
    verdict = "reproduced" if same else "not reproduced"
    echo(
        f"{verdict}: mIoU {then:.6f} in {row.name}, {then + more:.6f} now, "
        f"difference {more:+.6f} (accepted: {tolerance})"
    )
    raise typer.Exit(0 if same else 1)


@contextmanager
def existing_store(runs: Path) -> Iterator[str]:
    """The address of the tracking store; within it, MLflow's failures are one line.

    Args:
        runs: folder of runs, with the SQLite store that is used without
            MLFLOW_TRACKING_URI. It must be there, or MLflow would create it.

    Raises:
        SegError: no store, or one that fails.
    """
    from pipeline.local import tracker
    from seglib.tracking.mlflow_client import answering

    uri = tracker.existing_store(runs)
    if not uri:
        raise SegError(
            f"No tracking store in {runs}. Run the pipeline first, name another folder "
            "of runs with --runs, or a server with MLFLOW_TRACKING_URI."
        )
    with answering(uri):
        yield uri


def _close_rows(context: str, warn: Callable[[str], None]) -> None:
    from pipeline.train_job.open_rows import close_rows

    with existing_store(Path("runs")) as uri:
        rows = list(close_rows(uri, context=context, warn=warn))
    for row in rows:
        word = f"closed as {row.status}" if row.status else "stays open"
        echo(f"{row.name}: {word}: {row.reason}")
    if not rows:
        echo(f"{without_login(uri)}: no row of a training in several pods is open")


def _store_of(folder: Path) -> str:
    """The store that a folder's events go to."""
    from pipeline.local.tracker import tracking_uri
    from seglib.delivery.outbox import FolderOutbox

    if not folder.is_dir():
        raise UsageError(f"{folder}: no such folder. Expected that of a run.")
    default = tracking_uri(folder.resolve().parent)
    recorded = "" if os.environ.get(TRACKING_URI) else FolderOutbox(folder).uri
    return recorded or default


def _print_table(console: Terminal, names: list[str], lines: "list[Line]") -> None:
    from rich.table import Table

    from pipeline.history.compare import to_cells, to_title

    table = Table("", *names)
    section = lines[0].section if lines else ""
    for line in lines:
        if line.section != section:
            table.add_section()
        section = line.section
        table.add_row(to_title(line), *to_cells(line))
    console.print(table)
