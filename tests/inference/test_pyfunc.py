"""A model behind MLflow's pyfunc flavour, in Python and over HTTP."""

import base64
import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from mlflow.models import Model

from benchmarks.waiting import wait_for_answer
from seglib.data.image_io import decode_mask, encode_png, read_image
from seglib.environment import TRACKING_URI
from seglib.errors import SegError
from seglib.inference.pyfunc import Pyfunc
from seglib.registry.champion import Registry
from seglib.storage.files import model_digest
from seglib.tracking.tracked_run import PYFUNC
from tests.fakes.servers import free_port


@pytest.fixture(scope="module")
def picture(tiny_dataset):
    return read_image(tiny_dataset.pairs("test")[0].image)[:51, :77]


@pytest.fixture(scope="module")
def served(trained):
    return Pyfunc(trained.model)


@pytest.fixture(scope="module")
def address(trained, new_store, tmp_path_factory):
    """Of `mlflow models serve` on a registered model, by its alias."""
    place = tmp_path_factory.mktemp("served")
    store = new_store()
    experiment = store.client.create_experiment(
        "served", artifact_location=(place / "artifacts").as_uri()
    )
    run = store.client.create_run(experiment).info.run_id
    logged = store.client.create_logged_model(experiment, name="model").model_id
    folder = trained.model.save(place / "model")
    description = Model(model_id=logged)  # as TrackedRun describes it
    description.add_flavor("python_function", loader_module=PYFUNC, env={})
    description.save(str(folder / "MLmodel"))
    store.client.log_model_artifacts(logged, str(folder))
    store.client.finalize_logged_model(logged, "READY")
    tags = {"against": 0, "state": "waiting", "model_digest": model_digest(folder)}
    Registry(store.uri).register("street", model_id=logged, run_id=run, tags=tags)
    store.client.set_registered_model_alias("street", "champion", "1")

    port, log = free_port(), place / "log"
    command = [
        *(sys.executable, "-m", "mlflow", "models", "serve", "--env-manager", "local"),
        *("-m", "models:/street@champion", "-h", "127.0.0.1", "-p", str(port)),
    ]
    beside = str(Path(sys.executable).parent)  # where MLflow finds uvicorn
    environment = {
        **os.environ,
        TRACKING_URI: store.uri,
        "PATH": f"{beside}:{os.environ['PATH']}",
    }
    with log.open("wb") as output:
        server = subprocess.Popen(
            command,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # it starts a server of its own
        )
    try:
        wait_for_answer(f"http://127.0.0.1:{port}/ping", server, log=log)
        yield f"http://127.0.0.1:{port}/invocations"
    finally:
        with suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def _post(address, body):
    request = urllib.request.Request(
        address, body, {"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_files_and_pixels_are_answered_over_http_and_bad_requests_end_no_server(
    address, trained, picture
):
    expected = trained.model.predict(picture)
    encoded = base64.b64encode(encode_png(picture)).decode()
    table = {"dataframe_split": {"columns": ["image"], "data": [[encoded]] * 2}}
    status, answer = _post(address, json.dumps(table).encode())
    assert status == 200, answer
    for each in answer["predictions"]:
        mask = decode_mask(base64.b64decode(each["mask"]))
        assert (each["height"], each["width"]) == expected.shape
        assert (mask == expected).all()
    pixels = json.dumps({"inputs": picture[None].tolist()}).encode()
    status, answer = _post(address, pixels)
    assert status == 200, answer
    assert (np.array(answer["predictions"])[0] == expected).all()

    damaged = base64.b64encode(b"\x89PNG\r\n\x1a\n and no more").decode()
    for body in (
        b"{",
        b"{}",
        json.dumps({"inputs": [[1, 2], [3, 4]]}).encode(),
        json.dumps({"inputs": (picture[None].astype(int) + 300).tolist()}).encode(),
        json.dumps({"dataframe_split": {"columns": ["x"], "data": [[1]]}}).encode(),
        json.dumps({"inputs": {"image": ["no base64"]}}).encode(),
        json.dumps({"inputs": {"image": [damaged]}}).encode(),
        json.dumps({"inputs": {"image": [_bomb()]}}).encode(),
        b"x" * 3_000_000,
    ):
        status, answer = _post(address, body)
        assert 400 <= status < 500, (body[:80], answer)
    status, answer = _post(address, json.dumps(table).encode())
    assert status == 200, answer


def _bomb() -> str:
    """A small PNG that claims 60,000 × 60,000 pixels."""
    png = bytearray(encode_png(np.zeros((8, 8, 3), np.uint8)))
    png[16:24] = (60_000).to_bytes(4, "big") * 2
    return base64.b64encode(bytes(png)).decode()


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (np.zeros((1, 8, 8, 4), np.uint8), "3 channels. Received: shape"),
        (np.full((1, 8, 8, 3), 256), r"values 256 … 256"),
        (np.zeros((0, 8, 8, 3)), "Received: shape"),
        ("image.png", "a column `image`"),
        ({"image": [5]}, "image 0"),
        ({"image": ["%"]}, "image 0: no base64"),
    ],
)
def test_what_is_no_image_is_told(given, told, served):
    with pytest.raises(SegError, match=told):
        served.predict(given)


def test_unknown_parameters_are_refused(served, picture):
    with pytest.raises(SegError, match="No parameters are known. Received: tile"):
        served.predict(picture[None], {"tile": 8})
