"""Exports on a remote, where `latest` is the champion's.

First the files of an export are published under the hash of their content, which moves
no pointer. Then the registry decides. Last `latest` is moved to the champion's export,
by a promotion, a rollback or by hand. Each of them checks the champion again after its
move, so that the last one leaves `latest` where the registry says.
"""

import json
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from seglib.errors import SegError
from seglib.registry.champion import PUBLISHED, ModelVersion, Registry
from seglib.registry.promotion import registered
from seglib.runtime.events import Event
from seglib.storage.pointers import set_latest
from seglib.storage.publishing import publish
from seglib.tracking.mlflow_address import tracking_uri
from seglib.tracking.tracked_run import TrackedRun

_ATTEMPTS = 5  # at moving `latest` while the champion changes


@dataclass(frozen=True)
class Publication:
    """Where an export is published."""

    url: str  # of the remote
    name: str  # whose `latest` there is the champion's export
    key: str  # of the export's content

    @classmethod
    def of(cls, version: ModelVersion) -> Self | None:
        """That of a version; None if it was not published."""
        tag = version.tags.get(PUBLISHED)
        return cls(**json.loads(tag)) if tag else None

    def to_tags(self) -> dict[str, str]:
        return {PUBLISHED: json.dumps(asdict(self))}


def publish_export(export: Path, url: str, name: str) -> Publication:
    """Publish the files of an export; without a registry it is `latest` at once.

    Raises:
        SegError: the remote cannot be written to.
    """
    url = absolute(url)
    key = publish(export, url, name="" if tracking_uri() else name).key
    return Publication(url, name, key)


def absolute(url: str) -> str:
    """A place with an absolute path; an address stays as it is."""
    return url if "://" in url else str(Path(url).expanduser().resolve())


def record_publication(run: TrackedRun, event: Event) -> None:
    """Move `latest` to the exported model if it is the champion now."""
    if not event.get("publication"):
        return
    published = Publication(**event["publication"])
    version = registered(run)
    is_latest = version is not None and announce(Registry(run.uri), version, published)
    where = f"{published.name} at {published.url}"
    moved = f"latest of {where}" if is_latest else f"{where}, whose latest stays"
    run.publication = f"{published.key}, {moved}"
    run.log(tags={"publication": run.publication})


def announce(registry: Registry, version: ModelVersion, published: Publication) -> bool:
    """Move `latest` to a version's export if the version is champion; gives whether.

    Raises:
        ConnectionError: the remote cannot be written to; it may be tried again.
    """
    champion = registry.champion(version.name)
    if champion is None or champion.number != version.number:
        return False
    try:
        follow_champion(registry, version.name, published.url, published.name)
    except SegError as error:
        raise ConnectionError(str(error)) from error
    return True


def follow_champion(registry: Registry, model: str, url: str, name: str) -> Publication:
    """Move `latest` of a name to the champion's export.

    If the champion was not published here, its export is taken from its run and
    published.

    Raises:
        LookupError: there is no champion.
        SegError: the remote cannot be written to, or champions change too often.
    """
    for _ in range(_ATTEMPTS):
        champion = registry.champion(model)
        if champion is None:
            raise LookupError(f"{model!r} has no champion.")
        published = _at(registry, champion, url, name)
        set_latest(url, name, published.key)
        now = registry.champion(model)
        if now and now.number == champion.number and Publication.of(now) == published:
            return published
    raise SegError(f"The champion of {model!r} changed {_ATTEMPTS} times in a run.")


def place_of(registry: Registry, model: str) -> Publication | None:
    """The newest publication of a model's versions; None if there is none."""
    found = map(Publication.of, reversed(registry.versions(model)))
    return next(filter(None, found), None)


def _at(registry: Registry, version: ModelVersion, url: str, name: str) -> Publication:
    """The publication of a version in a certain place."""
    known = Publication.of(version)
    if known and (known.url, known.name) == (url, name):
        return known
    if known and known.url == url:
        key = known.key
    else:
        with tempfile.TemporaryDirectory() as folder:
            export = registry.download_export(version, Path(folder))
            key = publish(export, url).key
    published = Publication(url, name, key)
    registry.tag(version, published.to_tags())
    return published
