"""What docs/data-format.md says of comparisons, and what the repository has."""

import json
import re

import pytest

from seglib.data.versions import compare_versions, count_version
from seglib.storage.pins import default_remote, read_pin


@pytest.fixture
def section(repository):
    text = (repository / "docs" / "data-format.md").read_text(encoding="utf-8")
    return text.split("## Compare two versions")[1].split("\n## ")[0]


def test_the_json_has_the_documented_keys(versions, section):
    (shown,) = re.findall(r"```json\n(.*?)```", section, re.DOTALL)
    found = compare_versions(versions.v1, versions.v2, str(versions.remote), count=True)
    assert _shape(json.loads(json.dumps(found.to_json()))) == _shape(json.loads(shown))


def test_the_documented_python_runs(versions, section, capsys):
    (shown,) = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    exec(compile(shown, "data-format.md", "exec"), {})
    assert "Class shares: unknown, because 5 of 5 masks" in capsys.readouterr().out


def test_the_sample_dataset_comes_with_its_class_counts(repository, tmp_path):
    """Or each `make run` would write one into the clone: `seglib data count`."""
    pinned = read_pin(repository / "data.dvc"), default_remote(repository)
    done = count_version(*pinned, push=False, cache=tmp_path / "cache")
    assert (done.masks, done.known, done.counted) == (120, 120, 0)
    assert not (tmp_path / "cache").exists()


def _shape(value):
    """The keys at every level; of a list, those of its first item."""
    if isinstance(value, dict):
        return {key: _shape(item) for key, item in value.items()}
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return [_shape(value[0])]
    return type(value).__name__ in ("dict", "list")
