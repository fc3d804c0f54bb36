"""The processes of a training in several pods, by a pod's environment variables."""

import re
from collections.abc import Mapping

from seglib.distributed.cluster import Cluster
from seglib.environment import HOST_INDEX, HOSTS, PORTS_FROM, PROCESSES
from seglib.errors import UsageError

PORT = 2222  # of a pod's first process; the next has the next


def clusters_of_pod(environment: Mapping[str, str]) -> list[Cluster]:
    """The processes of this pod, each with its place among those of all pods.

    One that trains alone belongs to no cluster.

    Raises:
        UsageError: a variable is not as it should be.
    """
    processes = _whole(environment, PROCESSES, "1", 1)
    port = _whole(environment, PORTS_FROM, str(PORT), 1)
    named = (host.strip() for host in environment.get(HOSTS, "").split(","))
    hosts = [_host_and_port(host, port) for host in named if host]
    if not hosts and processes == 1:
        return [Cluster()]
    hosts = hosts or [("localhost", port)]
    index = _whole(environment, HOST_INDEX, "0", 0)
    if index >= len(hosts):
        raise UsageError(
            f"{HOST_INDEX}: expected the place of this pod in {HOSTS}, of 0 to "
            f"{len(hosts) - 1}. Received: {index}."
        )
    workers = tuple(
        f"{name}:{first + process}"
        for name, first in hosts
        for process in range(processes)
    )
    first = index * processes
    return [Cluster(workers, i) for i in range(first, first + processes)]


def _host_and_port(text: str, port: int) -> tuple[str, int]:
    """Of `HOST`, `HOST:PORT`, `[IPv6]:PORT` or a bare IPv6 address."""
    if found := re.fullmatch(r"(\[[^\[\]]+\]|[^\[\]:\s]+)(?::(\d+))?", text):
        return found[1], int(found[2] or port)
    if re.fullmatch(r"[0-9a-fA-F:.]*:[0-9a-fA-F:.]*:[0-9a-fA-F:.]*", text):
        return f"[{text}]", port
    raise UsageError(
        f"{HOSTS}: expected names, each `HOST` or `HOST:PORT`, with commas between. "
        f"Received: {text}"
    )


def _whole(environment: Mapping[str, str], name: str, default: str, least: int) -> int:
    text = environment.get(name) or default
    if not text.isdecimal() or int(text) < least:
        raise UsageError(f"{name}: expected a number from {least} on. Received: {text}")
    return int(text)
