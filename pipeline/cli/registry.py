"""The commands on the model registry: `rollback`, `publish` and `verify-lineage`."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from pipeline.cli.options import Runs, optional
from pipeline.cli.tracking import existing_store
from seglib.cli.help import App
from seglib.cli.options import option
from seglib.cli.terminal import Terminal, echo
from seglib.errors import SegError, UsageError
from seglib.plain_text import visible

app = App()

Model = Annotated[
    str, typer.Argument(help="The registered model. Default: the only one.")
]


@app.command()
def rollback(
    model: Model = "",
    runs: Runs = Path("runs"),
) -> None:
    """Make the previous champion the champion again.

    Whoever serves models:/NAME@champion gets it at the next load. The model that was
    rolled back is not promoted again by itself. Where its export was published,
    `latest` is led back to the champion's, too.

    For example: python -m pipeline rollback streets
    """
    from seglib.registry.release import Publication

    with _registry(runs) as registry:
        name = _name(registry, model)
        with _one_line():
            gone, back = registry.rollback(name)
        said = f"{name}: {back.title} is the champion again, in place of {gone.title}"
        echo(said)
        if there := Publication.of(gone):
            _follow(registry, name, there.url, there.name)


@app.command()
def publish(
    model: Model = "",
    to: Annotated[
        str, optional("s3://bucket/prefix or a folder. Default: where it is published.")
    ] = "",
    name: Annotated[
        str, optional("Whose `latest` there. Default: as before, else model.")
    ] = "",
    runs: Runs = Path("runs"),
) -> None:
    """Publish the champion's export, and lead `latest` to it.

    Runs do so by themselves, with `publish_to`, and so does rollback; this is for a
    place that did not answer then, or for another one.

    For example: python -m pipeline publish streets --to s3://bucket/models
    """
    from seglib.registry.release import absolute, place_of

    with _registry(runs) as registry:
        registered = _name(registry, model)
        known = place_of(registry, registered)
        url = to or (known.url if known else "")
        if not url:
            raise UsageError(
                f"No version of {registered!r} is published yet. Expected --to, such "
                f"as --to s3://bucket/models."
            )
        name = name or (known.name if known else "model")
        _follow(registry, registered, absolute(url), name)


@app.command()
def verify_lineage(
    what: Annotated[
        str,
        typer.Argument(
            help="An export's folder, or a registered model: NAME, NAME@ALIAS or "
            "NAME/VERSION. Default: the champion of the only registered model."
        ),
    ] = "",
    masks: Annotated[bool, option("Fetch and hash every mask, too.")] = False,
    runs: Runs = Path("runs"),
) -> None:
    """Follow a served model back to the masks, and check every claim on the way.

    Exported files by their SHA-256, the registered model, the runs that trained and
    evaluated it, and the masks in the dataset's DVC listing, which verifies itself.
    The exit status is 1 if one of them does not hold.

    For example: python -m pipeline verify-lineage runs/latest/export
    """
    from rich.text import Text

    findings = []
    console = Terminal()
    for finding in _findings(what, runs, masks=masks):
        findings.append(finding)
        mark = ("✓", "green") if finding.holds else ("✗", "bold red")
        told = f" {finding.claim:<22} {visible(finding.detail)}"
        console.print(Text.assemble(mark, told), soft_wrap=True)
    wrong = [finding.claim for finding in findings if not finding.holds]
    if wrong:
        raise SegError(f"The lineage does not hold: {', '.join(wrong)}.")
    console.print(f"The lineage holds: {len(findings)} claims checked.")


def _follow(registry: Any, model: str, url: str, name: str) -> None:
    """Lead `latest` of a place to the champion."""
    from seglib.registry.release import follow_champion

    with _one_line(
        f"`latest` of {name} at {url} may not be the champion's export. Once that is "
        f"solved: python -m pipeline publish {model}"
    ):
        published = follow_champion(registry, model, url, name)
    echo(f"latest of {name} at {url}: {published.key}")


@contextmanager
def _one_line(remedy: str = "") -> Iterator[None]:
    """What the registry or a remote says becomes an error that a person reads."""
    try:
        yield
    except (LookupError, SegError) as error:
        raise SegError(f"{error} {remedy}".strip()) from error


def _findings(what: str, runs: Path, *, masks: bool) -> Iterator[Any]:
    from seglib.registry.lineage import (
        check_data,
        check_export,
        check_lineage_file,
        check_runs,
        check_version,
        read_lineage,
    )
    from seglib.tracking.queries import TrackedRuns

    with _registry(runs) as registry, tempfile.TemporaryDirectory() as place:
        folder = Path(what)
        if what and folder.is_dir():
            lineage = read_lineage(folder)
            version = registry.find(lineage["model"]["digest"])
        else:
            version = _version(registry, what)
            folder = registry.download_export(version, Path(place))
            lineage = read_lineage(folder)
            yield check_lineage_file(folder, version)
        yield from check_export(lineage, folder)
        if version:
            yield check_version(lineage, version, registry)
        yield from check_runs(lineage, TrackedRuns(registry.uri))
        yield from check_data(lineage, masks=masks)


def _version(registry: Any, what: str) -> Any:
    name, at, alias = what.partition("@")
    name, slash, number = name.partition("/") if not at else (name, "", "")
    name = _name(registry, name)
    numbers = registry.numbers(name)
    if slash and number.isdigit():
        return registry.get(name, int(number))
    alias = alias or "champion"
    if alias not in numbers:
        known = ", ".join(f"{a} (version {n})" for a, n in numbers.items()) or "none"
        raise SegError(f"{name!r} has no {alias}. Its aliases: {known}.")
    return registry.get(name, numbers[alias])


def _name(registry: Any, name: str) -> str:
    names = registry.names()
    if name in names:
        return name
    if not name and len(names) == 1:
        return str(names[0])
    known = ", ".join(names) or "none yet"
    wrong = f"No registered model {name!r}" if name else "Name a registered model"
    raise UsageError(f"{wrong} in {registry.uri}. There are: {known}.")


@contextmanager
def _registry(runs: Path) -> Iterator[Any]:
    from seglib.registry.champion import Registry

    with existing_store(runs) as uri:
        yield Registry(uri)
