"""The gate: what a model must reach before it is exported."""

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from seglib.config import GateConfig
from seglib.data.images import write_bytes

PROMOTE, HOLD = "promote", "hold"


@dataclass(frozen=True)
class Check:
    """One limit, and on which side of it the model is."""

    name: str
    passed: bool
    reason: str


@dataclass(frozen=True)
class Decision:
    """Promote if every check passed, else hold."""

    checks: tuple[Check, ...]

    @property
    def verdict(self) -> str:
        return PROMOTE if all(check.passed for check in self.checks) else HOLD

    @property
    def reasons(self) -> tuple[str, ...]:
        """What held it; empty when promoted."""
        return tuple(check.reason for check in self.checks if not check.passed)


def decide(metrics: dict[str, Any], *, config: GateConfig | None = None) -> Decision:
    """Compare the metrics of an evaluation with the limits.

    Args:
        metrics: the content of an evaluation's metrics.json.
    """
    config = config or GateConfig()
    miou = math.nan if metrics["miou"] is None else metrics["miou"]
    baseline = metrics["baseline_miou"]
    return Decision(
        (
            Check(
                "min_miou",
                miou >= config.min_miou,
                f"mIoU {miou:.4f}, at least {config.min_miou:.4f} wanted",
            ),
            Check(
                "baseline",
                miou > baseline,
                f"mIoU {miou:.4f}, above the majority class's {baseline:.4f} wanted",
            ),
        )
    )


def write_decision(decision: Decision, out: Path) -> None:
    """Write decision.json and decision.md into the folder `out`."""
    content = {
        "verdict": decision.verdict,
        "checks": [asdict(check) for check in decision.checks],
    }
    rows = [
        f"| {check.name} | {'passed' if check.passed else 'failed'} | {check.reason} |"
        for check in decision.checks
    ]
    lines = [
        f"# Verdict: {decision.verdict}",
        "",
        "| check | result | figures |",
        "|---|---|---|",
        *rows,
    ]
    write_bytes(out / "decision.json", (json.dumps(content, indent=2) + "\n").encode())
    write_bytes(out / "decision.md", ("\n".join(lines) + "\n").encode())
