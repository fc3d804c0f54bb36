"""The model registry: which model serves, and which may take its place.

Every model that reaches the gate becomes a version of one registered model. Three
aliases point to versions: `champion` serves, `previous` served before it, `challenger`
is the newest that is not (or not yet) champion. Tags of a version tell the rest:
`verdict`, `model_digest`, the champion's version at that time (`against`, 0: none) and
its `state`.

MLflow cannot move an alias conditionally, so two promotions at once could both succeed.
But it numbers versions one by one: of all versions that beat the same champion, the
lowest whose promotion is not given up wins.
"""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from seglib.errors import SegError
from seglib.registry.description import describe_champion, is_ours
from seglib.tracking.mlflow_client import as_default, connect

CHAMPION, CHALLENGER, PREVIOUS = "champion", "challenger", "previous"
# States of a version. Only a waiting one can become champion.
HELD, WAITING, SERVING, REPLACED = "held", "waiting", "champion", "replaced"
SUPERSEDED, WITHDRAWN, ROLLED_BACK = "superseded", "withdrawn", "rolled back"
PUBLISHED = "published"  # a version's tag: where its export is
NONE = 0  # in place of a version's number: there is none
_MOST_NAMES = 1000  # MLflow gives no more at once
_ATTEMPTS = 5  # at moving an alias
_GIVEN_UP_S = 6 * 3600  # a promotion that takes longer is given up


@dataclass(frozen=True)
class ModelVersion:
    """A version of a registered model."""

    name: str
    number: int
    model_id: str
    run_id: str  # MLflow's
    created_ms: int
    tags: Mapping[str, str]

    @classmethod
    def of(cls, found: Any) -> Self:
        """From MLflow's own."""
        return cls(
            name=found.name,
            number=int(found.version),
            model_id=str(found.model_id or ""),
            run_id=str(found.run_id or ""),
            created_ms=int(found.creation_timestamp or 0),
            tags=dict(found.tags or {}),
        )

    @property
    def title(self) -> str:
        return f"version {self.number}"

    @property
    def state(self) -> str:
        return self.tags.get("state", "")

    @property
    def against(self) -> int:
        return int(self.tags.get("against") or NONE)

    @property
    def digest(self) -> str:
        return self.tags.get("model_digest", "")

    @property
    def is_in_the_way(self) -> bool:
        """Whether it was promoted, or still may be."""
        waits = self.state == WAITING
        is_fresh = time.time() - self.created_ms / 1000 < _GIVEN_UP_S
        return self.state in (SERVING, REPLACED) or (waits and is_fresh)


