"""The page of `seglib demo`, in a real browser."""

import base64
import subprocess
import sys

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from benchmarks.waiting import HANG_S, wait_for_answer
from seglib.cli.main import app
from seglib.data.image_io import decode_mask, encode_png
from seglib.drawing.pictures import colorize, overlay
from seglib.errors import UsageError
from seglib.inference.demo_page import require_gradio
from tests.fakes.servers import free_port

# Whatever the process would look up or connect to beyond this machine.
WATCHED = """
import sys

def watch(event, args):
    if event in ("socket.connect", "socket.getaddrinfo"):
        host = args[1] if event == "socket.connect" else args[0]
        host = host[0] if isinstance(host, tuple) else host
        if host not in ("127.0.0.1", "::1", "localhost"):
            print("OTHER HOST", event, args, flush=True)

sys.addaudithook(watch)
from seglib.cli.main import main
main()
"""
DROP = """([content, name]) => {
  const bytes = Uint8Array.from(atob(content), (c) => c.charCodeAt(0));
  const dropped = new DataTransfer();
  dropped.items.add(new File([bytes], name));
  return dropped;
}"""


@pytest.fixture(scope="module")
def address(trained, tmp_path_factory):
    pytest.importorskip("gradio", reason="pip install 'seglib[demo]'")
    log, port = tmp_path_factory.mktemp("demo") / "log", free_port()
    command = [
        *(sys.executable, "-c", WATCHED, "demo", str(trained.folder)),
        *("--no-browser", "--port", str(port)),
    ]
    with log.open("wb") as output:
        server = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
    try:
        wait_for_answer(f"http://127.0.0.1:{port}/", server, log=log)
        yield f"http://127.0.0.1:{port}/"
        told = log.read_text()
        assert f"The page: http://127.0.0.1:{port}/" in told
        assert "OTHER HOST" not in told, told
        assert "Traceback" not in told, told
    finally:
        server.terminate()
        server.wait()


@pytest.fixture
def page(address, browser):
    page = browser.new_page()
    page.set_default_timeout(1000 * HANG_S)
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(address)
    yield page
    page.close()
    assert not [url for url in asked if not url.startswith((address, "data:", "blob:"))]


def _drop(page, path):
    content = base64.b64encode(path.read_bytes()).decode()
    dropped = page.evaluate_handle(DROP, [content, path.name])
    place = page.get_by_role("button", name="drop files")
    place.dispatch_event("drop", {"dataTransfer": dropped})


def _fetched(page, locator, attribute):
    return page.request.get(locator.get_attribute(attribute)).body()


@pytest.mark.browser
def test_the_page_shows_the_model_s_mask_of_a_dropped_image_and_lives_on_after_others(
    page, trained, tiny_dataset, tmp_path
):
    (tmp_path / "notes.png").write_text("no image")
    bomb = bytearray(encode_png(np.zeros((8, 8, 3), np.uint8)))
    bomb[16:24] = (60_000).to_bytes(4, "big") * 2  # height and width, as it claims
    (tmp_path / "bomb.png").write_bytes(bomb)
    for name, told in (
        ("notes.png", "not an image, or a damaged one"),
        ("bomb.png", "too large: 60,000×60,000 pixels"),
    ):
        _drop(page, tmp_path / name)
        page.get_by_text(f"{name}: {told}").wait_for()
        page.get_by_role("button", name="Clear").first.click()

    contract = trained.model.contract
    image = cv2.imread(str(tiny_dataset.pairs("test")[0].image))[:61, :83]
    photo = tmp_path / "photo.jpg"
    cv2.imwrite(str(photo), image)
    expected = trained.model.predict(photo)
    _drop(page, photo)
    link = page.locator("a[download='photo.png']")
    link.wait_for()
    assert (decode_mask(_fetched(page, link, "href")) == expected).all()
    drawn = colorize(expected, contract.palette)
    seen = cv2.cvtColor(cv2.imread(str(photo)), cv2.COLOR_BGR2RGB)
    for name, picture in (
        ("mask", drawn),
        ("overlay", overlay(seen, expected, contract.palette)),
    ):
        shown = page.locator(f"#{name} img")
        content = np.frombuffer(_fetched(page, shown, "src"), np.uint8)
        found = cv2.cvtColor(cv2.imdecode(content, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
        assert (found == picture).all(), name
    page.locator("#classes img").wait_for()


def test_a_missing_gradio_is_told_with_the_command_that_installs_it(
    monkeypatch, tmp_path
):
    monkeypatch.setitem(sys.modules, "gradio", None)
    with pytest.raises(UsageError, match=r"pip install 'seglib\[demo\]'"):
        require_gradio()
    done = CliRunner().invoke(app, ["demo", str(tmp_path), "--no-browser"])
    assert isinstance(done.exception, UsageError)
