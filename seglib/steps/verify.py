"""The verify step: writes the findings as a manifest and a report."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from seglib.data.manifest import Manifest, write_manifest
from seglib.data.problems import Problem, relative_path
from seglib.data.verification.object_checks import describe_objects
from seglib.data.verification.verified import Verification
from seglib.evaluation.doubts import Review
from seglib.report.dataset_page import verification_page
from seglib.storage.atomic_write import write_text
from seglib.storage.documents import StreamedList

REPORT = "report.html"
REVIEW = "label_quality.json"


def write_verification(
    verification: Verification,
    out: Path,
    *,
    data_md5: str = "",
    remote: str = "",
    review: Review | None = None,
) -> None:
    """Write `out`/manifest.json and `out`/report.html, each whole or not at all.

    Args:
        review: by a model, which goes to the page and to `out`/label_quality.json.
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
    objects = describe_objects(dataset, verification.inspections)
    page = verification_page(
        dataset, manifest, findings, objects, review, read=verification.tree.read
    )
    write_text(out / REPORT, page)
    if review:
        write_text(out / REVIEW, json.dumps(review.to_json(), indent=1) + "\n")
    else:
        (out / REVIEW).unlink(missing_ok=True)
    # Last: who finds a manifest finds its report, too.
    write_manifest(
        manifest,
        out,
        findings={
            **{key: _to_json(dataset.root, each) for key, each in findings.items()},
            "objects": objects,
        },
    )


def findings_json(
    verification: Verification, review: Review | None = None
) -> Iterator[str]:
    """The findings for other programs, as JSON, a piece after the other.

    What was read, and each finding with its kind.
    """
    dataset = verification.dataset
    tree = {
        "format_version": 1,
        "dataset": str(dataset.root),
        "ok": verification.ok,
        "pairs": {split: len(pairs) for split, pairs in dataset.splits.items()},
        "num_classes": dataset.num_classes,
        "objects": describe_objects(dataset, verification.inspections),
        **({"label_quality": review.to_json()} if review else {}),
        **{
            severity: _to_json(dataset.root, found)
            for severity, found in _findings(verification).items()
        },
    }
    return json.JSONEncoder(indent=2).iterencode(tree)


def _findings(verification: Verification) -> dict[str, Sequence[Problem]]:
    return {
        "problems": verification.problems,
        "warnings": verification.warnings,
        "notes": verification.notes,
    }


def _to_json(root: Path, problems: Sequence[Problem]) -> StreamedList:
    def items() -> Iterator[dict[str, str]]:
        return (
            {
                "path": relative_path(problem.path, root),
                "reason": problem.reason,
                "remedy": problem.remedy,
                "kind": problem.kind,
            }
            for problem in problems
        )

    return StreamedList(len(problems), items)
