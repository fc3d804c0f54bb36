"""Conversion of a dataset of another format to this library's, and the other way."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import yaml

from seglib.arguments import checked
from seglib.config import MAX_CLASSES
from seglib.data.conversion.class_lists import VOIDS, read_class_list
from seglib.data.conversion.foreign import ForeignDataset, ReadOptions, Remark
from seglib.data.conversion.formats import AUTO, FORMATS, OWN, find_format, writable
from seglib.data.conversion.paired_folders import FROM_MASKS, classes_of_masks
from seglib.data.conversion.source import Source
from seglib.data.conversion.splitting import (
    KEEP,
    divide,
    group_samples,
    parse_shares,
)
from seglib.data.conversion.staging import VOID_ID, StagedSample, stage, void_id
from seglib.data.conversion.writing import WRITTEN_VOIDS, compare_written
from seglib.data.dataset import (
    SPLITS,
    Dataset,
    default_class_names,
    default_palette,
)
from seglib.data.dataset_yaml import DESCRIPTION, require_name
from seglib.data.fixing.fixer import check_places
from seglib.data.verification.verified import Verification
from seglib.data.verification.verifier import verify
from seglib.errors import DatasetError, SegError, UsageError
from seglib.progress import StageProgress, TellStage, shown_stages
from seglib.storage.atomic_write import folder_beside, write_text

LEAVE_OUT, BACKGROUND, IGNORED = "leave-out", "background", "void"


@dataclass(frozen=True, kw_only=True)
class Conversion:
    """What was converted. `problems` tell lost samples, `notes` all else."""

    format: str
    other_formats: tuple[str, ...]  # that would fit, too
    pairs: dict[str, int]  # by split
    class_names: tuple[str, ...]
    problems: tuple[Remark, ...]
    notes: tuple[Remark, ...]
    # None: written in a format of others, read again, and compared pixel by pixel.
    verification: Verification | None


@checked
def convert(
    source: str | Path,
    out: str | Path,
    *,
    source_format: str = AUTO,
    to: str = OWN,
    split: str = KEEP,
    group_by: str = "",
    seed: int = 0,
    classes: str | Path | None = None,
    voids: Collection[str] = (),
    unlabelled: str = LEAVE_OUT,
    uncovered: str = BACKGROUND,
    ignore_index: int | None = None,
    progress: StageProgress = None,
) -> Conversion:
    """Convert a dataset from one format to another.

    Images are copied as they are. The result is verified; in a format of others it is
    read again, and every mask compared.

    Args:
        source: folder of the dataset, which is only read.
        out: a new folder.
        source_format: a name of docs/conversion.md; `auto`: told by the files.
        to: a name of docs/conversion.md.
        split: `keep` that of the source, or shares of train, val and test, such as
            `0.8/0.1/0.1`, with every class in every split where that is possible.
        group_by: what comes into one split: `sequence`, the frames of one; or a
            regular expression that finds the group in a sample's name.
        seed: of the division.
        classes: file with the list of classes, in place of the source's own.
        voids: names of classes whose pixels are ignored, in place of the usual ones.
        unlabelled: images without annotation: `leave-out`, or `background`.
        uncovered: pixels that no shape covers: `background`, or `void`.
        ignore_index: id of ignored pixels in masks of ids, in place of the usual one.
        progress: see `seglib.train`; a function is called with (what is being done,
            files done, all files).

    Raises:
        UsageError: an unknown format or option, or `out` exists.
        DatasetError: the source is of no format, or nothing in it can be converted.
    """
    source, out = Path(source), Path(out)
    files = Source(source)
    target, shares = writable(to), parse_shares(split)
    _check("unlabelled", unlabelled, (LEAVE_OUT, BACKGROUND))
    _check("uncovered", uncovered, (BACKGROUND, IGNORED))
    if group_by and not shares:
        raise UsageError("--group-by needs shares, such as --split 0.8/0.1/0.1.")
    found, others = find_format(files, source_format)
    check_places(source, out)
    if target:
        target.require_library()
    ignored = frozenset(name.casefold() for name in voids) or VOIDS
    listed = None
    if classes:
        is_list = str(classes) != FROM_MASKS
        listed = (
            read_class_list(Path(classes), ignored)
            if is_list
            else classes_of_masks(source)
        )
    with shown_stages(progress, "converting") as tell:
        tell(f"reading {found}", 0, 1)
        reading = ReadOptions(listed, ignored, uncovered == IGNORED, ignore_index)
        foreign = FORMATS[found].read(files, reading)
        _check_names(foreign)
        if unlabelled == LEAVE_OUT:
            foreign = _without_unlabelled(foreign)
        try:
            with folder_beside(out) as folder:
                result = folder / "result"
                staged = stage(foreign, folder, partial(tell, "converting"))
                if not any(sample.ids for sample in staged):
                    lines = [f"{where}: {what}" for what, where in foreign.problems]
                    told = "no pixel of any mask is labelled"
                    if not staged:
                        told = f"`{found}` expects {FORMATS[found].files}"
                    raise DatasetError(f"{source}: nothing to convert: {told}.", lines)
                splits = _splits(staged, shares, group_by, seed, foreign.notes)
                pairs = _move(staged, splits, result)
                _describe(foreign, staged, result)
                verification = None
                if target:
                    verified = verify(result, progress=partial(tell, "verifying"))
                    verified.raise_if_bad()
                    class_names = verified.dataset.class_names
                    result = folder / to
                    result.mkdir()
                    foreign.notes.extend(_write_as(to, verified.dataset, result, tell))
                result.rename(out)
        except OSError as error:
            raise SegError(
                f"{out}: the dataset cannot be written ({error})."
            ) from error
        if not target:
            verification = verify(out, progress=partial(tell, "verifying"))
            class_names = verification.dataset.class_names
        return Conversion(
            format=found,
            other_formats=tuple(others),
            pairs=pairs,
            class_names=class_names,
            problems=tuple(foreign.problems),
            notes=tuple(foreign.notes),
            verification=verification,
        )


def _write_as(
    to: str, dataset: Dataset, out: Path, tell: TellStage
) -> Iterator[Remark]:
    """Write a format of others, and read it again; gives the samples' new names."""
    tell(f"writing {to}", 0, 1)
    write, read = FORMATS[to].write, FORMATS[to].read
    names = (write(dataset, out) if write else None) or {}
    reading = ReadOptions(None, WRITTEN_VOIDS, uncovered_is_void=True)
    again = read(Source(out), reading)
    compare_written(dataset, again, names, to, partial(tell, "comparing"))
    told = f"not a name of {to}: renamed"
    for stem, name in names.items():
        if name != stem:
            yield Remark(told, f"{stem} → {name}")


