import json

import numpy as np
import pytest

from seglib.errors import SegError, UsageError
from seglib.evaluation.counts import COUNTS, ImageCounts, write_counts
from seglib.evaluation.metrics import Scores
from seglib.steps.compare import compare_evaluations

NAMES = ["sky", "<b>road"]


def write_evaluation(folder, right, *, old=False, **changes):
    """Of 30 images of 200 pixels each; `right` of 100 pixels of either class are.

    Where `right` is a list, those of each image.
    """
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True)
    hard = rng.integers(0, 20, 30)
    each = right if isinstance(right, list) else [right] * 30
    confusions = {
        f"{i:02}": np.array([[right - h, 100 - right + h], [h, 100 - h]])
        for i, (right, h) in enumerate(zip(each, hard, strict=True))
    }
    counts = ImageCounts.of(confusions)
    if old:  # of a version that did not count true pixels
        counts = ImageCounts(counts.stems, counts.correct, counts.union)
    write_counts(counts, folder / COUNTS)
    metrics = {"split": "test", "class_names": NAMES, "data_md5": "1"} | changes
    (folder / "metrics.json").write_text(json.dumps(metrics))
    return Scores(sum(confusions.values())).miou


def test_models_stand_side_by_side_with_every_difference(tmp_path):
    mious = [
        write_evaluation(tmp_path / name / "evaluation", right)
        for name, right in {"a": 80, "b": 90, "c": 90}.items()
    ]
    folders = [tmp_path / name / "evaluation" for name in "abc"]
    found = compare_evaluations(folders, tmp_path / "out")
    names = ["a/evaluation", "b/evaluation", "c/evaluation"]
    assert list(found.scores) == names
    shown = [scores["miou"][0].estimate for scores in found.scores.values()]
    assert shown == pytest.approx(mious)
    told = {(one.model[0], one.other[0]): one.verdict for one in found.pairs}
    same = "not told apart"
    assert told == {("a", "b"): "worse", ("a", "c"): "worse", ("b", "c"): same}
    sky = found.classes[0]
    assert [(one.model[0], one.verdict) for one in sky] == [
        ("b", "better"),
        ("c", "better"),
    ]
    assert sky[0].change.low <= sky[0].change.estimate <= sky[0].change.high
    page = (tmp_path / "out" / "comparison.html").read_text()
    assert "&lt;b&gt;road" in page
    assert "not told apart" in page
    written = json.loads((tmp_path / "out" / "comparison.json").read_text())
    assert written["num_images"] == 30
    assert list(written["models"]) == names


def test_blocks_of_images_that_resemble_each_other_are_less_evidence(tmp_path):
    """`b` wins one of two sequences, and loses less in the other."""
    write_evaluation(tmp_path / "a", 80)
    write_evaluation(tmp_path / "b", [94] * 15 + [76] * 15)
    folders = [tmp_path / "a", tmp_path / "b"]
    one = compare_evaluations(folders, tmp_path / "one")
    many = compare_evaluations(folders, tmp_path / "many", block=15)
    assert one.pairs[0].verdict == "worse"
    assert many.pairs[0].verdict == "not told apart"
    assert many.pairs[0].change.estimate == one.pairs[0].change.estimate
    widths = []
    for found in (one, many):
        (interval,) = found.scores["b"]["miou"]
        widths.append(interval.high - interval.low)
    assert widths[1] > 1.5 * widths[0]
    assert (
        json.loads((tmp_path / "many" / "comparison.json").read_text())["block"] == 15
    )
    assert "in rows of 15" in (tmp_path / "many" / "comparison.html").read_text()
    with pytest.raises(UsageError, match="block ≥ 1"):
        compare_evaluations(folders, block=0)


def test_counts_of_an_earlier_version_are_compared_by_what_they_have(tmp_path):
    write_evaluation(tmp_path / "old", 80, old=True)
    write_evaluation(tmp_path / "new", 90)
    found = compare_evaluations([tmp_path / "old", tmp_path / "new"], tmp_path / "out")
    assert found.pairs[0].verdict == "worse"
    assert set(found.scores["old"]) == {"miou", "class_iou"}
    assert (tmp_path / "out" / "comparison.html").exists()


def test_what_cannot_be_compared_is_named(tmp_path):
    write_evaluation(tmp_path / "a", 80)
    write_evaluation(tmp_path / "b", 80, split="val")
    write_evaluation(tmp_path / "c", 80, data_md5="2")
    for other, key in {"b": "split", "c": "data_md5"}.items():
        with pytest.raises(SegError, match=f"cannot be compared: `{key}`"):
            compare_evaluations([tmp_path / "a", tmp_path / other], tmp_path / "out")
    with pytest.raises(UsageError, match="two or more folders"):
        compare_evaluations([tmp_path / "a", tmp_path / "a"])
    with pytest.raises(SegError, match="metrics.json"):
        compare_evaluations([tmp_path / "a", tmp_path / "none"])
    assert not (tmp_path / "out").exists()
