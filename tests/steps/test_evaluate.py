import csv
import json
import re

import numpy as np
import pytest

from seglib.config import EvaluateConfig
from seglib.data.image_io import read_image, read_mask
from seglib.data.verification.loading import load_dataset
from seglib.errors import DatasetError
from seglib.evaluation.metrics import Scores, confusion_matrix
from seglib.evaluation.scoring import score_pairs
from seglib.models import build_model
from seglib.steps.evaluate import evaluate


def test_the_scores_are_those_of_predicting_image_by_image(
    trained, tiny_dataset, tiny_root
):
    evaluation = evaluate(trained.folder, tiny_root)
    assert evaluation.split == "test"
    counts = np.zeros((8, 8), np.int64)
    for pair in tiny_dataset.pairs("test"):
        prediction = trained.model.predict(read_image(pair.image))
        counts += confusion_matrix(
            read_mask(pair.mask), prediction, num_classes=8, ignore_index=255
        )
    assert np.abs(evaluation.scores.confusion - counts).sum() <= counts.sum() * 1e-4
    assert evaluation.miou == pytest.approx(Scores(counts).miou, abs=1e-3)


def test_everything_a_reviewer_wants_is_written(trained, tiny_dataset, tmp_path):
    config = EvaluateConfig(split="val", num_overlays=2)
    evaluation = evaluate(trained.model, tiny_dataset, config=config, out=str(tmp_path))
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert metrics["split"] == "val"
    assert metrics["num_images"] == 3
    assert metrics["miou"] == evaluation.miou
    assert list(metrics["class_iou"]) == list(tiny_dataset.class_names)
    assert np.sum(metrics["confusion_matrix"]) == evaluation.scores.confusion.sum()
    with (tmp_path / "per_image.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["stem"] for row in rows] == ["val_0", "val_1", "val_2"]
    with (tmp_path / "confusion_matrix.csv").open() as file:
        table = list(csv.reader(file))
    assert table[0][1:] == list(tiny_dataset.class_names)
    overlays = sorted(path.name for path in (tmp_path / "overlays").iterdir())
    assert overlays == ["val_0.png", "val_2.png"]
    assert read_image(tmp_path / "overlays" / "val_0.png").shape == (96, 128, 3)
    report = (tmp_path / "report.html").read_text()
    assert f"{evaluation.miou:.3f}"[:4] in report
    assert all(name in report for name in tiny_dataset.class_names)


def test_a_class_that_never_occurs_is_null_and_not_zero(
    trained, tiny_dataset, tmp_path
):
    evaluation = evaluate(trained.model, tiny_dataset, out=tmp_path)
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    for name, iou in evaluation.class_iou.items():
        assert (metrics["class_iou"][name] is None) == np.isnan(iou)


def test_images_of_different_sizes_are_scored_at_their_own(
    trained, tiny_root, tmp_path
):
    from seglib.data.image_io import write_image
    from tools.sample_scenes import render_scene

    for index, size in enumerate([(64, 80), (64, 80), (90, 70)]):
        image, mask = render_scene(index, height=size[0], width=size[1])
        write_image(tmp_path / "val_images" / f"{index}.png", image)
        write_image(tmp_path / "val_segmentation" / f"{index}.png", mask)
    dataset = load_dataset(tmp_path, num_classes=8, ignore_index=255)
    evaluation = evaluate(trained.model, dataset)
    masks = [read_mask(pair.mask) for pair in dataset.pairs("val")]
    counted = sum(int((mask != 255).sum()) for mask in masks)
    assert evaluation.scores.confusion.sum() == counted


@pytest.mark.parametrize("num_classes", [3, 11])
def test_a_dataset_of_more_or_fewer_classes_than_the_model_is_refused(
    tiny_dataset, num_classes
):
    model = build_model("compact", num_classes=num_classes, image_size=(64, 64))
    with pytest.raises(DatasetError, match=f"has 8 classes, the model {num_classes}"):
        evaluate(model, tiny_dataset)


def test_a_split_that_is_not_there_is_named(trained, tiny_dataset):
    from seglib.data.dataset import with_splits

    dataset = with_splits(tiny_dataset, {"train": tiny_dataset.splits["train"]})
    with pytest.raises(DatasetError, match="no split `val`. It has: train"):
        evaluate(trained.model, dataset)


def test_counts_depend_on_neither_batches_nor_order(trained, tiny_dataset):
    pairs = tiny_dataset.pairs("val")

    def counted(pairs, **options):
        images = score_pairs(trained.model, pairs, detailed=True, **options)
        return {image.stem: image for image in images}

    one = counted(pairs)
    for other in (counted(pairs[::-1], batch_size=1), counted(pairs, batch_size=2)):
        assert one.keys() == other.keys()
        for stem, image in one.items():
            again = other[stem]
            # A tie of two logits may fall differently in another batch: some pixels.
            apart = np.count_nonzero(image.prediction != again.prediction)
            assert apart <= 1e-4 * image.prediction.size
            for name in ("boundary_correct", "boundary_union", "sizes"):
                mine, its = getattr(image.details, name), getattr(again.details, name)
                assert np.abs(mine - its).sum() <= 10 * apart
            assert image.details.confidence == pytest.approx(again.details.confidence)


def test_confidences_are_the_largest_probabilities(trained, tiny_dataset):
    (pair, *_) = tiny_dataset.pairs("val")
    (image,) = score_pairs(trained.model, [pair], detailed=True)
    probabilities = trained.model.predict_probabilities(read_image(pair.image))
    sampled = probabilities.max(-1)[::4, ::4][image.mask[::4, ::4] != 255]
    assert image.details.confidence == pytest.approx(sampled.mean(), abs=1e-4)


def test_the_scores_have_keras_segmentations_names_too(trained, tiny_dataset):
    evaluation = evaluate(trained.model, tiny_dataset)
    view = evaluation.keras_segmentation
    assert view["mean_IU"] == evaluation.miou
    assert view["frequency_weighted_IU"] == evaluation.scores.miou_frequency_weighted
    assert list(evaluation.class_iou.values()) == pytest.approx(
        view["class_wise_IU"].tolist(), nan_ok=True
    )


def test_all_images_and_their_pictures_lie_beside_the_report(
    trained, tiny_dataset, tmp_path, browser
):
    evaluate(trained.folder, tiny_dataset, out=tmp_path, facts={"Commit": "abc"})
    page = browser.new_page()
    page.goto((tmp_path / "report.html").as_uri())
    rows = page.locator("#all-images tbody tr")
    assert rows.count() == 3
    values = [float(v) for v in rows.locator("td:nth-child(2)").all_inner_texts()]
    assert values == sorted(values)
    rows.locator("button").first.click()
    page.wait_for_function(
        "[...document.querySelectorAll('#viewer img')].every(i => i.naturalWidth > 99)"
    )
    names = page.locator(".facts dt").all_inner_texts()
    facts = dict(zip(names, page.locator(".facts dd").all_inner_texts(), strict=True))
    assert facts["Model"] == "compact, 96×128 pixels"
    assert facts["Parameters"] == f"{trained.model.network.count_params():,}"
    assert facts["Commit"] == "abc"
    assert re.fullmatch(r"\d+ ms for an image of 96×128 on .+", facts["Latency"])
    assert re.fullmatch(r"\d+\.\d MB", facts["Size"])
    assert page.get_by_role("img", name="mIoU by epoch").is_visible()
    page.close()
