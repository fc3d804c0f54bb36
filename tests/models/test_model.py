"""Model artifacts that are damaged, or whose contract is that of another network."""

import json
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import pytest

from seglib.errors import SegError
from seglib.models import build_custom, build_model
from seglib.models.contract import CONTRACT, NETWORK, Contract
from seglib.models.model import load_model

Members = dict[str, bytes]
CONFIG, WEIGHTS = "config.json", "model.weights.h5"


def _network(classes: int = 3, channels: int = 3) -> Any:
    image = keras.Input((32, 48, channels))
    logits = keras.layers.Conv2D(classes, 1, name="head")(image)
    return build_custom(image, logits)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _network().save(tmp_path_factory.mktemp("whole") / "model")


@pytest.fixture
def artifact(whole: Path, tmp_path: Path) -> Path:
    """A copy to be damaged."""
    for name in (NETWORK, CONTRACT):
        (tmp_path / name).write_bytes((whole / name).read_bytes())
    return tmp_path


def _damaged(artifact: Path, change: Callable[[Members], Any]) -> None:
    with zipfile.ZipFile(artifact / NETWORK) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    change(members)
    with zipfile.ZipFile(artifact / NETWORK, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def _layer(members: Members) -> None:
    layer = keras.saving.serialize_keras_object(keras.layers.Dense(2))
    members[CONFIG] = json.dumps(layer).encode()


def _subclass(members: Members) -> None:
    model = {"class_name": "Functional", "config": {"layers": [], "name": "x"}}
    members[CONFIG] = json.dumps(model).encode()


def _without_a_layer(members: Members) -> None:
    network = json.loads(members[CONFIG])
    del network["config"]["layers"][1]
    members[CONFIG] = json.dumps(network).encode()


def _other_weights(members: Members) -> None:
    weights = members[WEIGHTS]
    members[WEIGHTS] = weights[: len(weights) // 2]


def _unlinked_weights(members: Members) -> None:
    members[WEIGHTS] = members[WEIGHTS].replace(b"SNOD", b"\0\0\0\0")


@pytest.mark.parametrize(
    "change",
    [
        lambda members: members.pop(CONFIG),
        lambda members: members.pop(WEIGHTS),
        lambda members: members.update({CONFIG: b""}),
        lambda members: members.update({CONFIG: b"[]"}),
        lambda members: members.update({CONFIG: b"\xff"}),
        lambda members: members.update({CONFIG: b"[" * 100_000}),
        lambda members: members.update({WEIGHTS: b"no HDF5"}),
        _layer,
        _subclass,
        _without_a_layer,
        _other_weights,
        _unlinked_weights,
    ],
)
def test_a_network_of_other_content_is_one_message(
    artifact: Path, change: Callable[[Members], Any]
) -> None:
    _damaged(artifact, change)
    with pytest.raises(SegError, match=rf"{NETWORK}: .*\. Restore .* or train again"):
        load_model(artifact)


def test_weights_of_another_network_are_one_message(artifact: Path) -> None:
    other = _network(classes=5).save(artifact / "other")
    with zipfile.ZipFile(other / NETWORK) as archive:
        weights = archive.read(WEIGHTS)
    _damaged(artifact, lambda members: members.update({WEIGHTS: weights}))
    with pytest.raises(SegError, match="cannot be loaded: "):
        load_model(artifact)


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[:0],
        lambda content: content[:-1],
        lambda content: content[: len(content) // 2],
        lambda content: content[::-1],
    ],
)
def test_a_network_that_is_no_archive_says_so(
    artifact: Path, damage: Callable[[bytes], bytes]
) -> None:
    content = damage((artifact / NETWORK).read_bytes())
    (artifact / NETWORK).write_bytes(content)
    with pytest.raises(SegError, match=f"zip archive. Received: {len(content):,} byte"):
        load_model(artifact)


def test_a_flipped_byte_is_seen(artifact: Path) -> None:
    content = bytearray((artifact / NETWORK).read_bytes())
    content[len(content) // 2] ^= 0xFF
    (artifact / NETWORK).write_bytes(content)
    with pytest.raises(SegError, match="cannot be loaded: Bad CRC-32"):
        load_model(artifact)


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (_network(classes=4), "`num_classes` does not fit .* Expected 4, .*: 3"),
        (_network(channels=4), "`inputs` does not fit .* 4 channels.*: 3 channels"),
    ],
)
def test_a_contract_is_held_against_the_network(
    artifact: Path, network: Any, message: str
) -> None:
    network.network.save(artifact / NETWORK)
    with pytest.raises(SegError, match=message):
        load_model(artifact)


