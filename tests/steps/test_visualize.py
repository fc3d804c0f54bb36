from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml

from seglib.config import Config, ModelConfig, TrainConfig
from seglib.data.image_io import read_image, write_image
from seglib.data.loader import batch_members
from seglib.data.verification.verifier import verify
from seglib.distributed.process_group import ProcessGroup
from seglib.errors import DatasetError, SegError, UsageError
from seglib.models import build_model
from seglib.steps.visualize import visualize
from seglib.training.preview import TrainingPreview
from seglib.training.training_data import TrainingData


@pytest.fixture
def dataset(folder):
    return verify(folder.root).dataset


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "look"


def test_the_contact_sheet_shows_pairs_and_a_page_stands_beside_it(dataset, out):
    path = visualize(dataset, out)
    assert path == out / "contact_sheet.png"
    sheet = read_image(path)
    # Panels of 32 pixels are enlarged five times, to 120×160; two pairs in a row of
    # 2·(160 + 4 + 160) + 14 between + 2·14 around; rows: 2·(120 + 24 of text), 14
    # between each, a line of legend of 26.
    assert sheet.shape == (2 * 144 + 26 + 4 * 14, 2 * 324 + 14 + 2 * 14, 3)
    html = (out / "index.html").read_text()
    assert html.count("<img") == 3
    assert "3 of 3 pairs" in html
    visualize(dataset, out, count=1)  # in place of the earlier pictures
    assert "1 of 3 pairs" in (out / "index.html").read_text()


def test_pairs_are_spread_over_the_split(dataset, out):
    visualize(dataset, out, split="train", count=2)
    html = (out / "index.html").read_text()
    assert [f"<span>{stem}</span>" in html for stem in "abc"] == [True, False, True]


@pytest.mark.parametrize(("layout", "left"), [("side-by-side", 164), ("overlay", 0)])
def test_the_mask_lies_over_its_image(folder, dataset, layout, left):
    write_image(folder.image("val", "d"), np.zeros((24, 32, 3), np.uint8))
    sheet = np.asarray(visualize(dataset, split="val", count=1, layout=layout))
    sky = sheet[14 + 24 + 5, 14 + left + 5]
    # 60 % of the colour over black.
    assert sky.tolist() == [round(0.6 * part) for part in dataset.palette[0]]


def test_the_legend_has_the_classes_that_are_shown_with_their_share(dataset, out):
    page = visualize(dataset, out.with_suffix(".html"), count=1)
    # 256, 388, 60 and 64 of 768 pixels.
    for name, share in {"sky": 33.3, "road": 50.5, "car": 7.8, "ignored": 8.3}.items():
        assert f'{name} <span class="soft">{share}%</span>' in page.read_text()


def test_ids_that_are_no_class_are_named_in_the_legend(folder, dataset, out):
    ids = folder.ids()
    ids[0, :24] = 7
    write_image(folder.mask("train", "a"), ids)
    page = visualize(dataset, out.with_suffix(".html"), count=1).read_text()
    assert 'no class: 7 <span class="soft">3.1%</span>' in page
    assert '<span class="swatch no-class">' in page


def test_pairs_of_a_class_are_found_and_no_image_but_theirs_is_opened(
    folder, dataset, out
):
    for stem in "ac":
        ids = folder.ids()
        ids[ids == 2] = 1
        write_image(folder.mask("train", stem), ids)
        folder.image("train", stem).write_bytes(b"damaged")
    visualize(dataset, out, class_name="car")
    html = (out / "index.html").read_text()
    assert "1 of 3 pairs with car" in html
    assert "<span>b · 60 px of car</span>" in html
    write_image(folder.mask("train", "b"), ids)
    with pytest.raises(DatasetError, match="none of the 3 masks of the split `train`"):
        visualize(dataset, out, class_name="car")
    with pytest.raises(UsageError, match=r"Unknown class: `cra`. Did you mean `car`\?"):
        visualize(dataset, out, class_name="cra")


def test_a_folder_is_taken_for_a_dataset_and_its_shown_files_alone_are_opened(folder):
    folder.image("train", "b").write_bytes(b"damaged")
    assert visualize(folder.root, count=2).size[0] == 2 * 324 + 3 * 14
    with pytest.raises(SegError, match=r"b.png: not an image"):
        visualize(folder.root)
    with pytest.raises(UsageError, match="must be a `Dataset` or a path. Received: 7"):
        visualize(7)


@pytest.mark.parametrize(
    ("policy", "rare"),
    [("", 0.0), ("", 0.7), ("strong", 0.0), ("driving", 0.3)],
)
def test_the_views_are_those_that_training_draws(tiny_dataset, policy, rare):
    train = TrainConfig(
        batch_size=4, train_policy=policy, rare_class_views=rare, train_seed=3
    )
    model = ModelConfig(image_height=64, image_width=96)
    preview = TrainingPreview.of(
        tiny_dataset, Config(model=model, train=train), range(8), passes=2
    )
    contract = build_model(
        "compact_small",
        num_classes=tiny_dataset.num_classes,
        image_size=(64, 96),
        ignore_index=tiny_dataset.ignore_index,
    ).contract
    data = TrainingData.open(tiny_dataset, None, contract, train, lambda _: None)
    batches = data.batches(first_step=0, group=ProcessGroup(), num_threads=1)
    seen: dict[int, list] = {index: [] for index in range(8)}
    for step in range(4):  # two passes over 8 pairs
        images, masks = next(batches)
        members = batch_members(data.source, train, step)
        for index, image, mask in zip(members, images, masks, strict=True):
            seen[index].append((image, mask))
    for index, expected in seen.items():
        for (image, mask), view in zip(expected, preview.views(index), strict=True):
            assert np.array_equal(image, view[0])
            assert np.array_equal(mask, view[1])


