"""Names as MLflow allows them."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def key(name: str) -> str:
    """A name in the characters that MLflow allows for keys."""
    return re.sub(r"[^\w\-. ]", "_", name, flags=re.ASCII)


def dataset_name(manifest: Mapping[str, Any]) -> str:
    """What a dataset is called: the last part of where it is."""
    return key(Path(manifest["remote"] or manifest["root"]).name) or "dataset"
