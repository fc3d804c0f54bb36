"""What may lie in a user's folder: FIFOs, sockets, devices, links to nothing, loops."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.waiting import HANG_S
from seglib.config import Config
from seglib.data.dataset import scan_dataset
from seglib.data.dataset_yaml import read_description
from seglib.data.image_io import read_image, write_image
from seglib.errors import SegError
from seglib.storage.files import (
    file_sha256,
    is_left_behind,
    normal,
    read_file,
    visible_files,
)
from seglib.storage.hashes import hash_folder
from seglib.storage.pins import default_remote, read_pin
from seglib.storage.publishing import publish


def _fifo(path):
    os.mkfifo(path)


def _socket(path):
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(path))


def _device(path):
    path.symlink_to("/dev/zero")


def _link_to_a_fifo(path):
    os.mkfifo(path.with_name("fifo"))
    path.symlink_to("fifo")


def _dangling(path):
    path.symlink_to("nowhere")


def _loop(path):
    path.symlink_to(path.name)


KINDS = {
    _fifo: "it is a FIFO, expected a file",
    _socket: "it is a socket, expected a file",
    _device: "it is a device, expected a file",
    _link_to_a_fifo: "it is a FIFO, expected a file",
    _dangling: "it is a link to nowhere, which does not exist",
    _loop: "it is a link that leads back to itself",
    Path.mkdir: "it is a folder",
}
READERS = {
    "an image": read_image,
    "a config": Config.load,
    "a pin": read_pin,
    "what is hashed": file_sha256,
}


@pytest.fixture(params=KINDS, ids=lambda make: make.__name__.strip("_"))
def odd(request, tmp_path, monkeypatch):
    """A path where something else is than a file, and what it is."""
    monkeypatch.chdir(tmp_path)  # a socket's path must be short
    request.param(Path("odd.png"))
    return tmp_path / "odd.png", KINDS[request.param]


@pytest.mark.parametrize("reader", READERS.values(), ids=READERS)
def test_every_reader_names_what_is_no_file(odd, reader):
    path, what = odd
    with pytest.raises(SegError, match=rf"odd.png: .*{what}"):
        reader(path)


def test_a_folder_with_something_else_in_it_is_neither_hashed_nor_published(odd):
    path, what = odd
    if path.is_dir():
        return
    with pytest.raises(SegError, match=rf"cannot be read \({what}"):
        hash_folder(path.parent)
    with pytest.raises(SegError, match=rf"cannot be read \({what}"):
        publish(path.parent, str(path.parent.with_name("remote")))


@pytest.mark.parametrize("make", [_fifo, _socket, _device, _dangling, _loop])
def test_a_dataset_with_something_else_in_it_says_where(folder_with, make, monkeypatch):
    (folder_with / "train_images" / "b.png").unlink()
    monkeypatch.chdir(folder_with / "train_images")
    make(Path("b.png"))
    problems = [f"{p.path}: {p.reason}" for p in scan_dataset(folder_with).problems]
    image = folder_with / "train_images" / "b.png"
    assert f"{image}: cannot be read ({KINDS[make]})" in problems


@pytest.mark.parametrize(
    ("name", "reader"),
    [("dataset.yaml", read_description), (".dvc/config", default_remote)],
)
def test_a_fifo_in_place_of_a_settings_file_does_not_wait(tmp_path, name, reader):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    os.mkfifo(tmp_path / name)
    with pytest.raises(SegError, match=f"{name}: cannot be read.*it is a FIFO"):
        reader(tmp_path)


def test_a_fifo_that_takes_the_place_of_a_file_does_not_wait(tmp_path):
    # In a process of its own: an open that waits would not come back.
    code = (
        "import os, sys; from pathlib import Path; from seglib.storage import files\n"
        "path = Path(sys.argv[1]); os.mkfifo(path); files.check_file = lambda _: None\n"
        "try: files.open_file(path)\n"
        "except OSError as error: print(error.strerror)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "fifo"],
        capture_output=True,
        text=True,
        timeout=HANG_S,
        check=True,
    )
    assert done.stdout == "it is a FIFO, expected a file\n"


def test_a_file_is_read_up_to_its_bound(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"12345")
    assert read_file(path, max_bytes=5) == b"12345"
    with pytest.raises(OSError, match="it has more than 4 bytes"):
        read_file(path, max_bytes=4)
    with pytest.raises(OSError, match="null"):
        read_file(Path("a\0b"))


def test_files_of_operating_systems_are_no_part_of_a_dataset(tmp_path):
    for name in ("._a.png", ".DS_Store", "Thumbs.db", "thumbs.db", "desktop.ini", "a"):
        (tmp_path / name).touch()
    for name in ("__MACOSX", ".ipynb_checkpoints", "inner"):
        (tmp_path / name).mkdir()
        assert is_left_behind(name) == (name != "inner")
    assert [path.name for path in visible_files(tmp_path)] == ["a"]


def test_names_are_compared_in_one_normal_form():
    assert normal("cafe\u0301") == normal("café") == "café"
    assert normal("\udcff") == "\udcff"  # bytes that are no text stay what they are


@pytest.fixture
def folder_with(tmp_path):
    import numpy as np

    root = tmp_path / "data"
    for name in ("images", "segmentation"):
        for stem in "ab":
            path = root / f"train_{name}" / f"{stem}.png"
            write_image(path, np.zeros((4, 4), np.uint8))
    return root
