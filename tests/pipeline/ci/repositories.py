"""Real git repositories in which a pin, a configuration and code are committed."""

import hashlib
import json
import subprocess
from collections.abc import Mapping
from pathlib import Path

from pipeline.ci.git import Git

CONFIG = "configs/trial.yaml"
FILES = {
    "README.md": "streets\n",
    "Dockerfile": "FROM scratch\n",
    "requirements.lock": "numpy==2\n",
    "seglib/training/losses.py": "\n",
    CONFIG: "train:\n  epochs: 3\n",
}


def new_repository(folder: Path, files: Mapping[str, str] | None = None) -> Git:
    """A repository with one commit."""
    folder.mkdir(parents=True)
    _git(folder, "init", "--quiet", "--initial-branch", "main")
    _git(folder, "config", "user.name", "Tester")
    _git(folder, "config", "user.email", "tester@example.com")
    commit(folder, files or {**FILES, "data.dvc": pin("a" * 32)})
    return Git(folder)


def commit(folder: Path, files: Mapping[str, str]) -> str:
    """Write files and commit all that changed; gives the commit."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    _git(folder, "add", "--all")
    _git(folder, "commit", "--quiet", "--message", "a change")
    return _git(folder, "rev-parse", "HEAD").strip()


def pin(md5: str) -> str:
    """The text of a data.dvc."""
    return f"outs:\n- md5: {md5}.dir\n  hash: md5\n  path: data\n"


def push(remote: Path, files: Mapping[str, str | bytes], *, without: str = "") -> str:
    """Put a dataset onto a remote as DVC lays it out; gives the hash without `.dir`.

    Args:
        remote: a folder.
        files: of the dataset, by path.
        without: a path whose object is left out.
    """
    listing = []
    for path, file in sorted(files.items()):
        content = file.encode() if isinstance(file, str) else file
        md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
        listing.append({"md5": md5, "relpath": path})
        if path != without:
            _write_object(remote, md5, content)
    manifest = json.dumps(listing).encode()
    md5 = hashlib.md5(manifest, usedforsecurity=False).hexdigest()
    _write_object(remote, f"{md5}.dir", manifest)
    return md5


def _write_object(remote: Path, name: str, content: bytes) -> None:
    path = remote / "files" / "md5" / name[:2] / name[2:]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def _git(folder: Path, *words: str) -> str:
    done = subprocess.run(
        ["git", *words], cwd=folder, capture_output=True, text=True, check=True
    )
    return done.stdout
