import base64
import json
import re
from pathlib import Path

import pytest

from seglib.config import DataConfig
from seglib.data.dataset import (
    config_options,
    scan_dataset,
    with_splits,
)
from seglib.data.dataset_yaml import parse_description
from seglib.data.image_io import decode_image, write_image
from seglib.data.verification.loading import load_dataset
from seglib.data.verification.verifier import verify
from seglib.errors import DatasetError


def _problems(root: Path) -> list[str]:
    problems = scan_dataset(root).problems
    return [f"{p.path.relative_to(root)}: {p.reason}" for p in problems]


def test_pairs_are_listed_by_stem_and_split(folder):
    dataset = load_dataset(folder.root)
    assert {s: [p.stem for p in pairs] for s, pairs in dataset.splits.items()} == {
        "train": ["a", "b", "c"],
        "val": ["d", "e"],
    }
    pair = dataset.pairs("train")[0]
    assert (pair.image, pair.mask) == (
        folder.image("train", "a"),
        folder.mask("train", "a"),
    )


def test_the_description_names_classes_and_the_ignored_id(folder):
    folder.describe(
        "class_names: [sky, road, car]\nignore_index: 255\n"
        "palette: [[1, 2, 3], [4, 5, 6], [7, 8, 9]]\n"
    )
    dataset = load_dataset(str(folder.root))
    assert dataset.class_names == ("sky", "road", "car")
    assert dataset.palette == ((1, 2, 3), (4, 5, 6), (7, 8, 9))
    assert (dataset.num_classes, dataset.ignore_index) == (3, 255)


def test_without_description_the_masks_tell_the_number_of_classes(folder):
    (folder.root / "dataset.yaml").unlink()
    dataset = load_dataset(folder.root, ignore_index=255)
    assert dataset.num_classes == 3
    assert dataset.class_names == ("class_0", "class_1", "class_2")
    assert len(set(dataset.palette)) == 3


def test_arguments_win_over_the_description(folder):
    options = {"num_classes": 2, "ignore_index": 2, "class_names": ("up", "down")}
    dataset = scan_dataset(folder.root, **options).dataset
    assert (dataset.num_classes, dataset.ignore_index) == (2, 2)
    assert dataset.class_names == ("up", "down")


def test_a_config_says_what_the_folder_does_not(folder):
    (folder.root / "dataset.yaml").unlink()
    config = DataConfig(num_classes=3, ignore_index=255, class_names="sky, road, car")
    dataset = load_dataset(folder.root, **config_options(config))
    assert dataset.class_names == ("sky", "road", "car")
    assert dataset.ignore_index == 255
    folder.describe("class_names: [a, b, c]\nignore_index: 255\n")
    dataset = load_dataset(folder.root, **config_options(DataConfig()))
    assert (dataset.ignore_index, dataset.class_names) == (255, ("a", "b", "c"))


def test_scores_are_reported_on_test_where_there_is_one(folder):
    dataset = load_dataset(folder.root)
    assert dataset.evaluation_split == "val"
    assert dataset.pairs("auto") == dataset.pairs("val")
    for part in ("images", "segmentation"):
        (folder.root / f"test_{part}").mkdir()
    write_image(folder.image("test", "x"), folder.pixels("x"))
    write_image(folder.mask("test", "x"), folder.ids())
    assert load_dataset(folder.root).evaluation_split == "test"


