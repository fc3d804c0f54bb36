"""`seglib verify`, `fix` and `visualize`: a dataset before anything is made of it."""

import sys
from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from seglib.cli import options as opt
from seglib.cli.console import (
    check_folder,
    check_model,
    check_out,
    class_options,
    data_config,
    how_to_fix,
    load_framework,
    open_dataset,
    tell_device,
    tell_findings,
)
from seglib.cli.progress import progress_bar, stage_bar
from seglib.cli.terminal import console, echo
from seglib.data.problems import NOTE, PROBLEM, SEVERITIES
from seglib.errors import UsageError, unknown
from seglib.plain_text import visible

_SHOWN_FILES = 5


def verify(
    data: Annotated[
        str,
        typer.Argument(
            help="Folder in the format of docs/data-format.md; or `data.dvc` or "
            "s3://bucket/prefix, which are read from the store."
        ),
    ],
    num_classes: opt.NumClasses = None,
    ignore_index: opt.IgnoreIndex = None,
    config: opt.ConfigFile = None,
    out: Annotated[
        Path | None, opt.option("Folder for manifest.json and report.html.")
    ] = None,
    overwrite: opt.Overwrite = False,
    model: Annotated[
        Path | None,
        opt.option("Trained model: also rank the masks that it contradicts."),
    ] = None,
    fail_on: Annotated[
        str, opt.option("problem, warning or note: what exits with 1.")
    ] = PROBLEM,
    ignore: Annotated[
        list[str] | None,
        opt.option("Kind of warning or note to leave out; may be repeated."),
    ] = None,
    as_json: Annotated[
        bool, opt.option("Print all findings as JSON.", "--json")
    ] = False,
    remote: Annotated[str, opt.option("Of a pin. Default: DVC's default remote.")] = "",
    fresh: Annotated[
        bool, opt.option("Read also files that have not changed.", "--fresh")
    ] = False,
) -> None:
    """Look at every file of a dataset and report what is wrong with it.

    What was found of a file is cached: after a kill, or a change, only new files are
    read.

    docs/findings.md explains each kind of finding; `severities` in dataset.yaml gives
    kinds another severity for good.

    Exit code 0: clean. 1: findings of the severity --fail-on, or a worse one. 2: wrong
    use.
    """
    from seglib.data.verification.stored_tree import open_tree
    from seglib.data.verification.verifier import examine
    from seglib.steps.verify import findings_json, write_verification
    from seglib.storage.pins import default_remote, load_pin

    is_pin, is_bucket = data.endswith(".dvc"), data.startswith("s3://")
    is_stored = is_pin or is_bucket
    pinned = {}
    if not is_stored:
        check_folder(Path(data))
    elif model:
        raise UsageError(
            "--model needs the pictures of the dataset, which must be a folder here. "
            f"Received: {data}. `seglib data fetch` brings it."
        )
    if model:
        check_model(model)
    if out and is_bucket:
        raise UsageError(
            "--out writes a manifest, by whose hash later steps fetch the dataset; "
            f"objects of a bucket have none. Received: {data}. Pin the dataset (`dvc "
            "add`) and name the pin, or ask for --json."
        )
    if out:
        check_out(out, "report.html", overwrite=overwrite)
    if out and is_pin:
        remote = remote or default_remote(Path(data))
        pinned = {"data_md5": load_pin(Path(data)).md5, "remote": remote}
    if fail_on not in SEVERITIES:
        raise UsageError(str(unknown("severity", fail_on, SEVERITIES)))
    if model:
        tell_device()
        load_framework()
    options = class_options(Path(data), config, num_classes, ignore_index, model)
    with progress_bar("verifying") as progress:
        root, tree = open_tree(data, remote)
        verification = examine(
            root,
            options,
            ignore=ignore or (),
            fresh=fresh,
            tree=tree,
            progress=progress,
        )
    reviewed = _review(model, verification) if model and verification.ok else None
    if reviewed:
        verification = verification.with_findings(reviewed.problems)
    if out:
        write_verification(verification, out, review=reviewed, **pinned)
    if as_json:  # plain: for other programs
        for text in findings_json(verification, reviewed):
            sys.stdout.write(text)
        echo("")
    else:
        if out:
            console.print(f"report: {out / 'report.html'}")
        tell_findings(verification, notes=fail_on == NOTE)
        if known := verification.files - verification.files_read:
            told = f"{known:,} of {verification.files:,} files have not changed since"
            console.print(f"{told} they were read (--fresh reads all)", soft_wrap=True)
        if model:
            _tell_review(verification, reviewed)
        if not is_stored:
            for line in how_to_fix(verification, data):
                console.print(line, soft_wrap=True)
    levels = (verification.problems, verification.warnings, verification.notes)
    if any(levels[: SEVERITIES.index(fail_on) + 1]):
        raise typer.Exit(1)


def _review(model: Path, verification: Any) -> Any:
    from seglib.steps.review import review

    with progress_bar("comparing with the model") as progress:
        return review(model, verification.dataset, progress=progress)


