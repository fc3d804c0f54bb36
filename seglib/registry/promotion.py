"""The registry around the gate: the champion before it, the promotion after it.

The gate calls `standing` for the champion. What it decided reaches the registry by the
events of the run, in their order, like all that MLflow learns.
"""

import functools
import json
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from seglib.data.manifest import MANIFEST
from seglib.registry.champion import (
    HELD,
    NONE,
    PUBLISHED,
    ROLLED_BACK,
    SERVING,
    WAITING,
    ModelVersion,
    Registry,
)
from seglib.registry.description import describe_model
from seglib.registry.lineage import LINEAGE
from seglib.runtime.events import Event
from seglib.steps.gate import Champion
from seglib.storage.files import file_sha256, model_digest
from seglib.tracking.mlflow_address import tracking_uri
from seglib.tracking.mlflow_client import explained, health_check
from seglib.tracking.names import dataset_name
from seglib.tracking.run_end import FINISHED, status_of
from seglib.tracking.tracked_run import TrackedRun

_Found = tuple[Registry, ModelVersion | None, list[ModelVersion]]
_ATTEMPTS = 3  # to ask the registry, after 0, 1 and 2 s
_LONGEST_WAIT_S = 120  # for its answer; on a busy machine MLflow's import takes half


@dataclass(frozen=True)
class Standing:
    """Where a model stands before the gate."""

    champion: Champion | None = None
    barred: str = ""
    entry: Mapping[str, Any] = field(default_factory=dict)  # for the registry


def standing(name: str, paths: Mapping[str, Path], *, folder: Path) -> Standing:
    """Look up the champion, and what the registry knows of the model.

    Args:
        name: of the registered model; empty: the dataset's name.
        paths: folders of `manifest` and `model`.
        folder: for the champion's artifact, which is downloaded on demand.
    """
    uri = tracking_uri()
    if not uri:
        return Standing()
    facts = json.loads((paths["manifest"] / MANIFEST).read_text(encoding="utf-8"))
    name = name or dataset_name(facts)
    digest = model_digest(paths["model"])
    looked = _look_up(uri, name)
    if isinstance(looked, str):
        problem = f"the champion is not known. {looked} Then run again"
        return Standing(Champion("unknown", problem=problem))
    registry, champion, versions = looked
    against = champion.number if champion else NONE
    entry = {"name": name, "digest": digest, "against": against}
    if champion is None:
        return Standing(entry=entry)
    rival = Champion(
        champion.title,
        digest=champion.digest,
        fetch=functools.partial(registry.download, champion, folder),
    )
    return Standing(rival, _barred(versions, digest, champion), entry)


def _look_up(uri: str, name: str) -> _Found | str:
    """The registry, its champion and all versions; or why they are not known.

    In a thread that is abandoned after a while: MLflow waits for its whole timeout
    several times, and a silent server must not hold up a run.
    """
    found: list[_Found | str] = []

    def ask() -> None:
        for attempt in range(_ATTEMPTS):
            time.sleep(attempt)
            try:
                health_check(uri)
                registry = Registry(uri)
                champion = registry.champion(name)
                versions = registry.versions(name) if champion else []
            except Exception as error:  # noqa: BLE001 (a store's own kinds)
                why = explained(error, uri)
            else:
                found.append((registry, champion, versions))
                return
        found.append(why)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(_LONGEST_WAIT_S)
    return found[0] if found else explained(TimeoutError(), uri)


def record_contender(run: TrackedRun, event: Event) -> None:
    """Register the model as a version; applied twice, it is registered once."""
    entry = event.get("registry")
    if not entry:
        return
    registry = Registry(run.uri)
    version = _known(registry, entry, event) or registry.register(
        entry["name"],
        model_id=run.model_id or "",
        run_id=run.id,
        tags={
            "model_digest": entry["digest"],
            "against": entry["against"],
            "verdict": event["verdict"],
            "state": WAITING if event["verdict"] == "promote" else HELD,
            "state_reason": event["reasons"],
            "kfp.run_id": run.name,
            **entry.get("tags", {}),
        },
    )
    place = f"{version.name}/{version.number}"
    run.log(tags={"registered_model": place})
    if version.tags.get("kfp.run_id") == run.name:
        registry.describe(version, describe_model(event))


def record_promotion(run: TrackedRun, event: Event) -> None:
    """Make the exported model the champion, if it still may become that."""
    version = registered(run)
    if version is None:
        return
    registry = Registry(run.uri)
    if version.state == WAITING:
        lineage = Path(event["export"]) / LINEAGE
        registry.tag(version, {"lineage_sha256": file_sha256(lineage)})
    if published := event.get("publication"):  # a rollback finds it there
        registry.tag(version, {PUBLISHED: json.dumps(published)})
    run.promotion = f"{version.name}: {registry.promote(version)}"
    run.log(tags={"promotion": run.promotion})


def record_withdrawal(run: TrackedRun, event: Event) -> None:
    """Withdraw the model of a run that failed after its gate."""
    status = status_of(event, run.tags())
    if status == FINISHED:
        return
    version = registered(run)
    is_own = version and version.tags.get("kfp.run_id") == run.name
    if version and is_own and version.state == WAITING:
        Registry(run.uri).withdraw(version, f"its run ended {status}")


def registered(run: TrackedRun) -> ModelVersion | None:
    """The version that a run's model is; None if no gate has registered it."""
    name, _, number = run.tags().get("registered_model", "").rpartition("/")
    return Registry(run.uri).get(name, int(number)) if name else None


def _barred(versions: list[ModelVersion], digest: str, champion: ModelVersion) -> str:
    for version in versions:
        same = version.digest == digest and version.number != champion.number
        if same and version.state == ROLLED_BACK:
            return (
                f"this model was {version.title} and was rolled back at "
                f"{version.tags.get('state_reason', '?')}. To let it in again, delete "
                f"that version in the registry"
            )
    return ""


def _known(
    registry: Registry, entry: Mapping[str, Any], event: Event
) -> ModelVersion | None:
    """The version that this model is already."""
    same = [v for v in registry.versions(entry["name"]) if v.digest == entry["digest"]]
    wanted = WAITING if event["verdict"] == "promote" else HELD
    for version in same:
        is_retry = version.tags.get("kfp.run_id") == event["run"]
        is_retry |= version.state == wanted and version.against == entry["against"]
        if version.state == SERVING or is_retry:
            return version
    return None
