"""`seglib publish`, `fetch` and `follow`: publications on a remote."""

import shutil
import signal
import threading
from pathlib import Path
from typing import Annotated

import typer
from rich.filesize import decimal

from seglib.cli import options as opt
from seglib.cli.console import check_out
from seglib.cli.progress import transfer_bar
from seglib.cli.terminal import console, errors
from seglib.errors import SegError
from seglib.storage.atomic_write import folder_beside

Place = Annotated[str, typer.Argument(help="s3://bucket/prefix or a folder.")]


def publish(
    folder: Annotated[Path, typer.Argument(help="What to publish, such as an export.")],
    url: Place,
    name: Annotated[
        str, opt.option("Whose `latest` to move there. Default: nobody's.")
    ] = "",
) -> None:
    """Store a folder on a remote under the hash of its content.

    Files that are there are not sent again; after an interruption, the same command
    continues.
    """
    from seglib.storage.publishing import publish as run

    with transfer_bar("publishing") as bar:
        published = run(folder, url, name=name, progress=bar.files, moved=bar.moved)
    console.print(
        f"{published.key}: {published.num_files:,} files at {url}; sent "
        f"{published.sent_files:,}, {decimal(published.sent_bytes)}",
        soft_wrap=True,
    )
    if published.latest and published.latest.key == published.key:
        console.print(f"latest of {name}: this one")
    elif published.latest:
        console.print(
            f"latest of {name}: {published.latest.key}, published later, at "
            f"{published.latest.time}",
            soft_wrap=True,
        )


def fetch(
    url: Place,
    name: Annotated[
        str, typer.Argument(help="A published name, or the key of one publication.")
    ],
    out: Annotated[
        Path | None,
        opt.option("New folder for a copy. Default: stays in the cache."),
    ] = None,
) -> None:
    """Fetch a publication of `seglib publish`; every md5 is checked."""
    from seglib.storage.publishing import fetch_published

    if out:
        check_out(out)
    with transfer_bar("fetching") as bar:
        root = fetch_published(url, name, progress=bar.files, moved=bar.moved)
    if out:
        _copy(root, out)
    console.print(f"{root.name}.dir: {out or root}", soft_wrap=True)


def follow(
    url: Place,
    name: Annotated[str, typer.Argument(help="A published name.")],
    folder: Annotated[
        Path, typer.Argument(help="Of the versions, such as /models/champion.")
    ],
    every: Annotated[
        float,
        opt.option("Seconds between looks. 0: look once, and end.", min=0),
    ] = 60.0,
    keep: Annotated[int, opt.option("Versions that stay.", min=1)] = 2,
    part: Annotated[
        str, opt.option("The folder of a publication that is served.")
    ] = "saved_model",
) -> None:
    """Keep a model server's folder at the newest publication of a name.

    TensorFlow Serving watches FOLDER and loads VERSION/saved_model.pb with the highest
    VERSION: the time of publication. If the remote is unreachable or nothing is
    published under the name, the command says so and retries.
    """
    from seglib.storage.publishing import follow as look

    stop = threading.Event()
    # The first process of a container gets no other end from SIGTERM.
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    while not stop.is_set():
        try:
            version = look(url, name, folder, part=part, keep=keep)
        except SegError as error:
            if not every:
                raise
            errors.print(str(error), soft_wrap=True)
        else:
            if version or not every:
                console.print(str(version or "nothing new"), soft_wrap=True)
        if not every:
            return
        stop.wait(every)


def _copy(root: Path, out: Path) -> None:
    """Copy a folder atomically."""
    try:
        with folder_beside(out) as beside:
            shutil.copytree(root, beside, dirs_exist_ok=True)
            beside.rename(out)
    except (OSError, shutil.Error) as error:
        raise SegError(f"{out}: cannot be written ({error}).") from error
