"""From a served model back to the masks: one JSON beside the export, and its check."""

import json
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seglib.data.manifest import MANIFEST, read_manifest
from seglib.errors import SegError
from seglib.registry.champion import ModelVersion, Registry
from seglib.storage.atomic_write import write_bytes
from seglib.storage.documents import read_json_object
from seglib.storage.fetching import fetch
from seglib.storage.files import file_sha256, model_digest
from seglib.storage.listings import manifest_entries, missing_files
from seglib.tracking.queries import TrackedRuns

LINEAGE = "lineage.json"
FORMAT_VERSION = 1
_CHECKSUMS = "SHA256SUMS"
_SHOWN = 3  # names in a message


def write_lineage(
    export: Path,
    *,
    manifest: Path,
    model: Path,
    evaluation: Path,
    decision: Path,
    steps: Mapping[str, Mapping[str, Any]],
) -> None:
    """Write `export`/lineage.json: what was exported, and everything that led to it.

    SHA-256 of every file of the export; which run executed each step; DVC hash and
    remote of the data; the md5 of every mask, by split and path; the scores, and what
    the gate decided.

    Args:
        steps: the origin of each step's output.
    """
    facts = read_manifest(manifest)
    scores = read_json_object(evaluation / "metrics.json")
    decided = read_json_object(decision / "decision.json")
    contract = read_json_object(model / "contract.json")
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


def read_lineage(path: Path) -> dict[str, Any]:
    """The content of an export's lineage.json, the file or the folder with it.

    Raises:
        SegError: no such file, or another one.
    """
    path = path / LINEAGE if path.is_dir() else path
    content = read_json_object(path)
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


@dataclass(frozen=True)
class Claim:
    """One claim of a lineage, and whether it holds."""

    claim: str
    holds: bool
    detail: str


def check_export(lineage: Mapping[str, Any], export: Path) -> Iterator[Claim]:
    """The files of an export are exactly those of its lineage."""
    claimed = lineage["export"]
    here = {
        path.relative_to(export).as_posix(): file_sha256(path)
        for path in sorted(export.rglob("*"))
        if path.is_file()
    }
    own = {_CHECKSUMS, LINEAGE, "provenance.json"}
    wrong = sorted(
        name for name in {*claimed, *here} - own if claimed.get(name) != here.get(name)
    )
    detail = f"{len(claimed)} files" if not wrong else f"differ: {_some(wrong)}"
    yield Claim("exported files", not wrong, detail)
    stated = read_checksums(export) == claimed
    yield Claim("SHA256SUMS", stated, "agrees" if stated else "states other sums")


def check_lineage_file(export: Path, version: ModelVersion) -> Claim:
    """The lineage is the one that was registered with the model."""
    found, claimed = file_sha256(export / LINEAGE), version.tags.get("lineage_sha256")
    detail = f"{found[:12]}, registered {(claimed or 'none')[:12]}"
    return Claim("lineage", found == claimed, detail)


def check_version(
    lineage: Mapping[str, Any], version: ModelVersion, registry: Registry
) -> Claim:
    """The registered model is the one that was exported."""
    claimed = lineage["model"]["digest"]
    with tempfile.TemporaryDirectory() as folder:
        found = model_digest(registry.download(version, Path(folder)))
    detail = f"{version.name} {version.title}, {found[:12]}"
    return Claim("registered model", found == claimed, detail)


def check_runs(lineage: Mapping[str, Any], runs: TrackedRuns) -> Iterator[Claim]:
    """The MLflow runs that trained and evaluated say the same."""
    data_md5 = lineage["data"]["data_md5"]
    for step in ("train", "evaluate"):
        name = lineage["steps"][step]["run_id"]
        try:
            run = runs.find(name)
        except SegError as error:
            yield Claim(f"run of {step}", False, str(error))
            continue
        found = run.tags.get("data_md5", "?")
        detail = f"{name}, code {run.tags.get('code_version', '?')}"
        if found != data_md5:
            detail += f"; its data are {found}"
        yield Claim(f"run of {step}", found == data_md5, detail)
        if step == "evaluate":
            claimed, miou = lineage["evaluation"]["miou"], run.metrics.get("miou")
            same = miou is not None and abs(miou - claimed) < 1e-12
            yield Claim("score", same, f"mIoU {claimed:.6f}, in its run {miou}")


def check_data(lineage: Mapping[str, Any], *, masks: bool = False) -> Iterator[Claim]:
    """The remote's listing, which its own name verifies, has these very masks.

    Args:
        masks: fetch and hash every mask, too, instead of asking whether it is there.
    """
    data = lineage["data"]
    data_md5, remote = data["data_md5"], data["remote"]
    claimed = {k: v for split in data["masks"].values() for k, v in split.items()}
    try:
        listed = {e.path: e.md5 for e in manifest_entries(data_md5, remote)}
        wrong = sorted(path for path, md5 in claimed.items() if listed.get(path) != md5)
        detail = f"differ: {_some(wrong)}" if wrong else f"{len(claimed)} in {data_md5}"
        yield Claim("masks of the dataset", not wrong, detail)
        if masks:
            with tempfile.TemporaryDirectory() as cache:
                fetch(data_md5, remote, paths=sorted(claimed), cache=Path(cache))
            yield Claim("masks on the remote", True, f"{len(claimed)} hashed")
        else:
            missing = missing_files(data_md5, remote)
            detail = f"missing: {_some(missing)}" if missing else "all files are there"
            yield Claim("files on the remote", not missing, detail)
    except SegError as error:
        yield Claim("dataset", False, str(error))


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
