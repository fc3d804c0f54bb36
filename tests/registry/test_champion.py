"""Champions, challengers and rollbacks in a real SQLite registry."""

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from pipeline.__main__ import app
from seglib.registry.champion import ModelVersion, Registry
from seglib.registry.release import Publication, announce
from seglib.storage.pointers import latest
from seglib.storage.publishing import fetch_published, publish
from seglib.tracking.names import dataset_name


@pytest.fixture(scope="module")
def registry(new_store: Callable[[], Any]) -> Registry:
    return Registry(new_store().uri)


@pytest.fixture(scope="module")
def model_id(registry: Registry) -> str:
    created = registry._client.create_logged_model("0", name="model")
    return str(created.model_id)


@pytest.fixture
def enter(registry: Registry, model_id: str, request: pytest.FixtureRequest) -> Any:
    """Registers a version that beat another one."""
    name = request.node.name[:200].replace("[", " ").replace("]", "")

    def enter(beat: int, *, state: str = "waiting") -> ModelVersion:
        tags = {
            "against": beat,
            "state": state,
            "verdict": "promote",
            "model_digest": "d",
        }
        return registry.register(name, model_id=model_id, run_id="", tags=tags)

    enter.model = name  # type: ignore[attr-defined]
    return enter


def aliases(registry: Registry, enter: Any) -> dict[str, int]:
    return registry.numbers(enter.model)


def state(registry: Registry, version: ModelVersion) -> str:
    return registry.get(version.name, version.number).state


def test_an_unknown_model_has_no_champion(registry: Registry) -> None:
    assert registry.champion("nobody") is None
    assert registry.numbers("nobody") == {}


def test_two_datasets_never_share_a_champion(
    registry: Registry, model_id: str, tmp_path: Path
) -> None:
    places = ("улицы", "дороги", "道路", "道", "😀", "😃", "a:b", "a;b", "Été", "été")
    names = [dataset_name({"remote": f"/data/{name}", "root": ""}) for name in places]
    for name in names:
        assert registry.champion(name) is None, "it is the first of its name"
        tags = {"against": 0, "state": "waiting", "model_digest": name}
        version = registry.register(name, model_id=model_id, run_id="", tags=tags)
        registry.promote(version)
    assert [registry.champion(name).digest for name in names] == names  # type: ignore[union-attr]
    assert set(names) <= set(registry.names())
    assert names[0] == "улицы", "it can be read"


def test_a_registered_model_is_described_by_its_champion_unless_a_person_did(
    registry: Registry, enter: Any
) -> None:
    def described() -> str:
        model = registry._client.get_registered_model(enter.model)
        return str(model.description or "")

    first = enter(0)
    registry.describe(first, "mIoU **0.5**")
    assert described() == ""
    registry.promote(first)
    assert described() == "**Champion: version 1**\n\nmIoU **0.5**"
    second = enter(1)
    registry.describe(second, "mIoU **0.6**")
    registry.promote(second)
    assert described() == "**Champion: version 2**\n\nmIoU **0.6**"
    registry.rollback(enter.model)
    assert described() == "**Champion: version 1**\n\nmIoU **0.5**"
    registry._client.update_registered_model(enter.model, "Ask Ada before you use it.")
    registry.promote(enter(1))
    assert registry.numbers(enter.model)["champion"] == 3
    assert described() == "Ask Ada before you use it."


def test_a_version_is_challenger_until_it_is_champion(
    registry: Registry, enter: Any
) -> None:
    first = enter(0)
    assert aliases(registry, enter) == {"challenger": 1}
    assert registry.promote(first) == "version 1 is the champion, the first"
    assert aliases(registry, enter) == {"champion": 1}
    second = enter(1)
    assert aliases(registry, enter) == {"champion": 1, "challenger": 2}
    assert registry.promote(second) == "version 2 is the champion, after version 1"
    assert aliases(registry, enter) == {"champion": 2, "previous": 1}
    assert state(registry, first) == "replaced"
    assert state(registry, second) == "champion"


def test_a_repeated_promotion_changes_nothing(registry: Registry, enter: Any) -> None:
    first = enter(0)
    registry.promote(first)
    registry.promote(registry.get(first.name, 1))
    assert aliases(registry, enter) == {"champion": 1}
    assert state(registry, first) == "champion"
    registry.promote(enter(1))
    again = registry.promote(registry.get(first.name, 1))
    assert again == "version 1 is replaced: by version 2"
    assert aliases(registry, enter) == {"champion": 2, "previous": 1}


def test_the_second_model_that_beats_the_same_champion_is_superseded(
    registry: Registry, enter: Any
) -> None:
    left, right = enter(0), enter(0)
    assert "version 1 beat the same champion before it" in registry.promote(right)
    registry.promote(left)
    assert aliases(registry, enter)["champion"] == 1
    assert state(registry, right) == "superseded"


def test_a_model_that_beat_a_former_champion_is_superseded(
    registry: Registry, enter: Any
) -> None:
    registry.promote(enter(0))
    registry.promote(enter(1))
    late = enter(1)
    assert "the champion is version 2 by now" in registry.promote(late)
    assert aliases(registry, enter)["champion"] == 2


