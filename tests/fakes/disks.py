"""Disks that are full."""

from pathlib import Path


def fill(disk: Path) -> None:
    """Leave no room on a disk: not even for a file of one byte."""
    try:
        with (disk / "filler").open("wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))
    except OSError:
        return
