"""A dataset's objects on a folder remote, written as `dvc push` writes them."""

from pathlib import Path

from seglib.storage.hashes import hash_folder, list_folder, listing


def push(folder: Path, remote: Path) -> str:
    """Write them; returns the dataset's hash."""
    entries = list_folder(folder)
    objects = {entry.md5: (folder / entry.path).read_bytes() for entry in entries}
    objects[hash_folder(folder)] = listing(entries)
    for md5, content in objects.items():
        path = object_path(remote, md5)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return hash_folder(folder)


def object_path(remote: Path, md5: str) -> Path:
    return remote / "files" / "md5" / md5[:2] / md5[2:]
