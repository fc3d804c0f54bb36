"""What invalidates a training: its code, and neither words nor looks."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from seglib.code_version import _closure, code_digest
from seglib.training.checkpoints.key import PICTURES

TRAINER = "seglib.training.trainer"

Edit = Callable[[str, str, str], None]


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> Path:
    root = tmp_path_factory.mktemp("copy")
    for package in ("components", "seglib", "tools"):
        shutil.copytree(repository / package, root / package)
    return root


@pytest.fixture
def edit(copy: Path):
    """Replace a text in a file of the copy; undone after the test."""
    before: dict[Path, str] = {}

    def change(name: str, old: str, new: str) -> None:
        path = copy / name
        text = before.setdefault(path, path.read_text())
        assert old in text
        path.write_text(text.replace(old, new, 1))

    yield change
    for path, text in before.items():
        path.write_text(text)


def _changes(copy: Path, edit: Edit, change: tuple[str, str, str]) -> bool:
    """Whether an edit changes the code of the training."""
    before = code_digest(TRAINER, without=PICTURES, root=copy)
    edit(*change)
    return code_digest(TRAINER, without=PICTURES, root=copy) != before


def test_the_place_of_the_code_does_not_matter(copy):
    assert code_digest(TRAINER, root=copy) == code_digest(TRAINER)


@pytest.mark.parametrize(
    "change",
    [
        ("seglib/training/losses.py", "Weighted cross-entropy", "Cross-entropy"),
        ("seglib/training/losses.py", '    """The loss', '    """A loss'),
        ("seglib/training/losses.py", "import keras\n", "import keras  # a comment\n"),
        ("seglib/training/losses.py", "import keras\n", "\n\n\nimport keras\n"),
        ("seglib/report/pages.py", "import cv2", "import cv2, html"),
        ("seglib/drawing/palette.py", "_STEP = 2", "_STEP = 1"),
        ("tools/sample_scenes.py", "import ", "import math\nimport "),
        ("seglib/steps/evaluate.py", "import ", "import math\nimport "),
        ("components/train_model.py", "= locals()", "= dict(locals())"),
        ("seglib/storage/publishing.py", "import ", "import math\nimport "),
        ("seglib/storage/dvc_config.py", "import ", "import math\nimport "),
    ],
)
def test_words_pages_and_what_does_not_compute_leave_a_training_as_it_is(
    copy, edit, change
):
    assert not _changes(copy, edit, change)


@pytest.mark.parametrize(
    "change",
    [
        ("seglib/training/losses.py", "1e-6", "1e-7"),
        ("seglib/training/state.py", "self.step += 1", "self.step += 2"),
        ("seglib/models/decoders.py", "import ", "import math\nimport "),
        ("seglib/data/loader.py", "EPOCHS = 2**20", "EPOCHS = 2**19"),
        ("seglib/models/__init__.py", "import ", "import math\nimport "),
    ],
)
def test_a_change_of_what_computes_is_another_training(copy, edit, change):
    assert _changes(copy, edit, change)


def test_a_page_belongs_to_the_step_that_writes_it_alone(copy, edit):
    pages = {"seglib.drawing", "seglib.report"}

    def digests() -> list[str]:
        return [
            code_digest("components.evaluate_model", root=copy),
            code_digest("components.train_model", without=pages, root=copy),
        ]

    before = digests()
    page = next((copy / "seglib" / "report" / "templates").glob("*.html"))
    edit(str(page.relative_to(copy)), "<", "<!-- green --><")
    evaluated, trained = digests()
    assert evaluated != before[0]
    assert trained == before[1]


def test_imports_are_followed_into_functions_and_packages_but_not_for_type_checkers():
    found, _ = _closure([TRAINER], frozenset(), None)
    # `load_model` imports the layers for Keras, inside of the function.
    assert "seglib.models.layers.blocks" in found
    assert "seglib.training" in found
    # The package names all its steps, for type checkers.
    assert not any(name.startswith("seglib.steps") for name in found)
    assert not any(name.startswith("seglib.report") for name in found)


def test_a_librarys_version_counts(monkeypatch):
    import importlib.metadata

    from seglib import code_version

    before = code_digest(TRAINER)
    version = importlib.metadata.version
    monkeypatch.setattr(
        importlib.metadata,
        "version",
        lambda name: "0.0" if name == "keras" else version(name),
    )
    code_version._version.cache_clear()
    assert code_digest(TRAINER) != before
    code_version._version.cache_clear()


def test_a_module_that_is_not_there_is_an_error():
    with pytest.raises(FileNotFoundError, match=r"seglib\.training\.coach"):
        code_digest("seglib.training.coach")
