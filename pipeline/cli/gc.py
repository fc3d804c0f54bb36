"""The command `gc`: what nothing needs any more is shown, and freed on request."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.connection import ClusterAddress
from pipeline.cli.options import grouped, optional
from pipeline.dag.quantities import readable
from seglib.cli.help import App
from seglib.cli.options import option
from seglib.cli.terminal import Terminal, echo
from seglib.environment import CHECKPOINTS
from seglib.errors import SegError

if TYPE_CHECKING:
    from pipeline.garbage import Item

app = App()


@app.command("gc")
@grouped
def collect(
    address: ClusterAddress,
    place: Annotated[
        str,
        typer.Argument(
            envvar=CHECKPOINTS,
            help="Where checkpoints go: s3://bucket/prefix or a folder.",
            show_default=False,
        ),
    ] = "",
    cache: Annotated[
        Path | None,
        optional("Of fetched data. Default: SEGLIB_CACHE, else ~/.cache/seglib."),
    ] = None,
    older_than: Annotated[
        float, option("Days; what was changed or used later stays.", min=0)
    ] = 7.0,
    delete: Annotated[
        bool, option("Free it. Default: it is shown only.", "--delete")
    ] = False,
    show_all: Annotated[
        bool, option("Show also what stays, and why.", "--all")
    ] = False,
) -> None:
    """Show what nothing needs any more, and what it takes; with --delete, free it.

    Checkpoints of trainings that were given up, outcomes that no pipeline took over,
    events of runs that have ended, datasets and contents in the cache, and what runs in
    Kubernetes without KFP's knowledge (after an hour). What is younger than
    --older-than stays, and what a running run needs. MLflow says which run: where it
    (MLFLOW_TRACKING_URI) does not answer, all stays that one might need. Publications,
    rows and models are never touched, nor is anything that is not ours.

    For example:

    python -m pipeline gc s3://seglib/checkpoints

    python -m pipeline gc s3://seglib/checkpoints --older-than 30 --delete
    """
    from pipeline.garbage import Needs, in_cache, in_cluster, in_place
    from pipeline.local.tracker import existing_store
    from seglib.storage.files import cache_folder

    needs = Needs.ask(existing_store(Path("runs")), grace_days=older_than)
    if needs.rows is None:
        echo(f"note: what a run might need stays: {needs.reason}", err=True)
    sources: dict[str, Callable[[], Iterable[Item]]] = {}
    if place:
        sources[place] = lambda: in_place(place, needs)
    else:
        echo(f"note: no place of checkpoints is named ({CHECKPOINTS})", err=True)
    sources["the cache"] = lambda: in_cache(cache_folder(cache), needs)
    sources["ghosts"] = lambda: in_cluster(address.connect())
    found: list[Item] = []
    for name, source in sources.items():
        try:
            found += source()
        except SegError as error:
            echo(f"note: not looked at: {name}: {error}", err=True)
    _show([item for item in found if show_all or not item.needed])
    free = [item for item in found if not item.needed]
    if delete:
        raise typer.Exit(_free(free))
    size = readable(sum(item.size_bytes for item in free))
    stay = f"{len(found) - len(free)} stay{'' if show_all else ' (--all shows them)'}"
    remedy = "; --delete frees them" if free else ""
    echo(f"{len(free)} of {len(found)} are needed by nothing: {size}; {stay}{remedy}")


def _free(items: "list[Item]") -> int:
    """Free them; the exit status is 1 where something could not be freed."""
    size = number = failed = 0
    for item in items:
        try:
            is_free = item.free()
        except (SegError, OSError) as error:
            failed += 1
            echo(f"{item.name}: stays: {error}", err=True)
            continue
        if is_free:
            number, size = number + 1, size + item.size_bytes
        else:
            echo(f"{item.name}: stays: it was used just now")
    echo(f"{number} freed: {readable(size)}")
    return 1 if failed else 0


def _show(items: "list[Item]") -> None:
    from rich.table import Table

    table = Table("kind", "what", "size", "days", "stays because")
    for item in sorted(items, key=lambda one: (one.kind, -one.size_bytes)):
        size = readable(item.size_bytes) if item.size_bytes else ""
        table.add_row(item.kind, item.name, size, f"{item.age_days:.1f}", item.needed)
    if items:
        Terminal().print(table)
