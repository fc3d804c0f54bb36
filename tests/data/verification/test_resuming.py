"""A verification reads what is new, and finds the same as one that reads everything."""

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from seglib.data import tree
from seglib.data.image_io import write_image
from seglib.data.verification.verified import Verification
from seglib.data.verification.verifier import verify
from seglib.environment import MAX_PIXELS
from seglib.steps.verify import findings_json, write_verification
from tests.fakes.dataset_folder import DatasetFolder


@pytest.fixture
def cache(tmp_path: Path, monkeypatch) -> Path:
    """The cache's file; files are trusted at once."""
    monkeypatch.setenv("SEGLIB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(tree, "_SETTLED_S", 0.0)
    return tmp_path / "cache" / "verification" / "facts.sqlite"


@pytest.fixture
def faulty(folder: DatasetFolder) -> DatasetFolder:
    """A dataset with a fault of many kinds."""
    folder.image("train", "a").write_bytes(b"")
    ids = folder.ids()
    ids[0, 0] = 9
    write_image(folder.mask("train", "b"), ids)
    folder.mask("val", "d").unlink()
    write_image(folder.image("val", "e"), folder.pixels("c"))
    write_image(folder.mask("train", "c"), folder.pixels("c"))
    return folder


def told(found: Verification) -> str:
    return "".join(findings_json(found))


def results(root: Path, out: Path, **options: bool) -> tuple[str, bytes, bytes]:
    found = verify(root, **options)
    write_verification(found, out)
    pages = (out / name for name in ("manifest.json", "report.html"))
    return told(found), *(page.read_bytes() for page in pages)


@pytest.mark.parametrize("fixture", ["folder", "faulty"])
def test_the_findings_are_the_same_with_and_without_the_cache(
    request, fixture, cache, tmp_path
):
    root = request.getfixturevalue(fixture).root
    first = results(root, tmp_path / "out")
    assert results(root, tmp_path / "out") == first
    assert results(root, tmp_path / "out", fresh=True) == first


def test_only_changed_files_are_read_again(folder, cache):
    assert verify(folder.root).files_read == 10
    assert verify(folder.root).files_read == 0
    write_image(folder.mask("train", "b"), folder.ids()[::-1])
    assert verify(folder.root).files_read == 1
    assert verify(folder.root, fresh=True).files_read == 10


def test_a_change_is_seen_though_size_and_time_stay(folder, cache):
    image = folder.image("train", "b")
    before = image.stat()
    verify(folder.root)
    content = image.read_bytes()
    image.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    os.utime(image, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert [p.kind for p in verify(folder.root).problems] == ["damaged-file"]


def test_a_file_that_was_just_changed_is_read_again(folder, cache, monkeypatch):
    monkeypatch.setattr(tree, "_SETTLED_S", 3600.0)
    verify(folder.root)
    assert verify(folder.root).files_read == 10


def test_a_moved_dataset_is_known(folder, cache):
    verify(folder.root)
    moved = folder.root.rename(folder.root.with_name("roads"))
    assert verify(moved).files_read == 0


@pytest.mark.parametrize("share", [0.01, 0.2, 1.0])
def test_a_damaged_cache_changes_no_finding(faulty, cache, share):
    expected = told(verify(faulty.root))
    draw, whole = random.Random(0), cache.read_bytes()
    for _ in range(10):
        content = bytearray(whole)
        for place in draw.sample(range(len(content)), int(share * len(content) / 10)):
            content[place] = draw.randrange(256)
        cache.write_bytes(content)
        assert told(verify(faulty.root)) == expected
        assert told(verify(faulty.root)) == expected


def test_a_cache_of_another_limit_is_written_anew(folder, cache, monkeypatch):
    verify(folder.root)
    monkeypatch.setenv(MAX_PIXELS, "100")
    assert {p.kind for p in verify(folder.root).problems} >= {"too-large"}
    monkeypatch.delenv(MAX_PIXELS)
    assert verify(folder.root).ok


def test_without_a_place_for_the_cache_everything_is_read(folder, cache):
    cache.parent.parent.write_text("a file where the folder should be")
    assert verify(folder.root).files_read == 10
    assert verify(folder.root).files_read == 10


_KILLED = """
import os, signal, sys
from seglib.data import tree
from seglib.data.verification import facts_cache
from seglib.data.verification.verified import Verification
from seglib.data.verification.verifier import verify
tree._SETTLED_S = facts_cache._COMMIT_S = 0.0
def progress(done, total):
    if done >= 20:
        os.kill(os.getpid(), signal.SIGKILL)
verify(sys.argv[1], progress=progress)
"""


def test_a_killed_verification_continues(folder, cache):
    for number in range(200):
        write_image(folder.image("train", f"n{number}"), folder.pixels(f"{number}"))
        write_image(folder.mask("train", f"n{number}"), folder.ids())
    done = subprocess.run(
        [sys.executable, "-c", _KILLED, str(folder.root)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        check=False,
    )
    assert done.returncode == -signal.SIGKILL
    assert 200 < verify(folder.root).files_read <= 410 - 40
