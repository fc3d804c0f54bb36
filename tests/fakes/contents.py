"""What a folder holds."""

from pathlib import Path


def contents(root: Path) -> dict[str, bytes]:
    """The files under a folder, by their path in it."""
    files = (path for path in root.rglob("*") if path.is_file())
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in files}
