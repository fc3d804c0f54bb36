"""What objects show of themselves in notebooks, and in a plain session."""

import base64
import re

import numpy as np
import pytest

import seglib
from seglib.data.image_io import decode_image
from seglib.drawing import notebook, plot_confusion, plot_curves
from seglib.evaluation.calibration import Calibration
from seglib.evaluation.counts import ImageCounts
from seglib.evaluation.evaluation import Evaluation
from seglib.evaluation.metrics import Scores
from seglib.training.history import History

HOSTILE = "<script>alert(1)</script>"
MOST = 300_000  # bytes


def _row(epoch, val_miou):
    numbers = {"train_miou": 0.5, "learning_rate": 1e-3, "duration_s": 2.0}
    return {"epoch": epoch, "loss": 1 / epoch, "val_miou": val_miou, **numbers}


def _evaluation(num_classes):
    """Of one image with noise in `num_classes` classes, the last of them absent."""
    draw = np.random.default_rng(0)
    confusion = draw.integers(1, 99, (num_classes, num_classes))
    confusion += 9999 * np.eye(num_classes, dtype=int)
    confusion[-1] = confusion[:, -1] = 0
    scores = Scores(confusion)
    each = [scores.correct, scores.union, scores.true, scores.correct, scores.union]
    names = (HOSTILE, *map(str, range(1, num_classes)))
    small = draw.integers(0, 256, (15, 80, 3)).astype(np.uint8)
    picture = np.kron(small, np.ones((32, 32, 1), np.uint8))
    return Evaluation(
        "val",
        scores,
        ImageCounts(("a",), *(counts[None] for counts in each)),
        np.ones(1),
        Calibration(np.zeros((num_classes, 2, 20), np.int64)),
        np.zeros((3, num_classes, 4), np.int64),
        names,
        "",
        palette=tuple((i % 256, 0, 99) for i in range(num_classes)),
        examples=((f"{HOSTILE}: mIoU 0.1", picture),) * 3,
    )


def _is_self_contained(html):
    """Small, without a name that becomes markup, and without the network."""
    sources = re.findall(r'(?:src|href)="([^"]*)"', html)
    return (
        len(html) < MOST
        and "<script" not in html
        and all(source.startswith("data:image/") for source in sources)
    )


def _pictures(html):
    return [
        decode_image(base64.b64decode(encoded))
        for encoded in re.findall(r"base64,([^\"]*)", html)
    ]


@pytest.mark.parametrize("num_classes", [2, 20, 150])
def test_an_evaluation_shows_classes_confusion_and_the_worst_images(num_classes):
    evaluation = _evaluation(num_classes)
    html = evaluation._repr_html_()
    assert _is_self_contained(html)
    assert "&lt;script&gt;alert(1)" in html
    assert f"mIoU {evaluation.miou:.3f}" in html
    assert html.count("<tr") == 1 + num_classes
    assert html.count("–") == 5 + 2, "scores and interval of the class that is absent"
    assert len(_pictures(html)) == 3 + (num_classes < 21)
    assert "mIoU" in repr(evaluation)
    assert len(repr(evaluation)) < 200


def test_a_history_shows_curves_and_a_row_an_epoch():
    history = History([_row(1, 0.25), _row(2, float("nan"))])
    html = history._repr_html_()
    assert _is_self_contained(html)
    assert "best val mIoU 0.2500" in html
    assert html.count("<tr") == 1 + 2
    (curves,) = _pictures(html)
    assert curves.std() > 10
    assert history == [*history], "a list like any other"
    assert "no epoch" in History()._repr_html_()


def test_a_model_shows_its_classes_and_its_input():
    model = seglib.build_model(
        "compact_small", num_classes=2, image_size=(32, 48), class_names=(HOSTILE, "b")
    )
    html = model._repr_html_()
    assert _is_self_contained(html)
    assert "&lt;script&gt;alert(1)" in html
    assert "32×48 pixels, 2 classes" in html
    assert "image (3 channels)" in html
    assert repr(model).startswith("SegmentationModel(compact_small on compact_small,")


def test_a_verification_shows_findings_and_shares(tiny_root, tmp_path):
    found = seglib.verify(tiny_root)
    html = found._repr_html_()
    assert _is_self_contained(html)
    names = found.dataset.class_names
    assert all(f"</span>{name}</span>" in html for name in names)
    shares = [float(share) for share in re.findall(r">([\d.]+)%<", html)]
    assert 299 < sum(shares) < 301, "100 % of each split"
    for folder in ("train_images", "train_segmentation"):
        (tmp_path / folder).mkdir()
    (tmp_path / "train_images" / "<b>.png").write_bytes(b"no image")
    html = seglib.verify(tmp_path)._repr_html_()
    assert "problem" in html
    assert "&lt;b&gt;.png" in html
    assert "<b>.png" not in html


def test_a_dataset_is_one_line_in_a_plain_session(tiny_dataset):
    told = repr(tiny_dataset)
    assert told.endswith("pairs: 8 train, 3 val, 3 test; 8 classes, ignored: 255)")
    assert str(tiny_dataset.root) in told


def test_figures_are_shown_by_notebooks_and_can_be_changed():
    figure = plot_curves([_row(1, 0.5), _row(2, 0.75)])
    before = figure._repr_png_()
    figure.axes[0].set_title("mine")
    assert decode_image(before).shape == decode_image(figure._repr_png_()).shape
    assert before != figure._repr_png_()
    heat = plot_confusion(np.array([[3, 1], [0, 0]]))
    texts = [text.get_text() for text in heat.axes[0].texts]
    assert texts == [".75", ".25", "–", "–"]
    with pytest.raises(seglib.UsageError, match=r"shape \(2, 2\), 3 names"):
        plot_confusion(np.eye(2), ["a", "b", "c"])


def test_a_table_of_many_rows_is_cut():
    html = notebook.table(["n"], [[str(n)] for n in range(1000)])
    assert html.count("<tr") == 1 + 200 + 1
    assert "… and 800 more" in html
