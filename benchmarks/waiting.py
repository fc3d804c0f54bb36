"""Waiting for other processes, however busy the machine is; for tests, too.

A process is waited for as long as it lives. The limit is a guard against hangs only: a
test that depends on it is wrong.
"""

import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

HANG_S = 1800.0
_PAUSE_S = 0.05


def wait_until(
    condition: Callable[[], object],
    *,
    process: subprocess.Popen[Any] | None = None,
    log: Path | None = None,
) -> None:
    """Ask until a condition holds.

    Args:
        process: on which it depends.
        log: of that process, for the error.

    Raises:
        RuntimeError: the process has ended, or the guard against hangs struck.
    """
    end = time.monotonic() + HANG_S
    while not condition():
        status = process.poll() if process else None
        if status is not None or time.monotonic() > end:
            what = f"exit status {status}" if status is not None else f"{HANG_S:g} s"
            said = log.read_text(errors="replace")[-4000:] if log else ""
            raise RuntimeError(f"Waited in vain: {what}.\n{said}")
        time.sleep(_PAUSE_S)


def wait_for_answer(
    url: str, process: subprocess.Popen[Any], *, log: Path | None = None
) -> None:
    """Wait until a server answers, while its process lives.

    Raises:
        RuntimeError: see `wait_until`.
    """
    wait_until(lambda: _answers(url), process=process, log=log)


def _answers(url: str) -> bool:
    try:
        urllib.request.urlopen(url, timeout=60).close()
    except urllib.error.HTTPError as error:
        with error:
            return error.code < 500  # it works, and refuses who has no credentials
    except OSError:
        return False
    return True
