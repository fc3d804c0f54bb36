"""A disk without room: one sentence, a status that is not 0, earlier outputs whole."""

import sys
from pathlib import Path

import pytest

from pipeline import __main__ as pipeline
from seglib.cli import main as cli
from seglib.config import AugmentConfig
from seglib.errors import SegError
from seglib.models import build_model
from seglib.models.model import SegmentationModel
from seglib.steps.augment import augment
from seglib.steps.export import export
from tests.fakes.disks import fill


def _names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.fixture(scope="module")
def model() -> SegmentationModel:
    return build_model("compact_small", num_classes=3, image_size=(48, 64))


def test_shards_that_find_no_room_leave_the_older_ones(tiny_dataset, small_disk):
    out = small_disk / "shards"
    augment(tiny_dataset, out, config=AugmentConfig(copies=0, policy="none"))
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    with pytest.raises(SegError, match=r"shards: the shards cannot be written.*space"):
        augment(tiny_dataset, out, config=AugmentConfig(copies=8))
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    assert _names(small_disk) == {"shards"}


def test_a_model_and_an_export_that_find_no_room_leave_nothing(model, small_disk):
    fill(small_disk)
    for write in (model.save, lambda out: export(model, out)):
        with pytest.raises(SegError, match=r"out: the \w+ cannot be written"):
            write(small_disk / "out")
    assert _names(small_disk) == {"filler"}


@pytest.mark.parametrize(
    "command",
    [
        "seglib augment {data} --out {disk}/out",
        "seglib convert {data} --out {disk}/out",
        "seglib verify {data} --out {disk}/out",
        "seglib visualize {data} --out {disk}/out",
        "seglib publish {data} {disk}/out",
        "pipeline run --data {data} --runs {disk}/runs",
    ],
)
def test_a_command_that_finds_no_room_ends_in_one_sentence(
    tiny_root, small_disk, monkeypatch, capsys, command
):
    fill(small_disk)
    program, *arguments = command.format(data=tiny_root, disk=small_disk).split()
    monkeypatch.setattr(sys, "argv", [program, *arguments])
    with pytest.raises(SystemExit) as ended:
        (cli if program == "seglib" else pipeline).main()
    assert ended.value.code == 1
    told = capsys.readouterr().err
    assert "error:" in told
    assert "cannot be written" in told.replace("\n", " ")
    assert "Traceback" not in told
