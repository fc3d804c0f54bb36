"""The tutorial and the notebook are run as they stand."""

import ast
import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer.main

from seglib.cli.main import app

_BLOCK = re.compile(r"^```(python|sh)\n(.*?)^```", re.MULTILINE | re.DOTALL)


@pytest.fixture
def run_command(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run a line `seglib …` in this process, which has TensorFlow loaded."""
    command = typer.main.get_command(app)

    def run(line: str) -> None:
        program, *words = shlex.split(line)
        assert program == "seglib"
        assert command.main(words, standalone_mode=False) in (None, 0), line

    return run


def test_every_block_of_the_tutorial_runs(
    repository: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    run_command: Any,
) -> None:
    monkeypatch.chdir(tmp_path)
    text = (repository / "docs" / "tutorial.md").read_text(encoding="utf-8")
    names: dict[str, object] = {}
    for language, block in _BLOCK.findall(text):
        if language == "python":
            exec(compile(block, "tutorial.md", "exec"), names)
        else:
            for line in block.splitlines():
                run_command(line)
    output = capsys.readouterr().out
    assert "clean: 32 train, 8 val, 8 test pairs, 3 classes" in output
    scores = [float(score) for score in re.findall(r"^mIoU ([\d.]+)", output, re.M)]
    assert scores[0] > 0.6, "well above the most frequent class, 0.27"
    for path in re.findall(r"`(\w+/[\w/]+\.(?:html|png))`", text):
        assert (tmp_path / path).is_file(), path


def _run_cell(source: str, names: dict[str, object]) -> object:
    """Run a cell of a notebook; its last expression is what the notebook shows."""
    tree = ast.parse(source)
    last = tree.body[-1]
    if not isinstance(last, ast.Expr):
        exec(compile(tree, "notebook", "exec"), names)
        return None
    exec(compile(ast.Module(tree.body[:-1], []), "notebook", "exec"), names)
    return eval(compile(ast.Expression(last.value), "notebook", "eval"), names)


def test_the_notebook_runs(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (path,) = (repository / "examples").glob("*.ipynb")
    notebook = json.loads(path.read_text(encoding="utf-8"))
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    names: dict[str, object] = {}
    shown = []
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            assert cell["outputs"] == [], "stored without outputs"
            shown.append(_run_cell("".join(cell["source"]), names))
    asked = [value for value in shown if hasattr(value, "_repr_html_")]
    pages = {type(value).__name__: value._repr_html_() for value in asked}
    del pages["Figure"]  # a notebook shows it as a PNG
    assert list(pages) == [
        *("Dataset", "Verification", "History", "SegmentationModel", "Evaluation")
    ]
    for name, page in pages.items():
        assert len(page) < 300_000, name
        assert "<script" not in page, name
    score = float(names["score"].miou)  # type: ignore[attr-defined]
    assert score > 0.7, "well above the most frequent class, 0.43"
