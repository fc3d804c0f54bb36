"""Names as MLflow allows them: what users call classes, datasets and files."""

import hashlib
import re
import unicodedata
from collections.abc import Mapping
from pathlib import Path
from typing import Any

CURVES = "curves/"  # of metrics by epoch: MLflow shows their charts first
CLASS_TABLE, SETTINGS_TABLE = "classes.json", "settings.json"  # artifacts of a run
LONGEST = 240  # characters; MLflow's 250 less the longest prefix
_LONGEST_MODEL = 255
_DIGEST = 8  # hexadecimal digits


def key(name: str, *, only_ascii: bool = False, longest: int = LONGEST) -> str:
    """A name in the characters and the length that MLflow allows for keys.

    Letters of every script are allowed. A name that has others, or is too long, is
    changed, and ends with a digest of what it was: distinct names stay distinct. NFC
    and NFD are the same name.

    Args:
        only_ascii: as MLflow wants it of pictures.

    Example:
        >>> key("road"), key("дорога"), key("a/b"), key("a:b")
        ('road', 'дорога', 'a_b-c14cddc0', 'a_b-6783a31e')
    """
    name = unicodedata.normalize("NFC", name)
    flags = re.ASCII if only_ascii else re.UNICODE
    allowed = re.sub(r"^\.\.|[^\w\-. ]", "_", name, flags=flags)
    if allowed == name and len(name) <= longest and name.strip(". "):
        return name
    digest = hashlib.sha256(name.encode(errors="backslashreplace")).hexdigest()
    return f"{allowed[: longest - _DIGEST - 1]}-{digest[:_DIGEST]}"


def dataset_name(manifest: Mapping[str, Any]) -> str:
    """What a dataset is called: the last part of where it is."""
    name = Path(manifest["remote"] or manifest["root"]).name
    return key(name, longest=_LONGEST_MODEL) if name else "dataset"


def experiment_name(settings: Mapping[str, Any], remote: str) -> str:
    """The MLflow experiment of a run: named as the model that the run may register.

    Args:
        settings: of the run; `registered_model` names the model, else the dataset does.
        remote: where the data are; empty: nothing is known of them.

    Returns:
        The name; empty if neither is known.
    """
    given = str(settings.get("registered_model") or "")
    return given or (dataset_name({"remote": remote}) if remote else "")
