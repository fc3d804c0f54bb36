"""SHA-256 of files and models."""

import hashlib
from pathlib import Path

from seglib.errors import SegError
from seglib.storage.files import open_file

_MODEL = ("model.keras", "contract.json")


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, hexadecimal.

    Raises:
        SegError: it cannot be read.
    """
    try:
        with open_file(path) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise SegError(f"{path}: cannot be read ({error.strerror}).") from error


def model_digest(path: Path) -> str:
    """SHA-256 over the network and the contract of a model artifact.

    Raises:
        SegError: a file of them cannot be read.
    """
    digest = hashlib.sha256()
    for name in _MODEL:
        digest.update(bytes.fromhex(file_sha256(path / name)))
    return digest.hexdigest()
