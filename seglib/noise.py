"""Lines that libraries print and no reader needs, and how to do without them.

TensorFlow's C++ part writes to file descriptor 2, past Python's logging. Once it is
loaded, TF_CPP_MIN_LOG_LEVEL rules. While it is being loaded nothing does: its libraries
log before they read the variable (tensorflow/tensorflow#100442).
"""

import contextlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import IO, cast

# Errors are left out, too: TensorFlow logs one each time that it finds no GPU (cuInit)
# or registers a plugin twice (cuFFT, cuDNN, cuBLAS), though nothing is wrong, and its
# real errors are exceptions as well.
LOG_LEVELS = {"TF_CPP_MIN_LOG_LEVEL": "3", "OPENCV_FFMPEG_LOGLEVEL": "-8"}

_GLOG = r"(?:{level}\d{{4}} \d\d:\d\d:[\d.]+|\d{{4}}-\d\d-\d\d [\d:.]+: {level}) .*"
# Information and warnings of C++, errors that are none, and what follows such a line.
_PATTERN = "|".join(
    (
        "WARNING: All log messages before absl::InitializeLog",
        _GLOG.format(level="[IW]"),
        _GLOG.format(level="E")
        + r"(?:cuInit|Unable to register cu\w+ factory|computation_placer)",
        "To enable the following instructions:",
        "Failed to load jax profiler",  # grain's, who trains without JAX
        "Assets written to: ",
        r"Function `\w+` contains input name",  # of a SavedModel
        "INFO: Created TensorFlow Lite ",  # of LiteRT, which has no level
        "fully_quantize: ",  # of its converter
        "Found image '",  # of KFP's container runner
    )
)
_NOISE = re.compile(_PATTERN)
# It outlives a process that C++ aborts, whose last words it still passes on.
_FILTER = """
import re, sys
noise = re.compile(sys.argv[1].encode())
for line in iter(sys.stdin.buffer.readline, b""):
    if not noise.match(line):
        sys.stdout.buffer.write(line)
        sys.stdout.buffer.flush()
"""


def is_noise(line: str) -> bool:
    """Whether a line of a library says nothing that its reader needs.

    >>> is_noise("I0000 00:00:1795800863.687377 25143 port.cc:153] oneDNN is on")
    True
    >>> is_noise("F0000 00:00:1795800863.687377 25143 cpu.cc:1] no AVX; aborting")
    False
    """
    return _NOISE.match(line) is not None


def load_backend() -> None:
    """Import Keras and its backend; what they print is told only if it may matter."""
    if "keras" in sys.modules:
        return
    for name, level in LOG_LEVELS.items():
        os.environ.setdefault(name, level)
    with filtered_stderr():
        import keras  # noqa: F401


@contextlib.contextmanager
def filtered_stderr() -> Iterator[None]:
    """Within it, what is written to file descriptor 2 has no noise."""
    sys.stderr.flush()
    real = os.dup(2)
    program = [sys.executable, "-IS", "-c", _FILTER, _PATTERN]
    with subprocess.Popen(
        program,
        stdin=subprocess.PIPE,
        stdout=real,
        process_group=0,  # a Ctrl-C is not for it
    ) as process:
        os.dup2(cast(IO[bytes], process.stdin).fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(real, 2)
            os.close(real)
