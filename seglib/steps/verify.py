"""The verify step: writes the findings as a manifest and a report."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from seglib.data.manifest import Manifest, write_manifest
from seglib.data.problems import Problem, relative_path
from seglib.data.verification.verifier import Verification
from seglib.report.dataset_page import verification_page
from seglib.storage.atomic_write import write_text

REPORT = "report.html"


def write_verification(
    verification: Verification, out: Path, *, data_md5: str = "", remote: str = ""
) -> None:
    """Write `out`/manifest.json and `out`/report.html, each whole or not at all.

    Args:
        data_md5: the hash that DVC gives the folder, where it is pinned.
        remote: where its bytes can be fetched by that hash. Without it the manifest
            points at the folder itself.
    """
    out = Path(out)
    dataset = replace(verification.dataset, data_md5=data_md5)
    if not data_md5:
        remote = ""  # nothing can be fetched without its hash
    elif remote and "://" not in remote:
        remote = str(Path(remote).resolve())  # the manifest will be read elsewhere
    manifest = Manifest(
        num_classes=dataset.num_classes,
        class_names=dataset.class_names,
        palette=dataset.palette,
        ignore_index=dataset.ignore_index,
        splits=verification.pairs,
        ok=verification.ok,
        data_md5=data_md5,
        remote=remote,
        root="" if remote else str(dataset.root.resolve()),
        others=dataset.others,
    )
    findings = _findings(verification)
    page = verification_page(dataset, manifest, findings)
    write_text(out / REPORT, page)
    # Last: who finds a manifest finds its report, too.
    write_manifest(
        manifest,
        out,
        findings={
            key: _to_json(dataset.root, found) for key, found in findings.items()
        },
    )


def findings_json(verification: Verification) -> dict[str, Any]:
    """The findings for other programs: what was read, and each with its kind."""
    dataset = verification.dataset
    return {
        "format_version": 1,
        "dataset": str(dataset.root),
        "ok": verification.ok,
        "pairs": {split: len(pairs) for split, pairs in dataset.splits.items()},
        "num_classes": dataset.num_classes,
        **{
            severity: _to_json(dataset.root, found)
            for severity, found in _findings(verification).items()
        },
    }


def _findings(verification: Verification) -> dict[str, tuple[Problem, ...]]:
    return {
        "problems": verification.problems,
        "warnings": verification.warnings,
        "notes": verification.notes,
    }


def _to_json(root: Path, problems: Iterable[Problem]) -> list[dict[str, str]]:
    return [
        {
            "path": relative_path(problem.path, root),
            "reason": problem.reason,
            "remedy": problem.remedy,
            "kind": problem.kind,
        }
        for problem in problems
    ]
