"""`seglib data`: the pinned dataset, its remote, and its local files."""

import json
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from seglib.cli import options as opt
from seglib.cli.help import App
from seglib.cli.progress import transfer_bar
from seglib.cli.terminal import console, echo
from seglib.errors import DatasetError, SegError, UsageError

app = App(
    help="The dataset that data.dvc pins: fetch, compare versions, check the remote."
)

Pin = Annotated[
    Path, opt.option("DVC's pin; its repository names the remote.", "--pin")
]
Remote = Annotated[
    str | None,
    opt.option("s3://bucket/prefix or a folder. Default: DVC's default remote."),
]
Revision = Annotated[
    str | None,
    typer.Argument(help="Git revision, or `<md5>.dir`. Default: the pin as it is."),
]
PIN = Path("data.dvc")
_FORMS = ("text", "json", "markdown")
_NOTES = 20  # that are shown


@app.command()
def fetch(
    revision: Revision = None,
    pin: Pin = PIN,
    remote: Remote = None,
) -> None:
    """Fetch a version of the dataset; every md5 is checked.

    Needs neither DVC nor, without a revision, git. Cached files are not transferred
    again; after an interruption, the same command continues.
    """
    from seglib.storage.fetching import fetch as run

    data_md5 = _version(revision, pin)
    with transfer_bar("fetching") as bar:
        root = run(data_md5, _remote(remote, pin), progress=bar.files, moved=bar.moved)
    console.print(f"{data_md5}: {root}", soft_wrap=True)


@app.command()
def status(pin: Pin = PIN, remote: Remote = None) -> None:
    """Say whether folder, pin and remote agree. Exits with 1 where they do not."""
    from seglib.storage.hashes import hash_folder, links_left_out
    from seglib.storage.pins import load_pin

    pinned = load_pin(pin)
    data_md5, folder = pinned.md5, pinned.folder
    say = partial(console.print, soft_wrap=True)
    say(f"pin     {data_md5}  {pin}")
    differs = False
    if folder.is_dir():
        received = hash_folder(folder, dvcignore=True, is_legacy=pinned.is_legacy)
        differs = received != data_md5
        verdict = "differs: `dvc add` pins it anew" if differs else "as pinned"
        if differs and (note := links_left_out(folder)):
            verdict = f"differs: {note}"
        say(f"folder  {received}  {folder}/  {verdict}")
    else:
        say(f"folder  {folder}/ is not here: `seglib data fetch`")
    missing = _missing(data_md5, _remote(remote, pin))
    verdict = f"{len(missing):,} objects missing: `dvc push`" if missing else "complete"
    say(f"remote  {_remote(remote, pin)}  {verdict}")
    if differs or missing:
        raise typer.Exit(1)


@app.command()
def diff(
    old: Annotated[str, typer.Argument(help="Git revision, or `<md5>.dir`.")],
    new: Revision = None,
    pin: Pin = PIN,
    remote: Remote = None,
    form: Annotated[str, opt.option("text, json or markdown.", "--format")] = "text",
    count: Annotated[
        bool, opt.option("Fetch and count masks without counts.", "--count")
    ] = False,
    config: opt.ConfigFile = None,
) -> None:
    """Compare two versions of the dataset without downloading them.

    Samples, bytes, and the share of each class in the pixels of each split, if the
    masks of both are counted: by the pipeline's verify step or `seglib data count`.
    """
    from seglib.config import Config
    from seglib.data.versions import compare_versions, to_markdown

    if form not in _FORMS:
        raise UsageError(f"Unknown --format: {form}. Expected: {', '.join(_FORMS)}.")
    with transfer_bar("counting") as bar:
        found = compare_versions(
            _version(old, pin),
            _version(new, pin),
            _remote(remote, pin),
            count=count,
            config=Config.load(config).data,
            progress=bar.files,
        )
    if form == "text":
        _print(found)
    elif form == "json":  # plain, as Markdown is: for files and other programs
        typer.echo(json.dumps(found.to_json(), indent=2))
    else:
        echo(to_markdown(found).rstrip())


@app.command()
def count(
    revision: Revision = None,
    pin: Pin = PIN,
    remote: Remote = None,
    push: Annotated[
        bool, opt.option("Store the counts beside the data on the remote.")
    ] = True,
) -> None:
    """Count the pixels of each class in a version's masks, for `seglib data diff`.

    Fetches the masks without counts on the remote, and nothing else.
    """
    from seglib.data.versions import count_version

    data_md5, source = _version(revision, pin), _remote(remote, pin)
    with transfer_bar("counting") as bar:
        done = count_version(data_md5, source, push=push, progress=bar.files)
    console.print(
        f"{data_md5}: {done.known:,} of {done.masks:,} masks counted, "
        f"{done.counted:,} just now",
        soft_wrap=True,
    )
    if done.written:
        console.print(f"stored in {done.place}", soft_wrap=True)
    if done.problems:
        raise DatasetError(
            f"{data_md5}: {len(done.problems):,} mask(s) cannot be counted.",
            done.problems,
        )


@app.command("push-check")
def push_check(
    revision: Revision = None,
    pin: Pin = PIN,
    remote: Remote = None,
) -> None:
    """List the objects that the remote lacks. Exits with 1 if there are any."""
    data_md5, source = _version(revision, pin), _remote(remote, pin)
    missing = _missing(data_md5, source)
    if missing:
        raise SegError(
            f"{source}: {len(missing):,} objects of {data_md5} are missing. `dvc push` "
            "from a machine that has the data brings them:\n" + "\n".join(missing)
        )
    console.print(f"{source}: all objects of {data_md5} are there", soft_wrap=True)


def _print(found: Any) -> None:
    from rich.table import Table

    from seglib.data.versions import to_text
    from seglib.data.versions.rendering import HEAD, summary, tables

    say = partial(console.print, soft_wrap=True)
    say(to_text(found.samples))
    if not found.classes:
        return
    say(f"  {summary(found.classes)}")
    for told in tables(found.classes):
        if not told.rows:
            say(f"\n{told.title}: {told.rest}")
            continue
        table = Table(HEAD[0], title=told.title, title_justify="left")
        for name in HEAD[1:]:
            table.add_column(name, justify="right")
        for cells in told.rows:
            table.add_row(*cells)
        say("")
        console.print(table)
        if told.rest:
            say(told.rest)
    for note in found.classes.notes[:_NOTES]:
        say(f"note: {note}")
    if len(found.classes.notes) > _NOTES:
        say(f"… and {len(found.classes.notes) - _NOTES:,} more")


def _missing(data_md5: str, remote: str) -> list[str]:
    """Paths of the files whose object is not on the remote; the listing's first."""
    from seglib.storage.listings import missing_files

    return missing_files(data_md5, remote)


def _version(revision: str | None, pin: Path) -> str:
    from seglib.storage.pins import pin_at, read_pin

    return pin_at(revision, pin) if revision else read_pin(pin)


def _remote(remote: str | None, pin: Path) -> str:
    from seglib.storage.pins import default_remote

    return remote or default_remote(pin)
