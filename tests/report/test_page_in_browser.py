"""The evaluation page in a real browser: sorting, filtering, viewer, keyboard."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from seglib.data.dataset import default_palette
from seglib.evaluation.decision import Check, Decision
from seglib.report.evaluation_page import (
    IMAGES,
    IMAGES_SCRIPT,
    evaluation_page,
    images_script,
)
from seglib.report.layers import SUFFIXES, layers
from seglib.report.verdict import with_verdict
from tests.report.test_report import scored

# mIoU of each image; one has no counted pixel, and so no score.
SCORES = {"b": 0.9, "void": float("nan"), "a": 0.25, "c_10": 0.5, "c_9": 0.75}
HISTORY = [
    {"epoch": epoch, "loss": 1 / epoch, "train_miou": 0.1 * epoch, "val_miou": None}
    for epoch in (1, 2, 3)
]


def write_evaluation(folder: Path, num_classes: int = 3) -> Path:
    """A page of classes of which the last does not occur, with all its files."""
    confusion = np.full((num_classes, num_classes), 5) + 90 * np.eye(num_classes)
    confusion[-1] = confusion[:, -1] = 0
    names = [f"class {index}" for index in range(num_classes)]
    ids = np.arange(12 * 16).reshape(12, 16) % num_classes
    parts = layers(
        np.full((12, 16, 3), 200, np.uint8),
        ids,
        np.zeros_like(ids),
        default_palette(num_classes),
    )
    for stem in SCORES:
        for name, suffix in SUFFIXES.items():
            path = folder / IMAGES / f"{stem}{suffix}"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(parts[name])
    carriers = dict.fromkeys(names, 100) | {names[0]: 2}
    page = evaluation_page(
        scored(confusion.astype(int), names, class_carriers=carriers),
        confusion.astype(int),
        dict.fromkeys(("b", "a"), parts),
        scores=SCORES,
        facts={"Model": "compact", "Run": "https://kfp.example.org/run"},
        settings="train:\n  epochs: 3",
        history=HISTORY,
    )
    decision = Decision((Check("min_miou", False, "too low"),), champion="version 3")
    (folder / "report.html").write_text(with_verdict(page, decision))
    rows = [[stem, score, score / 2, score, 0.8] for stem, score in SCORES.items()]
    columns = ["stem", "miou_per_image", "pixel_accuracy", "boundary", "confidence"]
    script = images_script(columns, rows, pictures=list(SCORES))
    (folder / IMAGES_SCRIPT).write_text(script)
    return folder / "report.html"


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_evaluation(tmp_path_factory.mktemp("evaluation"))


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    """A page whose errors fail the test, and which reads files alone."""
    page = browser.new_page(viewport={"width": 1200, "height": 800})
    page.set_default_timeout(10_000)
    told: list[str] = []
    page.on("console", lambda message: told.append(message.text))
    page.on("pageerror", lambda error: told.append(str(error)))
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    yield page
    page.close()
    missing = [text for text in told if "ERR_FILE_NOT_FOUND" in text]
    assert told == missing
    assert {url.partition(":")[0] for url in asked} <= {"file", "data"}


def stems(page: Any) -> list[str]:
    return page.locator("#all-images tbody th").all_inner_texts()


def current(page: Any) -> str:
    return page.locator("#viewer-name").inner_text()


def shown_layers(page: Any) -> list[str]:
    return page.locator("#viewer .layer:visible img").evaluate_all(
        "all => all.map(each => each.alt)"
    )


def test_images_are_listed_from_worst_to_best_and_sort_by_each_column(page, report):
    page.goto(report.as_uri())
    assert stems(page) == ["a", "c_10", "c_9", "b", "void"]
    header = page.locator("#all-images thead th")
    assert header.all_inner_texts()[:3] == ["image", "mIoU", "pixel accuracy"]
    page.get_by_role("button", name="mIoU", exact=True).click()
    assert stems(page) == ["b", "c_9", "c_10", "a", "void"]  # without a score: last
    assert header.nth(1).get_attribute("aria-sort") == "descending"
    page.locator("#all-images").get_by_role("button", name="image").click()
    assert stems(page) == ["a", "b", "c_9", "c_10", "void"]
    assert header.nth(1).get_attribute("aria-sort") is None


def test_classes_sort_by_each_column_and_absent_ones_stay_last(page, report):
    page.goto(report.as_uri())
    table = page.get_by_role("region", name="Scores of the classes")
    for column in table.locator("thead button").all():
        for _ in range(2):
            column.click()
            cells = table.locator("tbody tr th").all_inner_texts()
            if column.inner_text().startswith(("IoU", "Dice", "recall")):
                assert cells[-1] == "class 2"
    table.get_by_role("button", name="class").click()
    assert table.locator("tbody th").all_inner_texts()[0] == "class 0"
    assert "class 0 (2 of 1234)" in page.locator(".warning").first.inner_text()
    assert table.locator(".few").count() == 1


def test_the_filter_leaves_the_names_that_hold_its_text(page, report):
    page.goto(report.as_uri())
    page.get_by_label("Filter the images by name").fill("C_")
    assert stems(page) == ["c_10", "c_9"]
    status = page.locator("#all-images [role=status]")
    assert status.inner_text() == "2 of 5 images"
    page.get_by_label("Filter the images by name").fill("")
    assert len(stems(page)) == 5


def test_the_slider_goes_from_image_over_truth_and_prediction_to_errors(page, report):
    page.goto(report.as_uri())
    page.locator("#all-images").get_by_role("button", name="c_9").click()
    slider = page.get_by_role("slider")
    assert shown_layers(page) == ["image"]
    slider.fill("1.5")
    assert shown_layers(page) == ["truth", "prediction"]
    uncovered = page.locator("#viewer .layer.prediction")
    assert uncovered.evaluate("it => it.style.clipPath") == "inset(0px 50% 0px 0px)"
    assert slider.get_attribute("aria-valuetext") == "50 % prediction, the rest truth"
    slider.press("End")
    assert shown_layers(page) == ["errors"]
    slider.press("ArrowLeft")
    assert float(slider.input_value()) == pytest.approx(2.95)
    assert current(page) == "c_9"  # the arrow moved the slider alone
    sizes = page.locator("#viewer .layer img").evaluate_all(
        "all => all.map(each => each.naturalWidth)"
    )
    assert sizes == [16] * 4  # the files beside the page


def test_the_keyboard_reaches_headers_filter_rows_and_viewer(page, report):
    page.goto(report.as_uri())
    images = page.locator("#all-images")
    images.get_by_role("button", name="confidence").focus()
    page.keyboard.press("Enter")
    header = images.locator("thead th").last
    assert header.get_attribute("aria-sort") == "descending"
    images.get_by_role("button", name="mIoU", exact=True).press("Enter")
    images.get_by_role("button", name="mIoU", exact=True).press("Enter")
    page.get_by_label("Filter the images by name").focus()
    page.keyboard.type("c")
    for _ in range(7):  # the table's region, five headers, the first row
        page.keyboard.press("Tab")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    assert current(page) == "c_9"
    for key, name in {"ArrowRight": "c_10", "ArrowLeft": "c_9"}.items():
        page.keyboard.press(key)
        assert current(page) == name
    assert "2 of 2 · mIoU 0.750" in page.locator("#viewer-note").inner_text()
    page.keyboard.press("+")
    assert page.locator("#viewer-zoom").inner_text() == "150 %"
    page.keyboard.press("-")
    assert page.locator("#viewer-zoom").inner_text() == "100 %"
    page.keyboard.press("3")
    assert shown_layers(page) == ["prediction"]
    page.keyboard.press("Escape")
    assert not page.locator("#viewer").is_visible()
    focused = page.evaluate("document.activeElement.textContent")
    assert focused == "c_9"  # where it was before


def test_zoom_makes_the_picture_larger_than_the_stage_and_it_scrolls(page, report):
    page.goto(report.as_uri())
    page.get_by_role("button", name="Look at a: prediction").click()
    assert shown_layers(page) == ["prediction"]
    stage = page.get_by_role("region", name="Picture")
    page.wait_for_function("document.querySelector('.canvas').clientWidth > 100")
    fitting = page.locator(".canvas").bounding_box()
    assert fitting["height"] <= stage.bounding_box()["height"] + 1
    for _ in range(3):
        page.get_by_role("button", name="Zoom in").click()
    assert page.locator(".canvas").bounding_box()["width"] > 3 * fitting["width"]
    before = stage.evaluate("it => it.scrollLeft")
    stage.focus()
    page.keyboard.press("Shift+ArrowRight")
    assert stage.evaluate("it => it.scrollLeft") > before > 0


def test_a_page_without_the_files_beside_it_says_so(page, report, tmp_path):
    alone = tmp_path / "report.html"
    alone.write_bytes(report.read_bytes())
    page.goto(alone.as_uri())
    assert "not beside this page" in page.locator("#all-images").inner_text()
    page.get_by_role("button", name="Look at b: errors").click()  # it has them inside
    assert shown_layers(page) == ["errors"]
    page.wait_for_function("document.querySelector('.canvas').clientWidth > 100")
    # With the table, but without the pictures:
    script = (report.parent / IMAGES_SCRIPT).read_bytes()
    (tmp_path / IMAGES_SCRIPT).write_bytes(script)
    page.goto(alone.as_uri())
    page.locator("#all-images").get_by_role("button", name="c_9").click()
    page.wait_for_function(
        "document.getElementById('viewer-note').textContent.includes('not beside')"
    )


@pytest.mark.parametrize("num_classes", [2, 3, 30, 150])
def test_it_fits_a_telephone_with_few_and_many_classes(page, tmp_path, num_classes):
    page.set_viewport_size({"width": 390, "height": 800})
    page.goto(write_evaluation(tmp_path, num_classes).as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.get_by_role("button", name="Look at a: image").click()
    for name in ("Close", "Next image", "Zoom in"):
        box = page.get_by_role("button", name=name).bounding_box()
        assert 0 <= box["x"] <= box["x"] + box["width"] <= 390


def test_it_is_dark_where_the_reader_wants_that(browser, report):
    seen = {}
    for scheme in ("light", "dark"):
        page = browser.new_page(color_scheme=scheme)
        page.goto(report.as_uri())
        colours = page.evaluate(
            "(({color, backgroundColor}) => [color, backgroundColor])"
            "(getComputedStyle(document.body))"
        )
        seen[scheme] = [_lightness(colour) for colour in colours]
        page.close()
    (text, ground), (dark_text, dark_ground) = seen["light"], seen["dark"]
    assert text < 60
    assert ground > 200
    assert dark_text > 200
    assert dark_ground < 60


def test_verdict_facts_settings_and_curves_are_on_the_page(page, report):
    page.goto(report.as_uri())
    verdict = page.get_by_role("region", name="Verdict of the gate").inner_text()
    assert "Hold" in verdict
    assert "version 3" in verdict
    assert "failed too low" in " ".join(verdict.split())
    link = page.get_by_role("link", name="kfp.example.org/run")
    assert link.get_attribute("href") == "https://kfp.example.org/run"
    assert not page.get_by_text("epochs: 3").is_visible()
    page.get_by_text("Settings of the training").click()
    assert page.get_by_text("epochs: 3").is_visible()
    assert page.get_by_role("img", name="Loss by epoch").is_visible()


def _lightness(colour: str) -> float:
    numbers = colour.partition("(")[2].rstrip(")").split(",")
    return sum(map(float, numbers[:3])) / 3
