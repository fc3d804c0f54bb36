"""`seglib data`: the pinned dataset, its remote, and what is here of it."""

import json
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from seglib.console import console, transfer_bar
from seglib.errors import SegError, UsageError

app = typer.Typer(
    help="The dataset that data.dvc pins: fetch, compare versions, check the remote.",
    no_args_is_help=True,
)

Pin = Annotated[
    Path, typer.Option("--pin", help="DVC's pin; its repository names the remote.")
]
Remote = Annotated[
    str | None,
    typer.Option(help="s3://bucket/prefix or a folder. Default: DVC's default remote."),
]
Revision = Annotated[
    str | None,
    typer.Argument(help="Git revision, or `<md5>.dir`. Default: the pin as it is."),
]
PIN = Path("data.dvc")


@app.command()
def fetch(
    revision: Revision = None,
    pin: Pin = PIN,
    remote: Remote = None,
) -> None:
    """Bring a version of the dataset here, every md5 checked.

    Needs neither DVC nor, without a revision, git. What is here already is not moved
    again; after an interruption, the same command goes on where it was.
    """
    from seglib.store import fetch as run

    data_md5 = _version(revision, pin)
    with transfer_bar("fetching") as bar:
        root = run(data_md5, _remote(remote, pin), progress=bar.files, moved=bar.moved)
    console.print(f"{data_md5}: {root}", soft_wrap=True)


@app.command()
def status(pin: Pin = PIN, remote: Remote = None) -> None:
    """Say whether folder, pin and remote agree. Exits with 1 where they do not."""
    from seglib.store import hash_folder, read_pin

    data_md5, folder = read_pin(pin), pin.with_suffix("")
    say = partial(console.print, soft_wrap=True)
    say(f"pin     {data_md5}  {pin}")
    differs = False
    if folder.is_dir():
        received = hash_folder(folder)
        differs = received != data_md5
        verdict = "differs: `dvc add` pins it anew" if differs else "as pinned"
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
    form: Annotated[
        str, typer.Option("--format", help="text, json or markdown.")
    ] = "text",
) -> None:
    """Compare two versions of the dataset without downloading them."""
    from seglib.store import diff as compare
    from seglib.store import manifest_entries, with_sizes
    from seglib.store.diffing import to_markdown, to_text

    forms = {
        "text": to_text,
        "markdown": to_markdown,
        "json": lambda found: json.dumps(found.to_json(), indent=2),
    }
    if form not in forms:
        raise UsageError(f"Unknown --format: {form}. Expected: {', '.join(forms)}.")
    source = _remote(remote, pin)
    versions = [_version(old, pin), _version(new, pin)]
    before, after = (set(manifest_entries(md5, source)) for md5 in versions)
    # Only of what differs is the size asked for.
    shared = before & after
    sized = [shared | set(with_sizes(one - shared, source)) for one in (before, after)]
    found = compare(versions[0], sized[0], versions[1], sized[1])
    typer.echo(forms[form](found).rstrip())  # plain: for files and other programs


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


def _missing(data_md5: str, remote: str) -> list[str]:
    """Paths of the files whose object is not on the remote; the listing's first."""
    from seglib.store import missing_files

    return missing_files(data_md5, remote)


def _version(revision: str | None, pin: Path) -> str:
    from seglib.store import pin_at, read_pin

    return pin_at(revision, pin) if revision else read_pin(pin)


def _remote(remote: str | None, pin: Path) -> str:
    from seglib.store import default_remote

    return remote or default_remote(pin.resolve().parent)
