"""MLflow's own pages on the runs, in a real browser."""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.waiting import HANG_S, wait_for_answer

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def ui(
    first: Any, browser: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """The address of the UI, started by the command that the run printed."""
    (line,) = (x for x in first.text.splitlines() if x.startswith("tracking  "))
    command = line.removeprefix("tracking").strip()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    quiet = ("MLFLOW_DISABLE_TELEMETRY", "DO_NOT_TRACK")
    environment = {k: v for k, v in os.environ.items() if k not in quiet}
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
    log = tmp_path_factory.mktemp("ui") / "log"
    with log.open("w") as output:
        process = subprocess.Popen(
            ["sh", "-c", f"exec env {command} --port {port} --workers 1"],
            env=environment,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    address = f"http://127.0.0.1:{port}"
    try:
        wait_for_answer(f"{address}/health", process, log=log)
        yield address
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
        process.wait()


def test_a_page_lists_two_runs_and_their_miou_side_by_side(
    ui: str,
    browser: Any,
    first: Any,
    held: Any,
    rows: Callable[[Any], Any],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    page = _page(browser, width=2200, height=700)
    asked: set[str] = set()
    page.on("request", lambda request: asked.add(request.url))
    experiment = rows(first).info.experiment_id
    page.goto(f"{ui}/#/experiments/{experiment}/runs?workflowType=machine_learning")
    page.get_by_text(first.folder.name).first.wait_for()
    page.get_by_role("button", name="Columns", exact=True).click()
    page.get_by_placeholder("Search columns").fill("miou")
    # What was searched is marked, so that names are in pieces; the innermost is one.
    page.locator("span", has_text=re.compile("^miou$")).last.click()
    page.keyboard.press("Escape")
    page.get_by_role("columnheader", name="miou", exact=True).first.wait_for()
    shown = _grid(page)
    picture = tmp_path_factory.getbasetemp() / "mlflow-runs.png"
    page.screenshot(path=picture)
    page.close()
    for run in (first, held):
        miou = run.json("metrics.json")["miou"]
        (line,) = (text for text in shown if run.folder.name in text)
        (number,) = (word for word in line.split() if re.fullmatch(r"0\.\d+", word))
        assert float(number) == pytest.approx(miou, abs=1e-3)
    assert picture.stat().st_size > 10_000
    assert all(url.startswith((ui, "data:", "blob:")) for url in asked), "phones home"


def test_the_address_that_a_run_prints_opens_its_page(
    ui: str, browser: Any, second: Any
) -> None:
    address = next(x for x in second.text.split() if "/#/experiments/" in x)
    page = _page(browser, width=1700, height=1000)
    page.goto(ui + "/#/" + address.partition("/#/")[2])
    page.get_by_role("heading", name=second.folder.name).wait_for()
    page.get_by_text("step.train").first.wait_for()
    text = page.inner_text("body")
    page.close()
    assert "cached from run" in text
    assert "Finished" in text


# Where a picture begins and ends, and the part of its tile that is shown.
PLACE = """picture => {
    let tile = picture.parentElement;
    while (getComputedStyle(tile).overflowY == 'visible') tile = tile.parentElement;
    const [inner, outer] = [picture, tile].map(x => x.getBoundingClientRect());
    return [inner.top, inner.bottom, outer.top, outer.bottom];
}"""


def test_a_runs_charts_are_curves_then_pictures_that_are_seen_then_one_bar(
    ui: str, browser: Any, first: Any, rows: Callable[[Any], Any]
) -> None:
    run = rows(first).info
    page = _page(browser, width=1400, height=1900)
    address = f"{ui}/#/experiments/{run.experiment_id}/runs/{run.run_id}/model-metrics"
    page.goto(f"{address}?workflowType=machine_learning")
    picture = page.locator("img[src*='overlays']").first
    picture.wait_for()
    page.get_by_text("val_miou").first.wait_for()
    sections = page.locator("[class*=collapse-header][aria-expanded]").all()
    titles = [section.inner_text().split("\n")[:2] for section in sections]
    top, bottom, tile_top, tile_bottom = picture.evaluate(PLACE)
    page.close()
    assert titles[0] == ["curves", "(5)"]
    assert titles[1] == ["overlays", "(2)"]
    assert titles[2] == ["Model metrics", "(1)"]
    seen = min(bottom, tile_bottom) - max(top, tile_top)
    assert seen > (bottom - top) / 2 > 0, "the caption above leaves it room"


def _page(browser: Any, **size: int) -> Any:
    page = browser.new_page(viewport=size)
    page.set_default_timeout(1000 * HANG_S)
    return page


def _grid(page: Any) -> list[str]:
    """The text of each row; its pinned and its scrolled cells are apart in the page."""
    cells = page.locator("[role=row][row-index]")
    texts: dict[str, str] = {}
    for cell in cells.all():
        index = cell.get_attribute("row-index") or ""
        texts[index] = f"{texts.get(index, '')} {cell.inner_text()}"
    return list(texts.values())
