import errno
import re

import pytest

from seglib.errors import DatasetError, SegError, UsageError, disk_problem, unknown


def test_wrong_use_exits_with_2_and_a_problem_with_1():
    assert UsageError("x").exit_code == 2
    assert SegError("x").exit_code == DatasetError("x").exit_code == 1


def test_an_unknown_name_is_answered_with_the_nearest():
    message = str(unknown("model", "unte", ["unet", "fcn_8"]))
    assert message == (
        "Unknown model: `unte`. Did you mean `unet`? Expected one of: fcn_8, unet."
    )


def test_a_name_that_resembles_nothing_gets_the_list_only():
    message = str(unknown("model", "zzz", ["unet"]))
    assert message == "Unknown model: `zzz`. Expected one of: unet."


def test_problems_of_a_dataset_are_one_a_line_and_counted_beyond_the_limit():
    error = DatasetError("bad:", [f"{n}.png: gone" for n in range(5)], limit=3)
    lines = str(error).splitlines()
    assert lines == [
        "bad:",
        "  0.png: gone",
        "  1.png: gone",
        "  2.png: gone",
        "  … and 2 more.",
    ]
    assert len(error.problems) == 5


def test_a_problem_is_told_without_the_login_of_an_address():
    error = SegError("https://me:p@ss/w@host/x: no answer. Ask postgresql://a:b@db/x.")
    assert str(error) == "https://host/x: no answer. Ask postgresql://db/x."


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (
            OSError(errno.ENOSPC, "No space left", "/a/b"),
            r"/a/b \(No space left\): .*Free",
        ),
        (OSError(errno.EDQUOT, "Quota", "x"), r"x \(Quota\): cannot be written"),
        (OSError(errno.EFBIG, "File too large"), r"File too large: cannot be written"),
        (PermissionError(errno.EACCES, "Denied", "x"), r"x \(Denied\): cannot be used"),
        (OSError(errno.EROFS, "Read-only", "x"), r"x \(Read-only\): cannot be used"),
        (
            RuntimeError("write() failed: No space left on device; x"),
            r"device; x: cann",
        ),
        (RuntimeError("database or disk is full"), r"disk is full: cannot be written"),
        (FileNotFoundError(errno.ENOENT, "No such file", "x"), None),
        (RuntimeError("anything"), None),
        (ValueError("File not found"), None),
    ],
)
def test_a_problem_of_a_disk_is_one_sentence(error, told):
    wrapped = RuntimeError("of a library")
    wrapped.__cause__ = error
    for one in (error, wrapped):
        problem = disk_problem(one)
        assert re.search(told, str(problem)) if told else problem is None
