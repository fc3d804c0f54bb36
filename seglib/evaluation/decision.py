"""The decision of the gate and its reasons: as values, JSON and Markdown."""

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from seglib.evaluation.bootstrap import Comparison, Interval
from seglib.plain_text import table_cell
from seglib.storage.atomic_write import write_bytes

PROMOTE, HOLD = "promote", "hold"


@dataclass(frozen=True)
class Check:
    """One limit, and whether the model meets it."""

    name: str
    passed: bool
    reason: str


@dataclass(frozen=True)
class Decision:
    """Promote if every check passed, else hold."""

    checks: tuple[Check, ...]
    champion: str = ""  # its title; empty: there is none yet
    comparison: Comparison | None = None  # with the champion
    class_names: tuple[str, ...] = ()  # of the comparison

    @property
    def verdict(self) -> str:
        return PROMOTE if all(check.passed for check in self.checks) else HOLD

    @property
    def reasons(self) -> tuple[str, ...]:
        """The reasons of failed checks; empty if promoted."""
        return tuple(check.reason for check in self.checks if not check.passed)

    @property
    def metrics(self) -> dict[str, float]:
        """The numbers of the comparison, if there was one."""
        if self.comparison is None:
            return {}
        change = self.comparison.miou
        return {
            "champion_miou": self.comparison.champion_miou,
            "delta_miou": change.estimate,
            "delta_miou_low": change.low,
            "delta_miou_high": change.high,
        }

    def to_json(self) -> dict[str, Any]:
        """The content of decision.json; a NaN is written as null."""
        content: dict[str, Any] = {
            "verdict": self.verdict,
            "checks": [asdict(check) for check in self.checks],
            "champion": self.champion or None,
        }
        if self.comparison:
            classes = zip(self.class_names, self.comparison.class_iou, strict=False)
            content["comparison"] = {
                "challenger_miou": self.comparison.challenger_miou,
                "champion_miou": self.comparison.champion_miou,
                "confidence": self.comparison.confidence,
                "num_images": self.comparison.num_images,
                "miou": _plain(self.comparison.miou),
                "class_iou": {name: _plain(change) for name, change in classes},
            }
        return content

    def to_markdown(self) -> str:
        """The decision as a Markdown page."""
        lines = [f"# Verdict: {self.verdict}", ""]
        if not self.champion:
            lines += ["There is no champion yet: the fixed limits decide.", ""]
        lines += ["| check | result | figures |", "|---|---|---|"]
        for check in self.checks:
            result = "passed" if check.passed else "failed"
            lines.append(f"| {check.name} | {result} | {table_cell(check.reason)} |")
        return "\n".join(lines + self._class_lines()) + "\n"

    def _class_lines(self) -> list[str]:
        if not self.comparison:
            return []
        title = (
            f"Against the champion on {self.comparison.num_images} images, "
            f"{self.comparison.confidence:.0%} intervals of the paired bootstrap:"
        )
        rows = [("**mIoU**", self.comparison.miou)]
        names = map(table_cell, self.class_names)
        rows += zip(names, self.comparison.class_iou, strict=False)
        return [
            "",
            title,
            "",
            "| IoU of | change | low | high |",
            "|---|---|---|---|",
        ] + [
            f"| {name} | " + " | ".join(map(_signed, asdict(change).values())) + " |"
            for name, change in rows
        ]


def write_decision(decision: Decision, out: Path) -> None:
    """Write decision.json and decision.md into the folder `out`."""
    content = json.dumps(decision.to_json(), indent=2, ensure_ascii=False) + "\n"
    write_bytes(out / "decision.json", content.encode())
    write_bytes(out / "decision.md", decision.to_markdown().encode())


def _plain(interval: Interval) -> dict[str, float | None]:
    values = asdict(interval)
    return {name: None if math.isnan(v) else v for name, v in values.items()}


def _signed(value: float) -> str:
    return "absent" if math.isnan(value) else f"{value:+.4f}"
