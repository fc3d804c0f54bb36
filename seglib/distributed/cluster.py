"""TF_CONFIG: the addresses of the processes of a group, and which one this is."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from seglib.environment import TF_CONFIG
from seglib.errors import UsageError

_EXPECTED = (
    '{"cluster": {"worker": ["HOST:PORT", …]}, "task": {"type": "worker", "index": 0}}'
)


@dataclass(frozen=True)
class Cluster:
    """The processes of a group, seen from one of them.

    workers: their addresses, HOST:PORT, the same in all of them; empty for one process.
    index: of this process among them.
    """

    workers: tuple[str, ...] = ()
    index: int = 0

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """Read TF_CONFIG, as TensorFlow defines it; without it this is one process.

        Raises:
            UsageError: it names other jobs than workers, or no worker by its index.
        """
        text = environment.get(TF_CONFIG)
        if not text:
            return cls()
        try:
            config = json.loads(text)
            jobs, task = config.get("cluster") or {}, config.get("task") or {}
            workers = tuple(map(str, jobs.get("worker", [])))
            index, kind = int(task.get("index", 0)), task.get("type", "worker")
        except (ValueError, AttributeError, TypeError) as error:
            raise UsageError(
                f"{TF_CONFIG}: expected {_EXPECTED}. Received: {text}"
            ) from error
        if not jobs:
            return cls()
        fits = jobs.keys() == {"worker"} and kind == "worker"
        if not fits or not 0 <= index < len(workers):
            raise UsageError(
                f"{TF_CONFIG}: expected workers alone, and the index of one of them, "
                f"as in {_EXPECTED}. Received: {text}"
            )
        return cls(workers, index)

    def to_json(self) -> str:
        """The value of TF_CONFIG for this process."""
        task = {"type": "worker", "index": self.index}
        return json.dumps({"cluster": {"worker": self.workers}, "task": task})

    @property
    def index_on_host(self) -> int:
        """The place of this process among those on its own host."""
        return self._on_host().index(self.index)

    @property
    def count_on_host(self) -> int:
        """How many processes of the group are on this one's host."""
        return len(self._on_host())

    def _on_host(self) -> Sequence[int]:
        hosts = [host_and_port(address)[0] for address in self.workers]
        return [i for i, host in enumerate(hosts) if host == hosts[self.index]]


def host_and_port(address: str) -> tuple[str, int]:
    """The parts of HOST:PORT or [IPv6]:PORT.

    Raises:
        UsageError: it is neither.
    """
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal():
        raise UsageError(f"{address!r}: expected HOST:PORT.")
    return host.removeprefix("[").removesuffix("]"), int(port)
