"""The file of recurring runs: what is to run when."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from seglib.errors import UsageError
from seglib.settings import at, build, read_tree, require, section

_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?")
_EVERY = re.compile(r"(\d+)([smhd])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


@section
class Schedule:
    """One recurring run."""

    cron: str = ""  # 5 fields, or 6 with seconds first; in the server's zone, else UTC
    every: str = ""  # instead of cron: 90m, 6h, 1d …
    start: str = ""  # not before: 2026-11-23T03:00:00Z
    end: str = ""  # not after
    config: str = ""  # YAML file, from the schedules' own folder
    settings: tuple[str, ...] = ()  # name=value, on top of it
    rev: str = ""  # git revision of data.dvc; "": as it is in the checkout
    data_md5: str = ""  # the dataset's hash itself
    remote: str = ""  # s3://bucket/prefix; "": DVC's default remote
    enabled: bool = True
    catchup: bool = False  # make up for what was missed while it was away
    max_concurrency: Annotated[int, Field(ge=1, le=10)] = 1  # runs of it at once

    def __post_init__(self) -> None:
        if bool(self.cron) == bool(self.every):
            raise UsageError(
                f"expected either `cron` or `every`. Received: cron={self.cron!r}, "
                f"every={self.every!r}."
            )
        if self.cron:
            fields = len(self.cron.split())
            require(fields in (5, 6), "cron", "of 5 or 6 fields", self.cron)
        else:
            expected = "a number and s, m, h or d"
            require(self.interval_s > 0, "every", expected, self.every)
        for name in ("start", "end"):
            _time(name, getattr(self, name))

    @property
    def interval_s(self) -> int:
        match = _EVERY.fullmatch(self.every)
        return int(match[1]) * _SECONDS[match[2]] if match else 0

    @property
    def trigger(self) -> dict[str, Any]:
        """As KFP has it: one of two kinds, times in UTC."""
        limits = {
            f"{name}_time": _time(name, getattr(self, name))
            for name in ("start", "end")
            if getattr(self, name)
        }
        if self.every:
            periodic = {"interval_second": str(self.interval_s), **limits}
            return {"periodic_schedule": periodic}
        seconds = "" if len(self.cron.split()) == 6 else "0 "
        cron = seconds + " ".join(self.cron.split())
        return {"cron_schedule": {"cron": cron, **limits}}

    @property
    def when(self) -> str:
        """For people."""
        return f"every {self.every}" if self.every else f"at {self.cron}"


@section
class Schedules:
    """All recurring runs of a file. Others of the server are not touched."""

    name: str = ""  # of the group
    experiment: str = ""  # of KFP; "": the pipeline's name
    schedules: Mapping[str, Schedule] = Field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in (self.name, *self.schedules):
            fits = bool(_NAME.fullmatch(name))
            require(fits, "name", "lower-case letters, digits and dashes, ≤ 40", name)


def read_schedules(path: Path) -> Schedules:
    """The file's content.

    Raises:
        UsageError: it cannot be read, or something in it cannot be right.
    """
    tree = read_tree(path)
    if not isinstance(tree, dict):
        raise UsageError(f"{path}: expected `name:` and `schedules:`.")
    with at(str(path)):
        given = {name: value for name, value in tree.items() if value is not None}
        return build(Schedules, "", given)


def _time(name: str, text: str) -> datetime | None:
    if not text:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        require(False, name, "a time such as 2026-11-23T03:00:00Z", text)
        raise
    return found.replace(tzinfo=found.tzinfo or UTC)