def test_an_abandoned_promotion_blocks_no_other(
    registry: Registry, enter: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    withdrawn, forgotten, third = enter(0), enter(0), enter(0)
    registry.withdraw(withdrawn, "its run failed")
    assert "version 2 beat" in registry.promote(enter(0))
    day_after = time.time() + 24 * 3600
    monkeypatch.setattr("seglib.registry.champion.time.time", lambda: day_after)
    assert "is the champion" in registry.promote(third)
    assert state(registry, forgotten) == "waiting"


def test_rollbacks_restore_one_champion_after_another(
    registry: Registry, enter: Any
) -> None:
    for beat in (0, 1, 2):
        registry.promote(enter(beat))
    gone, back = registry.rollback(enter.model)
    assert (gone.number, back.number) == (3, 2)
    assert aliases(registry, enter) == {"champion": 2, "previous": 1}
    assert state(registry, gone) == "rolled back"
    registry.promote(enter(2))
    assert aliases(registry, enter) == {"champion": 4, "previous": 2}
    registry.rollback(enter.model)
    registry.rollback(enter.model)
    assert aliases(registry, enter) == {"champion": 1}
    with pytest.raises(LookupError, match="its first champion"):
        registry.rollback(enter.model)


def test_a_rollback_without_a_champion_names_the_registered_models(
    registry: Registry, enter: Any
) -> None:
    enter(0)
    with pytest.raises(LookupError, match="has no champion. Registered models: "):
        registry.rollback("nobody")


RACER = """
import sys
from pathlib import Path
from seglib.registry.release import Publication, announce
from seglib.registry.champion import Registry
from seglib.storage.publishing import publish
uri, name, model_id, url = sys.argv[1:]
registry = Registry(uri)
print("ready", flush=True)
for beat in sys.stdin:
    tags = {"against": beat.strip(), "state": "waiting", "model_digest": "d"}
    version = registry.register(name, model_id=model_id, run_id="", tags=tags)
    export = Path(f"{url}-of-{version.number}")
    export.mkdir()
    (export / "served").write_text(f"version {version.number}")
    published = Publication(url, "street", publish(export, url).key)
    registry.tag(version, published.to_tags())
    registry.promote(version)
    announce(registry, version, published)
    print(version.number, flush=True)
"""


def test_of_two_promotions_at_once_exactly_one_wins_and_latest_is_its_export(
    registry: Registry, enter: Any, model_id: str, repository: Path, tmp_path: Path
) -> None:
    registry.promote(enter(0))
    url = str(tmp_path / "published")
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", RACER, registry.uri, enter.model, model_id, url],
            cwd=repository,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    for racer in racers:
        assert racer.stdout.readline() == "ready\n"
    for _ in range(3):
        beat = aliases(registry, enter)["champion"]
        for racer in racers:
            racer.stdin.write(f"{beat}\n")
            racer.stdin.flush()
        numbers = [int(racer.stdout.readline()) for racer in racers]
        states = {n: registry.get(enter.model, n).state for n in numbers}
        assert sorted(states.values()) == ["champion", "superseded"]
        champion = aliases(registry, enter)["champion"]
        assert states[champion] == "champion"
        assert registry.get(enter.model, champion).against == beat
        for number in numbers:
            assert published(registry.get(enter.model, number)), "its files, at least"
        served = fetch_published(url, "street", cache=tmp_path / "cache") / "served"
        assert served.read_text() == f"version {champion}"
    for racer in racers:
        racer.stdin.close()
        assert racer.wait() == 0
        racer.stdout.close()


def published(version: ModelVersion) -> Publication:
    found = Publication.of(version)
    assert found is not None
    return found


def test_latest_follows_a_rollback_and_a_late_promotion(
    registry: Registry, enter: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", registry.uri)
    url = str(tmp_path / "published")
    versions = []
    for beat in (0, 1):
        version = enter(beat)
        (tmp_path / "export").mkdir(exist_ok=True)
        (tmp_path / "export" / "served").write_text(version.title)
        key = publish(tmp_path / "export", url).key
        registry.tag(version, Publication(url, "street", key).to_tags())
        registry.promote(version)
        versions.append(registry.get(version.name, version.number))
    first, second = versions
    assert announce(registry, second, published(second))
    assert latest(url, "street").key == published(second).key
    assert not announce(registry, first, published(first)), "it is champion no longer"
    assert latest(url, "street").key == published(second).key
    done = CliRunner().invoke(app, ["rollback", enter.model])
    assert done.exit_code == 0, done.exception
    key = published(first).key
    assert f"latest of street at {url}: {key}" in done.stdout
    assert latest(url, "street").key == key
    assert not announce(registry, second, published(second))
    assert latest(url, "street").key == published(first).key


def test_publishing_to_an_unwritable_remote_can_be_repeated(
    registry: Registry, enter: Any, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("no folder")
    version = enter(0)
    place = Publication(str(tmp_path / "file"), "street", f"{0:032x}.dir")
    registry.tag(version, place.to_tags())
    registry.promote(version)
    with pytest.raises(ConnectionError, match="file: cannot be created"):
        announce(registry, version, place)


def test_a_rollback_whose_remote_is_away_says_how_to_move_latest_later(
    registry: Registry, enter: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", registry.uri)
    (tmp_path / "file").write_text("no folder")
    for beat in (0, 1):
        version = enter(beat)
        place = Publication(str(tmp_path / "file"), "street", f"{beat:032x}.dir")
        registry.tag(version, place.to_tags())
        registry.promote(version)
    done = CliRunner().invoke(app, ["rollback", enter.model])
    assert "version 1 is the champion again" in done.stdout
    assert f"python -m pipeline publish {enter.model}" in str(done.exception)
    assert aliases(registry, enter)["champion"] == 1
    (tmp_path / "file").unlink()
    done = CliRunner().invoke(app, ["publish", enter.model])
    assert done.exit_code == 0, done.exception
    assert latest(str(tmp_path / "file"), "street").key == f"{0:032x}.dir"
