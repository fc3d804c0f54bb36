import logging
import resource
import threading

import pytest

from seglib.errors import SegError
from seglib.training.checkpoints import Checkpoints

KEY = "f" * 64


def _steps(place, key=KEY):
    """The step from which a training would go on."""
    found = Checkpoints(place).open(key)
    return found and found.facts["step"]


def test_training_goes_on_from_the_newest_checkpoint_and_older_ones_are_removed(
    opened, snapshot, keep, tmp_path
):
    checkpoints = opened()
    keep(checkpoints, *map(snapshot, range(1, 6)))
    assert checkpoints.written_step == 5
    kept = Checkpoints(tmp_path / "place").open(KEY)
    assert kept.facts["step"] == 5
    assert (kept.arrays["network"][0] == snapshot(5).arrays["network"][0]).all()
    files = [path for path in (tmp_path / "place").rglob("*") if path.is_file()]
    assert len(files) == 2


@pytest.mark.parametrize("damage", ["a flipped bit", "half of it", "nothing of it"])
def test_a_broken_checkpoint_is_named_and_the_one_before_is_taken(
    opened, snapshot, keep, tmp_path, caplog, damage
):
    keep(opened(), snapshot(3), snapshot(4))
    path = tmp_path / "place" / KEY / "1.checkpoint"
    content = bytearray(path.read_bytes())
    content[2000] ^= 4
    keeps = {"a flipped bit": len(content), "half of it": len(content) // 2}
    path.write_bytes(content[: keeps.get(damage, 0)])
    assert _steps(tmp_path / "place") == 3
    assert f"{path}: " in caplog.text
    assert "it is not used" in caplog.text
    checkpoints = opened()
    keep(checkpoints, snapshot(9))
    assert (tmp_path / "place" / KEY / "0.checkpoint").exists(), "the whole one stays"
    assert _steps(tmp_path / "place") == 9


def test_training_starts_anew_with_a_warning_where_all_checkpoints_are_broken(
    opened, snapshot, keep, tmp_path, caplog
):
    keep(opened(), snapshot(3), snapshot(4))
    for path in (tmp_path / "place" / KEY).glob("*.checkpoint"):
        path.write_bytes(b"something else")
    assert _steps(tmp_path / "place") is None
    assert caplog.text.count("not a checkpoint") == 2


def test_a_checkpoint_of_another_training_is_never_loaded(
    opened, snapshot, keep, tmp_path, caplog
):
    keep(opened(), snapshot(3))
    other = "a" * 64
    caplog.set_level("INFO", "seglib")
    assert _steps(tmp_path / "place", other) is None
    assert "place has the state of another training, with other settings" in caplog.text
    (tmp_path / "place" / KEY).rename(tmp_path / "place" / "moved")
    (tmp_path / "place" / other).rmdir()
    (tmp_path / "place" / "moved").rename(tmp_path / "place" / other)
    assert _steps(tmp_path / "place", other) is None
    assert "of another training" in caplog.text


def test_a_training_that_is_to_start_anew_removes_what_was_there(
    opened, snapshot, keep, tmp_path
):
    keep(opened(), snapshot(3))
    assert Checkpoints(tmp_path / "place", resume=False).open(KEY) is None
    assert _steps(tmp_path / "place") is None


def test_removing_a_training_leaves_only_those_of_other_trainings(
    opened, snapshot, keep, tmp_path
):
    first, second = opened(), opened(key="a" * 64)
    keep(first, snapshot(3))
    keep(second, snapshot(4))
    (tmp_path / "place" / KEY / ".partial").mkdir(exist_ok=True)
    (tmp_path / "place" / KEY / ".partial" / "of a killed process").write_bytes(b"half")
    first.remove()
    assert [path.name for path in (tmp_path / "place").iterdir()] == ["a" * 64]
    second.remove()
    assert not (tmp_path / "place").exists()


def test_a_checkpoint_is_due_after_its_time_or_at_an_epochs_end(
    tmp_path, snapshot, keep
):
    rarely = Checkpoints(tmp_path, every_s=3600, largest_share=1e9)
    rarely.open(KEY)
    assert not rarely.is_due()
    assert rarely.is_due(epoch_ends=True)
    often = Checkpoints(tmp_path, every_s=0, largest_share=1e9)
    often.open(KEY)
    keep(often, snapshot(1))
    assert often.is_due()


def test_a_checkpoint_that_costs_more_is_due_less_often(tmp_path, snapshot):
    checkpoints = Checkpoints(tmp_path, every_s=0, largest_share=1e-15)
    checkpoints.open(KEY)
    with checkpoints:
        assert checkpoints.is_due()
        checkpoints.write(lambda: snapshot(1))
    # A microsecond is this part of thirty years.
    assert not checkpoints.is_due(epoch_ends=True)


def test_a_full_disk_is_one_warning_and_later_all_is_well(
    opened, snapshot, keep, tmp_path, caplog
):
    checkpoints = opened()
    keep(checkpoints, snapshot(1))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, limits[1]))
    try:
        keep(checkpoints, snapshot(2), snapshot(3))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert caplog.text.count("Training goes on without") == 1
    assert str(tmp_path / "place") in caplog.text
    assert _steps(tmp_path / "place") == 1
    with caplog.at_level(logging.INFO):
        keep(checkpoints, snapshot(4))
    assert "written again" in caplog.text
    assert _steps(tmp_path / "place") == 4


def test_two_equal_trainings_at_once_corrupt_nothing(
    opened, snapshot, keep, tmp_path, caplog
):
    done = threading.Event()
    seen = []

    def look():
        while not done.is_set():
            seen.append(_steps(tmp_path / "place"))

    def train(first):
        keep(opened(), *(snapshot(first + i, 300_000) for i in range(20)))

    keep(opened(), snapshot(1))
    reader = threading.Thread(target=look)
    reader.start()
    writers = [threading.Thread(target=train, args=(first,)) for first in (100, 200)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    done.set()
    reader.join()
    assert None not in seen
    assert "not used" not in caplog.text
    assert _steps(tmp_path / "place") in (119, 218, 219)


def test_a_place_that_cannot_be_is_told_before_the_training(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(SegError, match="file"):
        Checkpoints(tmp_path / "file").open(KEY)
