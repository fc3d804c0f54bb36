"""Runs side by side, from rows made by hand."""

import csv
import json
import re

import pytest

from pipeline.history.compare import compare, to_cells, to_csv, to_json, to_markdown
from seglib.tracking.queries import RunFacts


def row(name: str, *, miou: float, epochs: int, md5: str = "d.dir") -> RunFacts:
    return RunFacts(
        id=f"id-{name}",
        name=name,
        status="FINISHED",
        start_ms=1_700_000_000_000,
        duration_s=100.0,
        parameters={"epochs": str(epochs), "batch_size": "4"},
        metrics={
            "miou": miou,
            "iou/road": miou + 0.1,
            "loss": 0.5,
            "duration_s/train": 80.0,
        },
        tags={"data_md5": md5, "verdict": "promote", "reasons": "a | b\nc"},
    )


@pytest.fixture
def rows() -> list[RunFacts]:
    return [row("first", miou=0.5, epochs=5), row("second", miou=0.625, epochs=9)]


def test_what_differs_is_shown_and_what_is_equal_of_the_settings_is_not(
    rows: list[RunFacts],
) -> None:
    lines = {(line.section, line.name): to_cells(line) for line in compare(rows)}
    assert lines["setting", "epochs"] == ["5", "9"]
    assert ("setting", "batch_size") not in lines
    assert lines["score", "miou"] == ["0.5000", "0.6250 (+0.1250)"]
    assert lines["IoU", "iou/road"] == ["0.6000", "0.7250 (+0.1250)"]
    assert lines["data", "data_md5"] == ["d.dir", "d.dir"]
    assert lines["duration", "duration_s/train"] == ["80", "80"]
    assert lines["end", "verdict"] == ["promote", "promote"]
    assert ("score", "loss") not in lines, "the last point of a curve is no score"


def test_a_value_that_a_run_lacks_is_a_dash_and_null(rows: list[RunFacts]) -> None:
    lacking = [rows[0], row("third", miou=0.5, epochs=5)]
    lacking[1].metrics.pop("iou/road")  # type: ignore[attr-defined]
    (line,) = (x for x in compare(lacking) if x.section == "IoU")
    assert to_cells(line) == ["0.6000", "–"]
    read = json.loads(to_json(lacking, [line]))
    assert read["lines"][0]["values"] == [0.6, None]
    assert read["lines"][0]["differences"] == [None, None]


def test_the_files_say_the_same(rows: list[RunFacts]) -> None:
    lines = compare(rows)
    table = list(csv.reader(to_csv(rows, lines).splitlines(keepends=True)))
    assert table[0] == ["section", "name", "first", "second", "second - first"]
    assert ["score", "miou", "0.5", "0.625", "0.125"] in table
    markdown = to_markdown(rows, lines).splitlines()
    assert markdown[0] == "|  | first | second |"
    assert "| score: miou | 0.5000 | 0.6250 (+0.1250) |" in markdown
    ends = [len(re.findall(r"(?<!\\)\|", text)) for text in markdown]
    assert set(ends) == {4}, "cells keep to their columns"
    read = json.loads(to_json(rows, lines))
    assert read["runs"][1] == {"name": "second", "mlflow_run_id": "id-second"}