@pytest.mark.parametrize(
    ("description", "message"),
    [
        ("class_name: [a]", r"key: `class_name`. Did you mean `class_names`\?"),
        ("- a", r"expected keys such as `class_names:`"),
        ("class_names: [", r"not valid YAML"),
        ("class_names: road", r"`class_names` must be a list of different names"),
        ("class_names: [a, a]", r"`class_names` must be a list of different names"),
        ("class_names: [yes, no]", r"must be text. Received: True. Put it in quotes"),
        ("ignore_index: -1", r"`ignore_index` must be.*from 0 to 65535. Received: -1"),
        ("ignore_index: 65536", r"`ignore_index` must be.*65535. Received: 65536"),
        ("num_classes: true", r"`num_classes` must be an integer.*Received: True"),
        ("num_classes: many", r"`num_classes` must be an integer.*Received: many"),
        ("num_classes: 100000000", r"`num_classes` must be.*from 0 to 1024. Received:"),
        (f"class_names: {[f'c{i}' for i in range(1025)]}", r"has 1,025 entries.*1024"),
        (f"palette: {[[0, 0, 0]] * 1025}", r"`palette` has 1,025 entries. Expected"),
        ("palette: 7", r"`palette` must be a list. Received: 7"),
        ("palette: [[1, 2]]", r"a colour of `palette` is.*Received: \[1, 2\]"),
        ("palette: [[1, 2, 256]]", r"a colour of `palette` is.*256"),
    ],
)
def test_a_mistake_in_the_description_is_explained(folder, description, message):
    folder.describe(description)
    with pytest.raises(DatasetError, match=rf"dataset.yaml: .*{message}"):
        scan_dataset(folder.root)


def test_a_description_in_another_encoding_is_named(folder):
    (folder.root / "dataset.yaml").write_bytes("# größer".encode("latin-1"))
    with pytest.raises(DatasetError, match=r"dataset.yaml: not valid YAML.*UTF-8"):
        scan_dataset(folder.root)


def test_names_and_colours_must_be_as_many_as_classes(folder):
    folder.describe("class_names: [a, b]\npalette: [[1, 2, 3]]\nnum_classes: 3\n")
    assert _problems(folder.root) == [
        "dataset.yaml: 2 class names for 3 classes",
        "dataset.yaml: 1 colours for 3 classes",
    ]


def test_a_missing_folder_says_what_is_expected(tmp_path):
    with pytest.raises(DatasetError, match=r"gone: no such folder. Expected one that"):
        load_dataset(tmp_path / "gone")


def test_a_folder_without_splits_says_what_is_there(tmp_path):
    with pytest.raises(DatasetError, match=r"no split found.*Received: nothing"):
        load_dataset(tmp_path)
    (tmp_path / "images").mkdir()
    with pytest.raises(DatasetError, match=r"no split found.*Received: images"):
        load_dataset(tmp_path)


def test_a_dataset_with_other_pairs_keeps_everything_else(folder):
    dataset = load_dataset(folder.root)
    fewer = with_splits(dataset, {"val": dataset.pairs("val")[:1]})
    assert list(fewer.splits) == ["val"]
    assert fewer.class_names == dataset.class_names


def test_the_example_of_the_documentation_is_a_clean_dataset(
    repository, tmp_path, monkeypatch
):
    page = (repository / "docs" / "data-format.md").read_text(encoding="utf-8")
    example = page.split("## A complete example")[1].split("```python\n")[1]
    monkeypatch.chdir(tmp_path)
    exec(example.split("```")[0], {})
    verification = verify(tmp_path / "tiny")
    assert verification.ok
    assert not verification.warnings
    assert verification.dataset.class_names == ("background", "box")


def test_a_dataset_shows_itself_in_a_notebook_also_where_a_file_is_damaged(folder):
    folder.describe("class_names: [<b>, road, car]\nignore_index: 255\n")
    dataset = load_dataset(folder.root)
    html = dataset._repr_html_()
    assert "3 train, 2 val" in html
    assert "&lt;b&gt;" in html
    encoded = html.partition("base64,")[2].partition('"')[0]
    # Pictures of 160 beside each other twice, with margins; see test_visualize.
    assert decode_image(base64.b64decode(encoded)).shape[1] == 2 * 324 + 3 * 14
    folder.image("train", "a").write_bytes(b"damaged")
    html = dataset._repr_html_()
    assert "a.png: not an image" in html
    assert "<img" not in html


@pytest.mark.parametrize("name", ["a\nb", "a\tb", "a\x1b[2J", "a\u202eb", "\x9b"])
def test_a_class_name_that_is_no_line_of_text_is_refused(tiny_root, tmp_path, name):
    message = f"`class_names` must be text on one line.*{re.escape(repr(name))}"
    described = json.dumps({"class_names": ["sky", name]})
    with pytest.raises(DatasetError, match=message):
        parse_description(described.encode())
    with pytest.raises(DatasetError, match=message):
        load_dataset(tiny_root, class_names=("sky", name))