def _check(name: str, given: str, known: Sequence[str]) -> None:
    if given not in known:
        expected = " or ".join(known)
        raise UsageError(f"--{name} must be {expected}. Received: {given!r}.")


def _check_names(foreign: ForeignDataset) -> None:
    names = foreign.class_names
    for name in names:
        require_name(name)
    if len(names) > MAX_CLASSES:
        raise DatasetError(f"{len(names):,} classes. At most {MAX_CLASSES:,} are read.")
    if twice := [name for name in names if names.count(name) > 1]:
        raise DatasetError(f"Two classes are named `{twice[0]}`. Rename one of them.")


def _without_unlabelled(foreign: ForeignDataset) -> ForeignDataset:
    told = "an image without annotation: left out (--unlabelled background)"
    for sample in foreign.samples:
        if sample.mask is None:
            foreign.notes.append(Remark(told, sample.name))
    return replace(foreign, samples=[s for s in foreign.samples if s.mask])


def _splits(
    staged: list[StagedSample],
    shares: dict[str, float],
    group_by: str,
    seed: int,
    notes: list[Remark],
) -> dict[str, str]:
    """The split of each sample that has one."""
    if shares:
        groups = group_samples([sample.name for sample in staged], group_by)
        classes = {sample.name: sample.ids for sample in staged}
        return divide(classes, groups, shares, seed=seed)
    splits = {sample.name: sample.split or "train" for sample in staged}
    if not any(sample.split for sample in staged):
        told = "no splits in the source: all is in train (--split 0.8/0.1/0.1 divides)"
        notes.append(Remark(told, f"{len(staged):,} samples"))
    labelled = {splits[sample.name] for sample in staged if sample.ids}
    for split in sorted(set(splits.values()) - labelled):
        told = "a split without a labelled pixel: left out"
        notes.append(Remark(told, split))
        splits = {name: s for name, s in splits.items() if s != split}
    return splits


def _move(
    staged: list[StagedSample], splits: dict[str, str], out: Path
) -> dict[str, int]:
    """Move the samples to their splits; the number of each."""
    pairs = {split: list(splits.values()).count(split) for split in SPLITS}
    pairs = {split: count for split, count in pairs.items() if count}
    for split in pairs:
        (out / f"{split}_images").mkdir(parents=True)
        (out / f"{split}_segmentation").mkdir()
    for sample in staged:
        of = splits.get(sample.name)
        if of:
            sample.image.rename(out / f"{of}_images" / sample.image.name)
            sample.mask.rename(out / f"{of}_segmentation" / sample.mask.name)
    return pairs


def _describe(foreign: ForeignDataset, staged: list[StagedSample], out: Path) -> None:
    """Write dataset.yaml, unless the ids leave open what the classes are."""
    seen = {index for sample in staged for index in sample.ids}
    names, has_void = foreign.class_names, any(sample.has_void for sample in staged)
    if not names:
        if VOID_ID in seen and len(seen) > 2:
            seen, has_void = seen - {VOID_ID}, True
        if 2 * len(seen) <= max(seen, default=0) + 1 or len(seen) < 2:
            return  # verification says what the ids may be
        names = default_class_names(max(seen) + 1)
    palette = foreign.palette or default_palette(len(names))
    document = {
        "class_names": list(names),
        "palette": [list(colour) for colour in palette],
        **({"ignore_index": void_id(len(foreign.class_names))} if has_void else {}),
    }
    text = yaml.safe_dump(
        document, sort_keys=False, default_flow_style=None, allow_unicode=True
    )
    write_text(out / DESCRIPTION, text)