def test_settings_on_the_page_are_a_configuration_that_gives_the_same_views(
    dataset, out
):
    config = Config(train=TrainConfig(crop_height=16, crop_width=16, train_seed=5))
    page = visualize(
        dataset, out.with_suffix(".html"), config=config, policy="light", draws=2
    ).read_text()
    assert page.count("<img") == 3 * (1 + 2)
    assert [f"<h2>{stem}</h2>" in page for stem in "abc"] == [True] * 3
    text = page.partition("<pre>")[2].partition("</pre>")[0]
    assert "a window of 16×16 pixels" in page
    assert "in 50% of the views hflip (left to right)" in page
    settings = yaml.safe_load(text)
    assert settings["model"] == {"image_height": 24, "image_width": 32}
    assert settings["train"]["train_policy"][0] == {"hflip": {"p": 0.5}}
    again = Config.load(_file(out.with_suffix(".yaml"), text))
    assert again.train.crop_height == 16
    ours = replace(config, train=replace(config.train, train_policy="light"))
    for views in zip(
        TrainingPreview.of(dataset, ours, [1], passes=2).views(1),
        TrainingPreview.of(dataset, again, [1], passes=2).views(1),
        strict=True,
    ):
        assert np.array_equal(views[0][0], views[1][0])


def test_pixels_that_a_view_reveals_are_ignored_also_without_an_ignored_id(folder, out):
    folder.describe("class_names: [sky, road, car]\n")
    for stem in "abc":
        write_image(folder.mask("train", stem), np.minimum(folder.ids(), 2))
    config = Config(train=TrainConfig(min_scale=0.5, max_scale=0.5))
    page = visualize(folder.root, out.with_suffix(".html"), augment=True, config=config)
    assert "no class" not in page.read_text()
    # Of 5 equal tiles 4 are views, of which three quarters are revealed.
    assert 'ignored <span class="soft">60.0%</span>' in page.read_text()


def test_a_function_may_be_the_policy(dataset, out):
    def darker(image, mask, rng):
        return image // 2, mask

    page = visualize(dataset, out.with_suffix(".html"), policy=darker).read_text()
    assert "train_policy: darker" in page
    assert "3 of 3 pairs · policy darker" in page
    assert page.count("<img") == 3 * 5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"count": 0}, r"`count` must be ≥ 1. Received: count=0"),
        ({"augment": True, "draws": 0}, r"`draws` must be ≥ 1. Received: draws=0"),
        ({"split": "tain"}, r"Unknown split: `tain`. Did you mean `train`\?"),
        ({"layout": "overlays"}, r"Unknown layout: .* Did you mean `overlay`\?"),
        ({"policy": "drivin"}, r"Unknown augmentation policy.*mean `driving`\?"),
        ({"split": "val", "augment": True}, r"sees the train split alone.*'val'"),
    ],
)
def test_senseless_options_are_refused(dataset, out, options, message):
    with pytest.raises(UsageError, match=message):
        visualize(dataset, out, **options)
    assert not out.exists()


def test_a_split_that_is_missing_or_empty_is_told(folder, dataset, out):
    with pytest.raises(DatasetError, match="no split `test`"):
        visualize(dataset, out, split="test")
    empty = replace(dataset, splits={"train": ()})
    with pytest.raises(DatasetError, match="the split `train` holds no pair"):
        visualize(empty, out)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("streets", "the folder holds other things, such as dataset.yaml"),
        ("sheet.pdf", r"must be a .png, .jpg or .html file, or a folder"),
        ("streets/dataset.yaml/look", r"dataset.yaml: a file. Expected a folder"),
        ("folder.png", r"folder.png: a folder. Expected the name of a file"),
    ],
)
def test_a_place_that_cannot_be_written_is_refused_before_the_work(
    folder, tmp_path, name, message
):
    (tmp_path / "folder.png").mkdir()
    folder.image("train", "a").write_bytes(b"damaged")
    with pytest.raises(SegError, match=message):
        visualize(folder.root, tmp_path / name)


def test_a_mask_that_does_not_fit_is_named(folder, dataset, out):
    write_image(folder.mask("train", "a"), folder.ids()[:10])
    with pytest.raises(
        SegError, match=r"a.png: the mask is 10×32 pixels, its image 24×32"
    ):
        visualize(dataset, out)


def test_a_single_pair_of_a_grey_image_of_16_bits_is_shown(folder):
    for stem in "bc":
        folder.image("train", stem).unlink()
        folder.mask("train", stem).unlink()
    grey = np.full((24, 32), 200 << 8, np.uint16)
    write_image(folder.image("train", "a"), grey)
    sheet = np.asarray(visualize(folder.root, augment=True, draws=1))
    assert sheet[14 + 24 + 60, 14 + 80].tolist() == [200, 200, 200]


def test_any_name_of_a_class_can_be_shown(dataset, out):
    names = ("a\nb\x1b[2J", "$x_{", "[/k] <b>")[: dataset.num_classes]
    shown = (*names, *dataset.class_names[len(names) :])
    visualize(replace(dataset, class_names=shown), out)
    assert "$x_{" in (out / "index.html").read_text()


def _file(path: Path, text: str) -> Path:
    path.write_text(text)
    return path
