"""Check a lineage: compare each of its claims with the thing that it names."""

import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seglib.errors import SegError
from seglib.registry.champion import Registry, Version
from seglib.registry.lineage import LINEAGE, read_checksums
from seglib.storage.fetching import fetch
from seglib.storage.files import file_sha256, model_digest
from seglib.storage.listings import manifest_entries, missing_files
from seglib.tracking.queries import Rows

_SHOWN = 3  # names in a message


@dataclass(frozen=True)
class Finding:
    """One claim of a lineage, and whether it holds."""

    claim: str
    holds: bool
    detail: str


def check_export(lineage: Mapping[str, Any], export: Path) -> Iterator[Finding]:
    """The files of an export are exactly those of its lineage."""
    claimed = lineage["export"]
    here = {
        path.relative_to(export).as_posix(): file_sha256(path)
        for path in sorted(export.rglob("*"))
        if path.is_file()
    }
    own = {"SHA256SUMS", LINEAGE, "provenance.json"}
    wrong = sorted(
        name for name in {*claimed, *here} - own if claimed.get(name) != here.get(name)
    )
    detail = f"{len(claimed)} files" if not wrong else f"differ: {_some(wrong)}"
    yield Finding("exported files", not wrong, detail)
    stated = read_checksums(export) == claimed
    yield Finding("SHA256SUMS", stated, "agrees" if stated else "states other sums")


def check_lineage_file(export: Path, version: Version) -> Finding:
    """The lineage is the one that was registered with the model."""
    found, claimed = file_sha256(export / LINEAGE), version.tags.get("lineage_sha256")
    detail = f"{found[:12]}, registered {(claimed or 'none')[:12]}"
    return Finding("lineage", found == claimed, detail)


def check_version(
    lineage: Mapping[str, Any], version: Version, registry: Registry
) -> Finding:
    """The registered model is the one that was exported."""
    claimed = lineage["model"]["digest"]
    with tempfile.TemporaryDirectory() as folder:
        found = model_digest(registry.download(version, Path(folder)))
    detail = f"{version.name} {version.title}, {found[:12]}"
    return Finding("registered model", found == claimed, detail)


def check_runs(lineage: Mapping[str, Any], rows: Rows) -> Iterator[Finding]:
    """The rows of the runs that trained and evaluated say the same."""
    data_md5 = lineage["data"]["data_md5"]
    for step in ("train", "evaluate"):
        run = lineage["steps"][step]["run_id"]
        try:
            row = rows.find(run)
        except SegError as error:
            yield Finding(f"run of {step}", False, str(error))
            continue
        found = row.tags.get("data_md5", "?")
        detail = f"{run}, code {row.tags.get('code_version', '?')}"
        if found != data_md5:
            detail += f"; its data are {found}"
        yield Finding(f"run of {step}", found == data_md5, detail)
        if step == "evaluate":
            yield _same_score(lineage["evaluation"]["miou"], row.metrics.get("miou"))


def _same_score(claimed: float, found: float | None) -> Finding:
    same = found is not None and abs(found - claimed) < 1e-12
    return Finding("score", same, f"mIoU {claimed:.6f}, in its row {found}")


def check_data(lineage: Mapping[str, Any], *, masks: bool = False) -> Iterator[Finding]:
    """The remote's listing, which its own name verifies, has these very masks.

    Args:
        masks: fetch and hash every mask, too, instead of asking whether it is there.
    """
    data = lineage["data"]
    data_md5, remote = data["data_md5"], data["remote"]
    claimed: dict[str, str] = {}
    for split in data["masks"].values():
        claimed |= split
    try:
        listed = {e.path: e.md5 for e in manifest_entries(data_md5, remote)}
        wrong = sorted(path for path, md5 in claimed.items() if listed.get(path) != md5)
        detail = f"differ: {_some(wrong)}" if wrong else f"{len(claimed)} in {data_md5}"
        yield Finding("masks of the dataset", not wrong, detail)
        if masks:
            with tempfile.TemporaryDirectory() as cache:
                fetch(data_md5, remote, paths=sorted(claimed), cache=Path(cache))
            yield Finding("masks on the remote", True, f"{len(claimed)} hashed")
        else:
            missing = missing_files(data_md5, remote)
            detail = f"missing: {_some(missing)}" if missing else "all files are there"
            yield Finding("files on the remote", not missing, detail)
    except SegError as error:
        yield Finding("dataset", False, str(error))


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
