"""The Python of the README and of docs/models.md is run as it stands there."""

import re

import numpy as np

from seglib.models.model import load_model
from tools.sample_scenes import write_sample_dataset


def test_the_python_of_the_readme_runs(repository, tmp_path, monkeypatch, capsys):
    (first,) = _python(repository / "README.md")
    lines = [line for line in first.splitlines() if line and "import" not in line]
    assert len(lines) == 6
    write_sample_dataset(tmp_path / "data", counts={"train": 4, "val": 1, "test": 1})
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    exec(compile(first, "README.md", "exec"), names)
    assert np.asarray(names["mask"]).shape == (240, 320)
    assert load_model(tmp_path / "model").contract.class_names[0] == "sky"
    for block in _python(repository / "docs" / "models.md"):
        exec(compile(block, "models.md", "exec"), names)
    assert "head/kernel" in capsys.readouterr().out


def test_the_readme_is_short_and_shows_two_pictures(repository):
    path = repository / "README.md"
    assert path.stat().st_size <= 10_000
    pictures = re.findall(r"!\[.+?\]\((.+?)\)", path.read_text(encoding="utf-8"))
    assert pictures == ["docs/pictures/overlay.png", "docs/pictures/dag.svg"]


def _python(page):
    text = page.read_text(encoding="utf-8")
    return re.findall(r"```python\n(.*?)```", text, re.DOTALL)
