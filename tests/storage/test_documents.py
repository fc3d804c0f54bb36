"""YAML and JSON that nobody should write, and somebody will."""

import json
from itertools import pairwise

import pytest

from pipeline.dag.document import read_document
from pipeline.dag.inputs import find_settings
from seglib.config import Config
from seglib.data.dataset_yaml import read_description
from seglib.data.manifest import read_manifest
from seglib.data.shards import read_shard_index
from seglib.errors import SegError, UsageError
from seglib.models.contract import read_contract
from seglib.steps.gate import _read_metrics
from seglib.storage.documents import MAX_BYTES, parse_json, parse_yaml, read_yaml
from seglib.storage.pins import read_pin

_LETTERS = "abcdefghij"


def _bomb(first: str, step: str) -> str:
    """Ten levels, each of nine aliases of the one before: 9**9 values in 300 bytes."""
    lines = [f"a: &a {first}"]
    for before, name in pairwise(_LETTERS):
        lines.append(f"{name}: &{name} {step % ', '.join([f'*{before}'] * 9)}")
    return "\n".join(lines)


HOSTILE_YAML = {
    "lists in lists": ("[" * 20_000 + "]" * 20_000, "more than 100 levels deep"),
    "mappings": ("{a: " * 5_000 + "1" + "}" * 5_000, "more than 100 levels deep"),
    "lists without an end": ("[" * 200_000, "more than 100 levels deep"),
    "aliases": (_bomb("[x]", "[%s]"), "more than 1,000,000 values"),
    "merges": (_bomb("{x: 1}", "{<<: [%s]}"), "more than 1,000,000 values"),
    "a list that holds itself": ("&a [*a]", r"alias \*a stands for nothing yet"),
    "its name used before": ("[&a 1, &a [*a]]", r"alias \*a stands for nothing yet"),
    "a key that occurs twice": ("a: 1\nb: 2\na: 3", "the key 'a' occurs twice"),
    "twice, further below": ("a: {b: 1, b: 2}", "the key 'b' occurs twice"),
    "another encoding": (b"\xff\xfea", "it is not UTF-8 text: byte 0"),
    "a huge number": (f"a: {'9' * 5000}", "4300 digits"),
    "a day that is none": ("a: 2001-99-99", "month must be in 1..12"),
    "a null character": ("a: \0", "control characters are not allowed"),
    "code": ("!!python/object/apply:os.system [x]", "constructor for the tag"),
    "an unhashable key": ("? [a]\n: b", "unhashable key at line 1"),
    "two documents": ("a: 1\n---\nb: 2", "2 documents, expected one"),
}
HOSTILE_JSON = {
    "lists in lists": ("[" * 100_000 + "]" * 100_000, "nested too deeply"),
    "mappings": ('{"a":' * 100_000, "nested too deeply"),
    "no number": ('{"a": NaN}', "NaN is no number"),
    "an infinite number": ("[-Infinity]", "-Infinity is no number"),
    "a key that occurs twice": ('{"a": 1, "a": 2}', "the key 'a' occurs twice"),
    "another encoding": (b"\xff{}", "it is not UTF-8 text: byte 0"),
    "a huge number": ("9" * 5000, "4300 digits"),
    "nothing": ("", "Expecting value"),
}


@pytest.mark.parametrize(("text", "reason"), HOSTILE_YAML.values(), ids=HOSTILE_YAML)
def test_hostile_yaml_is_one_sentence_that_names_the_file(text, reason):
    with pytest.raises(UsageError, match=rf"^f.yaml: not valid YAML \(.*{reason}"):
        parse_yaml(text, name="f.yaml", error=UsageError, remedy="Write another.")


@pytest.mark.parametrize(("text", "reason"), HOSTILE_JSON.values(), ids=HOSTILE_JSON)
def test_hostile_json_is_one_sentence_that_names_the_file(text, reason):
    with pytest.raises(SegError, match=rf"^f.json: not valid JSON \(.*{reason}"):
        parse_json(text, name="f.json")


def test_aliases_and_merges_in_moderation_are_read():
    text = "base: &base {a: 1, b: [2, 3]}\nuse: {<<: *base, a: 4}\nlist: [*base, *base]"
    tree = parse_yaml(text, name="f")
    assert tree["use"] == {"a": 4, "b": [2, 3]}
    assert tree["list"] == [tree["base"]] * 2
    assert parse_yaml('{1: a, "1": b}', name="f") == {1: "a", "1": "b"}
    assert parse_yaml(b"\xef\xbb\xbfa: 1", name="f") == {"a": 1}


def test_a_large_file_is_not_read(tmp_path):
    path = tmp_path / "a.yaml"
    with path.open("wb") as file:
        file.truncate(1 << 40)  # bytes, of which the disk holds none
    with pytest.raises(SegError, match=f"it has more than {MAX_BYTES:,} bytes"):
        read_yaml(path)


def _named(name, reader):
    """A reader of the folder of a file of this name."""

    def read(path):
        path.rename(path.with_name(name))
        path.with_name("model.keras").touch()
        reader(path.parent)

    return read


YAML_READERS = {
    "dataset.yaml": _named("dataset.yaml", read_description),
    "a config": Config.load,
    "a run's config": find_settings,
    "a pin": read_pin,
    "a compiled pipeline": read_document,
}
JSON_READERS = {
    "a manifest": read_manifest,
    "a contract": _named("contract.json", read_contract),
    "shards": _named("shards.json", lambda folder: read_shard_index(str(folder))),
    "metrics": _read_metrics,
}


@pytest.mark.parametrize("reader", YAML_READERS.values(), ids=YAML_READERS)
@pytest.mark.parametrize("text", ["[" * 20_000, "\xff"])
def test_every_reader_of_yaml_refuses_it(tmp_path, reader, text):
    path = tmp_path / "file.yaml"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(SegError, match=r"\.yaml: (not valid YAML|cannot be read)"):
        reader(path)


@pytest.mark.parametrize("reader", JSON_READERS.values(), ids=JSON_READERS)
@pytest.mark.parametrize("text", ["[" * 100_000, "\xff", "[]", "7", "null"])
def test_every_reader_of_json_refuses_it(tmp_path, reader, text):
    path = tmp_path / "file.json"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(SegError):
        reader(path)


def test_a_setting_on_the_command_line_may_be_nested_without_end():
    with pytest.raises(UsageError, match="epochs` must be of type int"):
        find_settings(None, ["epochs=" + "[" * 10_000])


def test_a_contract_says_which_file_is_wrong(tmp_path):
    (tmp_path / "model.keras").touch()
    (tmp_path / "contract.json").write_text(json.dumps({"format_version": [1]}))
    with pytest.raises(SegError, match=r"contract.json: cannot be understood"):
        read_contract(tmp_path)
