import json
import shutil

import numpy as np
import pytest

from seglib.config import EvaluateConfig, GateConfig
from seglib.data.verification.verifier import verify
from seglib.errors import SegError, UsageError
from seglib.evaluation.bootstrap import Comparison, Interval
from seglib.evaluation.counts import ImageCounts, read_counts, write_counts
from seglib.evaluation.decision import Check, Decision, write_decision
from seglib.steps.evaluate import evaluate
from seglib.steps.gate import Champion, gate
from seglib.steps.verify import write_verification
from seglib.storage.files import model_digest

LOOSE = {"min_miou": 0.0, "max_class_drop": 0.9}


@pytest.fixture(scope="module")
def folders(trained, tiny_dataset, tiny_root, tmp_path_factory):
    """Manifest, model and evaluation of a model trained for a few steps."""
    out = tmp_path_factory.mktemp("gate")
    write_verification(verify(tiny_root), out / "manifest")
    evaluate(trained.folder, tiny_dataset, out=out / "evaluation")
    return {
        "manifest": out / "manifest",
        "model": trained.folder,
        "evaluation": out / "evaluation",
    }


@pytest.fixture(scope="module")
def random_model(trained, tmp_path_factory):
    """The same network with random weights: a champion that is easily beaten."""
    from seglib.models.model import load_model

    model = load_model(trained.folder)
    rng = np.random.default_rng(0)
    weights = [rng.normal(0, 0.1, w.shape) for w in model.network.get_weights()]
    model.network.set_weights(weights)
    return model.save(tmp_path_factory.mktemp("champion") / "model")


def champion(folder, title="version 3"):
    return Champion(title, digest=model_digest(folder), fetch=lambda: folder)


def scored(folders, tmp_path, **changes):
    """The folders with other scores."""
    evaluation = tmp_path / "evaluation"
    shutil.copytree(folders["evaluation"], evaluation)
    metrics = json.loads((evaluation / "metrics.json").read_text()) | changes
    (evaluation / "metrics.json").write_text(json.dumps(metrics))
    return {**folders, "evaluation": evaluation}


@pytest.fixture(scope="module")
def promoted(folders, random_model):
    config = GateConfig(**LOOSE)
    return gate(**folders, champion=champion(random_model), config=config)


@pytest.fixture(scope="module")
def held(folders, random_model):
    config = GateConfig(**LOOSE, min_delta=0.99)
    return gate(**folders, champion=champion(random_model), config=config)


@pytest.mark.parametrize(
    ("miou", "baseline", "min_miou", "reasons"),
    [
        (0.8, 0.05, 0.8, ()),
        (0.8, 0.05, 0.801, ("mIoU 0.8000, at least 0.8010 wanted",)),
        (0.05, 0.05, 0.0, ("mIoU 0.0500, above the majority class's 0.0500 wanted",)),
        (None, 0.05, 0.0, ("mIoU nan, at least 0.0000 wanted", "mIoU nan, above")),
    ],
)
def test_a_score_meets_the_limit_and_the_majority_class_or_is_held(
    folders, tmp_path, miou, baseline, min_miou, reasons
):
    at = scored(folders, tmp_path, miou=miou, baseline_miou=baseline)
    decided = gate(**at, config=GateConfig(min_miou=min_miou))
    assert decided.verdict == ("hold" if reasons else "promote")
    for reason, expected in zip(decided.reasons, reasons, strict=True):
        assert reason.startswith(expected)


def test_size_and_latency_are_limits_only_where_they_are_set(folders):
    config = GateConfig(min_miou=0.0)
    assert {c.name for c in gate(**folders, config=config).checks} == {
        "min_miou",
        "baseline",
    }
    strict = GateConfig(min_miou=0.0, max_latency_ms=0.001, max_model_mb=0.001)
    reasons = "; ".join(gate(**folders, config=strict).reasons)
    assert "ms for an image of 96×128, at most 0.001 wanted" in reasons
    assert "MB, at most 0.001 wanted" in reasons
    easy = GateConfig(min_miou=0.0, max_latency_ms=1e6, max_model_mb=1e6)
    assert len(gate(**folders, config=easy).checks) == 4


def test_a_model_that_beats_the_champion_on_the_same_images_is_promoted(
    folders, random_model, tiny_dataset, promoted
):
    assert promoted.verdict == "promote", promoted.reasons
    assert promoted.comparison.num_images == 3
    change = promoted.comparison.miou
    assert 0 < change.low <= change.estimate <= change.high
    # Scored by hand: what `evaluate` says of either.
    mine = json.loads((folders["evaluation"] / "metrics.json").read_text())["miou"]
    assert promoted.comparison.challenger_miou == pytest.approx(mine)
    assert change.estimate == pytest.approx(mine - promoted.metrics["champion_miou"])
    expected = evaluate(random_model, tiny_dataset, config=EvaluateConfig()).miou
    assert promoted.metrics["champion_miou"] == pytest.approx(expected, abs=1e-6)


