import json

from seglib.config import GateConfig
from seglib.steps.gate import decide, write_decision

GOOD = {"miou": 0.8, "baseline_miou": 0.05}


def test_a_model_at_the_limit_is_promoted_and_one_below_is_held():
    assert decide(GOOD, config=GateConfig(min_miou=0.8)).verdict == "promote"
    held = decide(GOOD, config=GateConfig(min_miou=0.801))
    assert held.verdict == "hold"
    assert held.reasons == ("mIoU 0.8000, at least 0.8010 wanted",)


def test_a_model_no_better_than_the_majority_class_is_held():
    metrics = {"miou": 0.05, "baseline_miou": 0.05}
    assert decide(metrics, config=GateConfig(min_miou=0.0)).verdict == "hold"


def test_a_model_without_a_score_is_held():
    assert decide({**GOOD, "miou": None}).verdict == "hold"


def test_the_decision_is_written_with_its_reasons(tmp_path):
    write_decision(decide({**GOOD, "miou": 0.3}), tmp_path)
    decision = json.loads((tmp_path / "decision.json").read_text())
    assert decision["verdict"] == "hold"
    assert [check["passed"] for check in decision["checks"]] == [False, True]
    card = (tmp_path / "decision.md").read_text()
    assert "# Verdict: hold" in card
    assert "| min_miou | failed | mIoU 0.3000, at least 0.5000 wanted |" in card
