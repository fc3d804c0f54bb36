"""Writers that are killed, that live, and that write the same at once."""

import errno
import fcntl
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from seglib.errors import SegError
from seglib.storage.atomic_write import (
    folder_beside,
    open_alone,
    whole_folder,
    write_bytes,
)
from seglib.storage.remotes import open_remote

_WRITERS = {
    "folder": """
with whole_folder(place / "out", what="model", marker="m") as part:
    (part / "half").write_bytes(b"half")
    wait()
""",
    "folder that is replaced": """
import pathlib
rename = pathlib.Path.rename
def rename_and_wait(self, target):
    rename(self, target)
    wait()
pathlib.Path.rename = rename_and_wait
with whole_folder(place / "out", what="model", marker="m") as part:
    (part / "m").write_bytes(b"new")
""",
    "file": """
with open_alone(place / ".out.part") as file:
    file.write(b"half")
    file.flush()
    wait()
""",
    "object": """
source = Path(sys.executable)  # of more than one chunk
FolderRemote(place).write("out", source, moved=lambda _: wait())
""",
}
_HEAD = """
import sys
from pathlib import Path
from seglib.storage.atomic_write import open_alone, whole_folder
from seglib.storage.backends.local import FolderRemote
place = Path(sys.argv[1])
def wait():
    print("ready", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def start(tmp_path) -> Iterator[Callable[[str], subprocess.Popen]]:
    """Start a writer in another process; it waits in the middle of its work."""
    started: list[subprocess.Popen] = []

    def begin(kind: str) -> subprocess.Popen:
        process = subprocess.Popen(
            [sys.executable, "-c", _HEAD + _WRITERS[kind], str(tmp_path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        started.append(process)
        assert process.stdout.readline() == b"ready\n"
        return process

    yield begin
    for process in started:
        process.kill()
        process.communicate()


def _write(kind: str, place: Path) -> None:
    if kind.startswith("folder"):
        with whole_folder(place / "out", what="model", marker="m") as part:
            (part / "m").write_bytes(b"whole")
    elif kind == "file":
        write_bytes(place / "out", b"whole")
    else:
        open_remote(str(place)).write("out", b"whole")


def _names(place: Path) -> set[str]:
    """All files, but for the lock that swaps of objects share."""
    return {
        path.relative_to(place).as_posix()
        for path in place.rglob("*")
        if path.is_file() and path.name != "lock"
    }


@pytest.mark.parametrize("kind", ["folder", "file", "object"])
def test_leftovers_of_a_killed_writer_are_removed_by_the_next(start, tmp_path, kind):
    killed = start(kind)
    assert not (tmp_path / "out").exists()
    killed.kill()
    killed.wait()
    assert _names(tmp_path), "something was left"
    _write(kind, tmp_path)
    assert _names(tmp_path) == {"out/m" if kind == "folder" else "out"}


def test_a_writer_that_lives_keeps_its_part(start, tmp_path):
    living = start("folder")
    _write("folder", tmp_path)
    (half,) = tmp_path.glob(".out.*.part/half")
    living.kill()
    living.wait()
    _write("folder", tmp_path)
    assert not half.exists()
    assert _names(tmp_path) == {"out/m"}


def test_a_folder_whose_replacement_was_killed_between_two_renames_comes_back(
    start, tmp_path
):
    _write("folder", tmp_path)
    killed = start("folder that is replaced")
    killed.kill()
    killed.wait()
    assert not (tmp_path / "out").exists()
    with folder_beside(tmp_path / "out"):
        assert (tmp_path / "out" / "m").read_bytes() == b"whole"
    assert _names(tmp_path) == {"out/m"}


@pytest.mark.parametrize("kind", ["folder", "file", "object"])
@pytest.mark.parametrize("code", [errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_written_to(tmp_path, monkeypatch, kind, code):
    def refuse(*_):
        raise OSError(code, "no locks here")

    monkeypatch.setattr(fcntl, "flock", refuse)
    for _ in range(2):
        _write(kind, tmp_path)
    assert _names(tmp_path) == {"out/m" if kind == "folder" else "out"}


def test_a_file_that_many_write_is_that_of_one_of_them(tmp_path):
    contents = [bytes([number]) * 300_000 for number in range(8)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda one: write_bytes(tmp_path / "out", one), contents * 5))
    assert (tmp_path / "out").read_bytes() in contents
    assert _names(tmp_path) == {"out"}


def _fail_in_folder(place: Path) -> None:
    with whole_folder(place / "out", what="model", marker="m") as part:
        (part / "m").write_bytes(b"new")
        raise OSError(errno.ENOSPC, "No space left on device")


def _fail_in_file(place: Path) -> None:
    with open_alone(place / ".file.part") as file:
        file.write(b"new")
        raise OSError(errno.ENOSPC, "No space left on device")


def test_an_error_leaves_the_old_output_and_no_leftovers(tmp_path):
    _write("folder", tmp_path)
    write_bytes(tmp_path / "file", b"old")
    with pytest.raises(SegError, match=r"out: the model cannot be written"):
        _fail_in_folder(tmp_path)
    with pytest.raises(OSError, match="No space left"):
        _fail_in_file(tmp_path)
    assert (tmp_path / "out" / "m").read_bytes() == b"whole"
    assert (tmp_path / "file").read_bytes() == b"old"
    assert _names(tmp_path) == {"out/m", "file"}
