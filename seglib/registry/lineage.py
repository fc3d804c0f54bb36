"""From a served model back to the masks: one JSON, written beside the export."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from seglib.data.manifest import MANIFEST, read_manifest
from seglib.errors import SegError
from seglib.storage.atomic_write import write_bytes
from seglib.storage.documents import read_json_object
from seglib.storage.files import file_sha256, model_digest

LINEAGE = "lineage.json"
FORMAT_VERSION = 1
_CHECKSUMS = "SHA256SUMS"


def write_lineage(
    export: Path,
    *,
    manifest: Path,
    model: Path,
    evaluation: Path,
    decision: Path,
    steps: Mapping[str, Mapping[str, Any]],
) -> dict[str, Any]:
    """Write `export`/lineage.json: what was exported, and everything that led to it.

    Args:
        steps: the origin of each step's output.

    Returns:
        Its content: SHA-256 of every file of export and model; which run executed each
        step; DVC hash and remote of the data; the md5 of every mask, by split and path;
        the scores, and what the gate decided.
    """
    facts = read_manifest(manifest)
    scores = _read(evaluation / "metrics.json")
    decided = _read(decision / "decision.json")
    contract = _read(model / "contract.json")
    content = {
        "format_version": FORMAT_VERSION,
        "export": read_checksums(export),
        "model": {
            "digest": model_digest(model),
            "architecture": contract["architecture"],
            "encoder": contract["encoder"],
        },
        "steps": {
            step: {key: origin[key] for key in ("run_id", "finished") if key in origin}
            for step, origin in steps.items()
        },
        "evaluation": {
            "split": scores["split"],
            "miou": scores["miou"],
            "metrics_sha256": file_sha256(evaluation / "metrics.json"),
        },
        "decision": {
            "verdict": decided["verdict"],
            "champion": decided["champion"],
            "decision_sha256": file_sha256(decision / "decision.json"),
        },
        "data": {
            "data_md5": facts.data_md5,
            "remote": facts.remote,
            "manifest_sha256": file_sha256(manifest / MANIFEST),
            "masks": {
                split: {pair.mask: pair.mask_md5 for pair in pairs}
                for split, pairs in facts.splits.items()
            },
        },
    }
    text = json.dumps(content, indent=1, ensure_ascii=False) + "\n"
    write_bytes(export / LINEAGE, text.encode())
    return content


def read_lineage(path: Path) -> dict[str, Any]:
    """The content of an export's lineage.json.

    Args:
        path: the file, or the export's folder.

    Raises:
        SegError: no such file, or another one.
    """
    path = path / LINEAGE if path.is_dir() else path
    content = _read(path)
    version = content.get("format_version")
    if version != FORMAT_VERSION or "data" not in content:
        raise SegError(
            f"{path}: expected a lineage of format_version {FORMAT_VERSION}. Received: "
            f"format_version={version}."
        )
    return content


def read_checksums(export: Path) -> dict[str, str]:
    """SHA-256 by file, as an export's SHA256SUMS states them.

    Raises:
        SegError: no such file.
    """
    try:
        lines = (export / _CHECKSUMS).read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise SegError(f"{export}: not an export ({error.strerror}).") from error
    pairs = (line.split("  ", 1) for line in lines)
    return {name: digest for digest, name in pairs}


def _read(path: Path) -> dict[str, Any]:
    return read_json_object(path)
