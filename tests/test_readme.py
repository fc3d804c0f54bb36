"""The README's Python is run as it stands there."""

import re

import numpy as np

from seglib.models.model import load_model
from tools.sample_scenes import write_sample_dataset


def test_the_python_of_the_readme_runs(repository, tmp_path, monkeypatch, capsys):
    text = (repository / "README.md").read_text(encoding="utf-8")
    first, *more = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    lines = [line for line in first.splitlines() if line and "import" not in line]
    assert len(lines) == 6
    write_sample_dataset(tmp_path / "data", counts={"train": 4, "val": 1, "test": 1})
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    exec(compile(first, "README.md", "exec"), names)
    assert np.asarray(names["mask"]).shape == (240, 320)
    assert load_model(tmp_path / "model").contract.class_names[0] == "sky"
    for block in more:
        exec(compile(block, "README.md", "exec"), names)
    assert "head/kernel" in capsys.readouterr().out
