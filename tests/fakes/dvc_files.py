"""Files of a repository of DVC, as DVC writes them."""

from pathlib import Path


def write_repository(root: Path, url: str, more: str = "", *, local: str = "") -> Path:
    """A DVC repository whose default remote is `st`."""
    (root / ".dvc").mkdir(parents=True)
    text = f"[core]\nremote = st\n['remote \"st\"']\nurl = {url}\n{more}"
    (root / ".dvc/config").write_text(text)
    (root / ".dvc/config.local").write_text(local)
    return root


def write_pin(
    root: Path, data_md5: str, *, out: str = "hash: md5", top: str = ""
) -> Path:
    """`data.dvc` of the folder `data`."""
    root.mkdir(parents=True, exist_ok=True)
    pin = root / "data.dvc"
    pin.write_text(f"outs:\n- md5: {data_md5}\n  path: data\n  {out}\n{top}")
    return pin