def _tell_review(verification: Any, reviewed: Any) -> None:
    from seglib.evaluation.doubts import CAUTION

    if not reviewed:
        console.print("the model was not asked: mend the problems first")
        return
    count = verification.findings.told["suspicious-label", NOTE]
    told = f"{count:,} of {len(reviewed.masks):,} masks look suspicious to the model"
    console.print(f"{told}; the most doubtful first:", soft_wrap=True)
    for each in reviewed.masks[:_SHOWN_FILES]:
        console.print(
            f"  {visible(each.mask)}: quality {each.quality:.3f}, contradicted "
            f"{each.contradicted:.1%}",
            soft_wrap=True,
            markup=False,
        )
    console.print(CAUTION, soft_wrap=True)


def fix(
    data: opt.Data,
    out: Annotated[Path, opt.option("New folder for the fixed copy.")],
    num_classes: opt.NumClasses = None,
    ignore_index: opt.IgnoreIndex = None,
    ignored_color: Annotated[
        str | None,
        opt.option("Of ignored pixels in coloured masks, such as 0,0,0."),
    ] = None,
    config: opt.ConfigFile = None,
) -> None:
    """Write a copy of a dataset in which all is fixed that has one right answer.

    Masks named otherwise than their images, other file formats, colours in place of
    class ids (by the palette of dataset.yaml), ids such as 0 and 255 or counted from 1,
    differing colour tables, alpha channels, needless or too few bits, and masks drawn
    on a photograph before its EXIF orientation turned it. The dataset itself is only
    read; fixes.csv in the copy lists every change.

    Exit code 0: the copy is clean, or there was nothing to fix. 1: problems are left.
    2: wrong use.
    """
    from seglib.data.fixing.fixer import LOG
    from seglib.data.fixing.fixer import fix as run

    check_folder(data)
    settings = data_config(config, num_classes, ignore_index)
    colour = _colour(ignored_color) if ignored_color else None
    with stage_bar("copying") as progress:
        done = run(data, out, config=settings, ignored_colour=colour, progress=progress)
    for line in done.unfixed[:_SHOWN_FILES]:
        console.print(Text.assemble(("left as it is:", "yellow"), f" {visible(line)}"))
    if (more := len(done.unfixed) - _SHOWN_FILES) > 0:
        console.print(f"… and {more:,} more files left as they are")
    counts = Counter((change.kind, change.told) for change in done.changes)
    for (kind, told), count in sorted(counts.items()):
        console.print(f"{count:,} × {kind}: {told}", soft_wrap=True, markup=False)
    if done.changes:
        console.print(f"fixed copy: {out}, every change: {out / LOG}", soft_wrap=True)
    else:
        console.print("nothing was found that has one right answer; nothing written")
    tell_findings(done.verification)
    if not done.verification.ok:
        raise typer.Exit(1)


def _colour(text: str) -> tuple[int, int, int]:
    parts = [part.strip() for part in text.split(",")]
    if len(parts) != 3 or not all(p.isdecimal() and int(p) < 256 for p in parts):
        raise UsageError(
            "--ignored-color must be red,green,blue, each 0 … 255, such as 0,0,0. "
            f"Received: {text!r}."
        )
    red, green, blue = map(int, parts)
    return red, green, blue


def visualize(
    data: opt.Data,
    out: Annotated[
        Path,
        opt.option("A .png, .jpg or .html file, or a folder for both."),
    ] = Path("pictures"),
    overwrite: opt.Overwrite = False,
    split: Annotated[str, opt.option("train, val or test.")] = "train",
    count: Annotated[
        int | None,
        opt.option("Pairs to show. Default: 12, augmented 6.", min=1),
    ] = None,
    layout: Annotated[
        str, opt.option("side-by-side: image and overlay; overlay: that alone.")
    ] = "side-by-side",
    class_name: Annotated[
        str, opt.option("Show pairs that contain this class.", "--class")
    ] = "",
    augment: Annotated[
        bool, opt.option("Show the views that training draws, too.", "--augment")
    ] = False,
    policy: Annotated[str | None, opt.setting("train_policy", "--policy")] = None,
    draws: Annotated[int, opt.option("Views of each pair.", min=1)] = 4,
    num_classes: opt.NumClasses = None,
    ignore_index: opt.IgnoreIndex = None,
    config: opt.ConfigFile = None,
) -> None:
    """Show images with their masks laid over them, and the legend.

    With --augment, each pair is followed by its views in the first passes of a training
    with this --config: zoom, crop, flip and tint, or the policy.
    """
    from seglib.config import Config
    from seglib.policies import policy_text
    from seglib.steps.visualize import visualize as run

    settings = Config.load(config)
    policy = policy_text(policy) if policy else None  # a typo is told first
    sheet, is_file = "contact_sheet.png", bool(out.suffix)
    check_out(out, sheet, is_file=is_file, overwrite=overwrite)
    dataset = open_dataset(data, config, num_classes, ignore_index, splits=())
    with progress_bar("drawing") as progress:
        written = run(
            dataset,
            out,
            split=split,
            count=count,
            layout=layout,
            class_name=class_name,
            augment=augment,
            draws=draws,
            config=settings,
            policy=policy,
            progress=progress,
        )
    console.print(f"pictures: {written}", soft_wrap=True)