def test_an_image_size_that_the_network_does_not_take_is_named(artifact: Path) -> None:
    _rewrite(artifact, image_size=[48, 32])
    with pytest.raises(SegError, match=r"`image_size` .* \(32, 48\), .*: \(48, 32\)"):
        load_model(artifact)


@pytest.mark.parametrize(
    ("field", "value"),
    [("mean", [0, 0, 0]), ("scale", [1, 2, 1]), ("channel_order", "bgr")],
)
def test_a_normalization_that_the_network_does_not_do_is_named(
    tmp_path: Path, field: str, value: Any
) -> None:
    model = build_model("compact_small", num_classes=3, image_size=(32, 48))
    folder = model.save(tmp_path / "model")
    assert load_model(folder).contract == model.contract
    _rewrite(folder, **{field: value})
    with pytest.raises(SegError, match=f"`{field}` does not fit"):
        load_model(folder)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("num_classes", "3", "of type int"),
        ("num_classes", 0, "at least 2"),
        ("num_classes", 10**8, "at most 65,536"),
        ("image_size", [32], "too few values"),
        ("image_size", [0, 48], "16 … 65,535 pixels"),
        ("inputs", {}, "`image` and then others"),
        ("inputs", {"depth": 1, "image": 3}, "`image` and then others"),
        ("inputs", {"image": "3"}, "image` must be of type int"),
        ("mean", [0, 0], "3 numbers"),
        ("scale", [1, 0, 1], "none of them 0"),
        ("channel_order", "gbr", "rgb or bgr"),
        ("class_names", ["a", "b"], "3 different names"),
        ("class_names", ["a", "b", "b"], "3 different names"),
        ("class_names", [1, 2, 3], "of type str"),
        ("palette", [[0, 0, 0]], "3 colours"),
        ("palette", [[0, 0, 0], [1, 1, 1], [0, 0, 256]], "each 0 … 255"),
        ("ignore_index", -1, "0 … 65,535"),
        ("ignore_index", "255", "of type int"),
        ("format_version", 99, "Received: 99"),
    ],
)
def test_a_contract_that_contradicts_itself_names_the_field(
    artifact: Path, field: str, value: Any, message: str
) -> None:
    _rewrite(artifact, **{field: value})
    with pytest.raises(SegError, match=f"{CONTRACT}: .*{field}.*{re.escape(message)}"):
        load_model(artifact)


def test_a_contract_that_lacks_a_field_names_it(artifact: Path) -> None:
    values = json.loads((artifact / CONTRACT).read_text())
    del values["palette"]
    (artifact / CONTRACT).write_text(json.dumps(values))
    with pytest.raises(SegError, match="lacks palette"):
        load_model(artifact)


@pytest.mark.parametrize("text", ["", "[]", "3", "null", "{}", "[" * 100_000, "\udcff"])
def test_a_contract_that_is_none_is_one_message(artifact: Path, text: str) -> None:
    (artifact / CONTRACT).write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(SegError, match=f"{CONTRACT}: cannot be understood"):
        load_model(artifact)


def test_a_contract_of_the_first_version_is_still_read(artifact: Path) -> None:
    values = json.loads((artifact / CONTRACT).read_text())
    old = {**values, "format_version": 1, "channels": 3, "mean": 0.0, "scale": 1.0}
    del old["inputs"], old["channel_order"]
    assert Contract.from_json(json.dumps(old)) == load_model(artifact).contract


def _rewrite(artifact: Path, **changes: Any) -> None:
    values = json.loads((artifact / CONTRACT).read_text())
    (artifact / CONTRACT).write_text(json.dumps({**values, **changes}))