def test_a_model_that_is_not_better_by_min_delta_is_held(held):
    assert held.verdict == "hold"
    (reason,) = held.reasons
    assert "against the champion, version 3" in reason
    assert "above +0.9900 wanted" in reason


def test_a_model_better_on_average_and_worse_on_one_class_is_held(
    folders, random_model, tmp_path
):
    lossy = scored(folders, tmp_path)
    path = lossy["evaluation"] / "counts.npz"
    counts = read_counts(path)
    champion_counts = evaluate_counts(random_model, folders)
    best = int(np.nanargmax(champion_counts.class_iou))
    correct = counts.correct.copy()
    correct[:, best] = 0  # as if the class that the champion knows best were lost
    others = [i for i in range(correct.shape[1]) if i != best]
    correct[:, others] = counts.union[:, others]
    write_counts(ImageCounts(counts.stems, correct, counts.union), path)
    config = GateConfig(min_miou=0.0, max_class_drop=0.01)
    decided = gate(**lossy, champion=champion(random_model), config=config)
    assert decided.comparison.is_better()
    assert decided.verdict == "hold"
    name = json.loads((lossy["evaluation"] / "metrics.json").read_text())[
        "class_names"
    ][best]
    assert decided.reasons[0].startswith(f"{name} -")


def evaluate_counts(model, folders):
    from seglib.data.manifest import open_dataset

    return evaluate(model, open_dataset(folders["manifest"])).counts


def test_the_champion_itself_passes_without_being_scored(folders):
    def never():
        raise AssertionError("not needed")

    same = Champion("version 3", digest=model_digest(folders["model"]), fetch=never)
    decided = gate(**folders, champion=same, config=GateConfig(min_miou=0.0))
    assert decided.verdict == "promote"
    assert decided.checks[-1].reason == "this is the champion, version 3"


@pytest.mark.parametrize("why", ["unknown", "lost", "other task"])
def test_a_champion_that_cannot_be_compared_holds_the_model(
    why, folders, random_model, tmp_path
):
    def lost():
        raise OSError("gone")

    other = tmp_path / "other"
    shutil.copytree(random_model, other)
    contract = json.loads((other / "contract.json").read_text())
    contract["class_names"] = [f"other {i}" for i in range(8)]
    (other / "contract.json").write_text(json.dumps(contract))
    rival, reason = {
        "unknown": (Champion("unknown", problem="no answer"), "no answer"),
        "lost": (Champion("version 3", fetch=lost), "cannot be fetched (OSError: gone"),
        "other task": (champion(other), "name another registered_model"),
    }[why]
    decided = gate(**folders, champion=rival, config=GateConfig(**LOOSE))
    assert decided.verdict == "hold"
    assert reason in decided.reasons[0]


def test_a_model_that_was_rolled_back_is_held(folders):
    decided = gate(**folders, barred="rolled back before", config=GateConfig(**LOOSE))
    assert decided.reasons == ("rolled back before",)


def test_the_decision_is_written_with_its_reasons(held, tmp_path):
    write_decision(held, tmp_path)
    decision = json.loads((tmp_path / "decision.json").read_text())
    assert decision["verdict"] == "hold"
    assert decision["champion"] == "version 3"
    assert [c["name"] for c in decision["checks"]][-2:] == [
        "min_delta",
        "max_class_drop",
    ]
    assert set(decision["comparison"]["class_iou"]) == set(held.class_names)
    card = (tmp_path / "decision.md").read_text()
    assert "# Verdict: hold" in card
    assert "| min_delta | failed | mIoU +" in card
    assert "| **mIoU** | +" in card


def test_a_decision_without_a_champion_says_so(tmp_path):
    write_decision(Decision((Check("min_miou", False, "too low"),)), tmp_path)
    card = (tmp_path / "decision.md").read_text()
    assert "There is no champion yet" in card
    assert "| min_miou | failed | too low |" in card
    assert json.loads((tmp_path / "decision.json").read_text())["champion"] is None


def test_names_of_classes_end_no_cell_of_the_card():
    change = Interval(0.1, 0.0, 0.2)
    compared = Comparison(0.5, 0.4, change, (change, change), 3, 0.95)
    decided = Decision((), "version 3", compared, ("a|b", "`c`\n<b>"))
    rows = decided.to_markdown().splitlines()[-2:]
    assert rows == [
        r"| a\|b | +0.1000 | +0.0000 | +0.2000 |",
        r"| \`c\` \<b\> | +0.1000 | +0.0000 | +0.2000 |",
    ]


def test_scores_that_are_not_there_are_named(folders, tmp_path):
    with pytest.raises(SegError, match="not the scores of an evaluation"):
        gate(**{**folders, "evaluation": tmp_path})


@pytest.mark.parametrize(
    "wrong",
    [
        {"min_delta": 1.0},
        {"max_class_drop": -0.1},
        {"confidence": 0.3},
        {"bootstrap_block": 0},
        {"max_latency_ms": -1.0},
        {"registered_model": "a/b"},
    ],
)
def test_a_setting_out_of_its_range_is_named(wrong):
    with pytest.raises(UsageError, match=next(iter(wrong))):
        GateConfig(**wrong)
