"""The README's Python is run as it stands there."""

import re

import numpy as np

from seglib.artifact import load_model
from seglib.data.sample_scenes import write_sample_dataset


def test_the_six_lines_of_the_readme_run(repository, tmp_path, monkeypatch):
    text = (repository / "README.md").read_text(encoding="utf-8")
    block = re.search(r"```python\n(.*?)```", text, re.DOTALL)
    assert block
    code = block.group(1)
    lines = [line for line in code.splitlines() if line and "import" not in line]
    assert len(lines) == 6
    write_sample_dataset(tmp_path / "data", counts={"train": 4, "val": 1, "test": 1})
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    exec(compile(code, "README.md", "exec"), names)
    assert np.asarray(names["mask"]).shape == (240, 320)
    assert load_model(tmp_path / "model").contract.class_names[0] == "sky"