class Registry:
    """The registered models of one tracking server."""

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self._client = connect(uri)

    def names(self) -> list[str]:
        """The registered models."""
        found = self._client.search_registered_models(max_results=_MOST_NAMES)
        return sorted(model.name for model in found)

    def numbers(self, name: str) -> dict[str, int]:
        """The version number of each alias; empty for an unknown model."""
        from mlflow.exceptions import MlflowException

        try:
            model = self._client.get_registered_model(name)
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return {}
            raise
        if model.name != name:  # some databases ignore case
            raise SegError(
                f"The registry has a model {model.name!r}, and its database takes "
                f"{name!r} for the same. Set `registered_model` to another name."
            )
        return {alias: int(number) for alias, number in model.aliases.items()}

    def get(self, name: str, number: int) -> ModelVersion:
        return ModelVersion.of(self._client.get_model_version(name, str(number)))

    def champion(self, name: str) -> ModelVersion | None:
        number = self.numbers(name).get(CHAMPION, NONE)
        return self.get(name, number) if number else None

    def versions(self, name: str) -> list[ModelVersion]:
        """All of them, the lowest number first."""
        return sorted(self._search(f"name = '{name}'"), key=lambda v: v.number)

    def download(self, version: ModelVersion, folder: Path) -> Path:
        """Download the model artifact of a version into a folder."""
        from mlflow.artifacts import download_artifacts

        folder.mkdir(parents=True, exist_ok=True)
        with as_default(self.uri):
            place = download_artifacts(
                artifact_uri=f"models:/{version.name}/{version.number}",
                dst_path=str(folder),
            )
        return Path(place)

    def download_export(self, version: ModelVersion, folder: Path) -> Path:
        """Download the export of the run that registered a version into a folder."""
        place = self._client.download_artifacts(version.run_id, "export", str(folder))
        return Path(place)

    def find(self, digest: str) -> ModelVersion | None:
        """The newest version of a model, by its digest, in all registered models."""
        found = self._search(f"tags.model_digest = '{digest}'")
        return max(found, key=lambda v: v.created_ms, default=None)

    def register(
        self, name: str, *, model_id: str, run_id: str, tags: Mapping[str, Any]
    ) -> ModelVersion:
        """Add a version, and point the alias `challenger` to it.

        Args:
            tags: with `state` and `against`, which exist as soon as the version does.
        """
        from mlflow.exceptions import MlflowException

        try:
            self._client.create_registered_model(name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        with as_default(self.uri):
            created = self._client.create_model_version(
                name,
                source=f"models:/{model_id}",
                run_id=run_id,
                model_id=model_id,
                tags={key: str(value) for key, value in tags.items()},
            )
        version = ModelVersion.of(created)
        self._lead(name, CHALLENGER, version.number)
        return version

    def promote(self, version: ModelVersion) -> str:
        """Make a waiting version the champion, if it still may.

        Returns:
            What became of it, for people; it is the champion if its state says so.
        """
        current = self.numbers(version.name).get(CHAMPION, NONE)
        if current == version.number:
            if version.state != SERVING:  # its promotion was interrupted
                self._settle(version, SERVING, "")
            return f"{version.title} is the champion"
        if version.state != WAITING:
            return _told(version, version.state, version.tags.get("state_reason", ""))
        if current != version.against:
            now = f"version {current}" if current else "none"
            before = f"version {version.against}" if version.against else "no champion"
            text = f"it beat {before}, but the champion is {now} by now"
            return self._settle(version, SUPERSEDED, text)
        for other in self.versions(version.name):
            if other.number >= version.number:
                break
            if other.against == version.against and other.is_in_the_way:
                text = f"{other.title} beat the same champion before it"
                return self._settle(version, SUPERSEDED, text)
        return self._crown(version, current)

    def tag(self, version: ModelVersion, tags: Mapping[str, str]) -> None:
        """Set tags of a version, one after another."""
        for key, value in tags.items():
            self._client.set_model_version_tag(
                version.name, str(version.number), key, value
            )

    def withdraw(self, version: ModelVersion, reason: str) -> None:
        """Give up a version's promotion, so that it blocks no other."""
        self._settle(version, WITHDRAWN, reason)

    def rollback(self, name: str) -> tuple[ModelVersion, ModelVersion]:
        """Make the previous champion the champion again.

        Returns:
            The version that is champion no longer, and the one that is now.

        Raises:
            LookupError: there is no champion, or none before it.
        """
        champion = self.champion(name)
        if champion is None:
            known = ", ".join(self.names()) or "none"
            raise LookupError(f"{name!r} has no champion. Registered models: {known}.")
        if not champion.against:
            raise LookupError(
                f"{champion.title} of {name!r} is its first champion: there is none to "
                "go back to."
            )
        before = self.get(name, champion.against)
        self._lead(name, CHAMPION, before.number)
        self._lead(name, PREVIOUS, before.against)
        self._describe_champion(before)
        when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        self._settle(champion, ROLLED_BACK, when)
        self._settle(before, SERVING, f"again since {when}")
        return champion, before

    def describe(self, version: ModelVersion, text: str) -> None:
        """Set a version's description, Markdown."""
        self._client.update_model_version(version.name, str(version.number), text)

    def _describe_champion(self, version: ModelVersion) -> None:
        """Describe a registered model by its champion, unless a person did."""
        model = self._client.get_registered_model(version.name)
        if is_ours(model.description or ""):
            found = self._client.get_model_version(version.name, str(version.number))
            text = describe_champion(version.title, found.description or "")
            self._client.update_registered_model(version.name, text)

    def _search(self, condition: str) -> Iterator[ModelVersion]:
        token = None
        while True:
            page = self._client.search_model_versions(
                condition, max_results=200, page_token=token
            )
            yield from map(ModelVersion.of, page)
            token = page.token
            if not token:
                return

    def _crown(self, version: ModelVersion, current: int) -> str:
        name = version.name
        if current:
            self._lead(name, PREVIOUS, current)
        self._lead(name, CHAMPION, version.number)
        if self.numbers(name).get(CHALLENGER) == version.number:
            self._lead(name, CHALLENGER, NONE)
        self._describe_champion(version)
        if current:
            self._settle(self.get(name, current), REPLACED, f"by {version.title}")
        after = f", after version {current}" if current else ", the first"
        self._settle(version, SERVING, "")
        return f"{version.title} is the champion{after}"

    def _lead(self, name: str, alias: str, number: int) -> None:
        """Point an alias to a version, or remove it.

        Repeated, because two moves at the same moment fail in the database.
        """
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                if number:
                    self._client.set_registered_model_alias(name, alias, str(number))
                else:
                    self._client.delete_registered_model_alias(name, alias)
            except Exception:
                if attempt == _ATTEMPTS:
                    raise
                time.sleep(0.1 * attempt)
            else:
                return

    def _settle(self, version: ModelVersion, state: str, reason: str) -> str:
        self.tag(version, {"state_reason": reason, "state": state})
        return _told(version, state, reason)


def _told(version: ModelVersion, state: str, reason: str) -> str:
    return f"{version.title} is {state}: {reason}" if reason else state
