"""Counts in the cache: shared by md5, whoever adds at the same time."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.waiting import HANG_S
from seglib.data.image_io import MASK_DECODING
from seglib.data.versions import kept
from seglib.data.versions.kept import keep, read_kept
from seglib.errors import SegError


def _md5(number: int, beginning: str = "ab") -> str:
    return f"{beginning}{number:030x}"


def test_what_is_kept_is_read_back(tmp_path):
    counts = {_md5(1): {0: 5, 255: 1}, _md5(2, "cd"): {3: 7}}
    keep(counts, tmp_path)
    assert read_kept([*counts, _md5(9)], tmp_path) == counts
    assert read_kept([_md5(9), _md5(1, "ef")], tmp_path) == {}
    assert not (
        tmp_path / "class-counts" / str(MASK_DECODING + 1)
    ).exists()  # of another decoding


def test_nothing_is_made_where_nothing_is_known(tmp_path):
    assert read_kept([_md5(1)], tmp_path / "none") == {}
    assert not (tmp_path / "none").exists()


def test_of_many_who_add_at_once_none_loses_anything(tmp_path):
    script = (
        "import sys; from pathlib import Path\n"
        "from seglib.data.versions.kept import keep\n"
        "for number in range(20):\n"
        "    keep({f'ab{sys.argv[1]}{number:029x}': {0: 9}}, Path(sys.argv[2]))"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path.cwd())}
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", script, str(writer), str(tmp_path)], env=environment
        )
        for writer in range(3)
    ]
    assert [writer.wait(timeout=HANG_S) for writer in writers] == [0, 0, 0]
    wanted = [f"ab{writer}{number:029x}" for writer in range(3) for number in range(20)]
    assert read_kept(wanted, tmp_path).keys() == set(wanted)
    left = [
        path.name for path in (tmp_path / "class-counts" / str(MASK_DECODING)).iterdir()
    ]
    assert sorted(left) == ["ab", "lock"]


def test_what_a_killed_process_left_is_cleared_away(tmp_path):
    keep({_md5(1): {0: 1}}, tmp_path)
    left = tmp_path / "class-counts" / str(MASK_DECODING) / "ab.0123.part"
    left.write_bytes(b"half")
    keep({_md5(2): {0: 2}}, tmp_path)
    assert not left.exists()
    assert len(read_kept([_md5(1), _md5(2)], tmp_path)) == 2


def test_the_oldest_make_room(tmp_path, monkeypatch):
    monkeypatch.setattr(kept, "MOST_MASKS", 3)
    for number in (5, 4, 3, 2, 1):
        keep({_md5(number): {0: number}}, tmp_path)
    every = [_md5(number) for number in range(9)]
    assert set(read_kept(every, tmp_path)) == {_md5(1), _md5(2), _md5(3)}


@pytest.mark.parametrize("content", [b"", b"not gzip"])
def test_a_damaged_record_knows_nothing_and_is_replaced(tmp_path, content):
    keep({_md5(1): {0: 1}}, tmp_path)
    (tmp_path / "class-counts" / str(MASK_DECODING) / "ab").write_bytes(content)
    assert read_kept([_md5(1)], tmp_path) == {}
    keep({_md5(2): {0: 2}}, tmp_path)
    assert read_kept([_md5(2)], tmp_path) == {_md5(2): {0: 2}}


def test_a_cache_that_cannot_be_written_to_is_named(tmp_path):
    (tmp_path / "file").write_text("a file")
    with pytest.raises(SegError, match=r"cannot be kept here.*SEGLIB_CACHE"):
        keep({_md5(1): {0: 1}}, tmp_path / "file")
