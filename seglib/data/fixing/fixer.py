"""A fixed copy of a dataset, with a log of every change."""

import csv
import io
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from seglib.arguments import checked
from seglib.config import DataConfig
from seglib.data.dataset_yaml import DESCRIPTION, read_description
from seglib.data.fixing.copying import copy_dataset
from seglib.data.fixing.fixes import Fix
from seglib.data.fixing.masks import Colour, MaskFixer
from seglib.data.image_io import decode_samples, encode_png
from seglib.data.problems import PROBLEM, relative_path
from seglib.data.verification.pair_checks import Inspection
from seglib.data.verification.verified import Verification
from seglib.data.verification.verifier import verify
from seglib.errors import SegError, UsageError
from seglib.progress import StageProgress, shown_stages
from seglib.storage.atomic_write import folder_beside, write_bytes, write_text
from seglib.storage.files import read_file

LOG = "fixes.csv"
# Kinds of problems that fixing may remove; the other kinds need a person.
FIXABLE = frozenset(
    {
        "alpha-mask",
        "classes-inferred",
        "colours-for-ids",
        "ids-out-of-range",
        "names-differ",
        "not-an-image",
        "palettes-differ",
        "sixteen-bits",
        "size-mismatch",
        "stretched-ids",
        "too-few-classes",
        "unfit-file",
    }
)
_THREADS = 8
_DEEP = 256  # the least value that needs more than 8 bits
_WRONG_IDS = ("ids-out-of-range", "classes-inferred", "too-few-classes")


@dataclass(frozen=True, kw_only=True)
class Fixing:
    """What was changed, and what is left; without changes nothing was written."""

    changes: tuple[Fix, ...]
    unfixed: tuple[str, ...]  # lines that say why a file was left as it is
    verification: Verification  # of the new dataset, else of the old one


@checked
def fix(
    data: str | Path,
    out: str | Path,
    *,
    config: DataConfig | None = None,
    ignored_colour: Colour | None = None,
    progress: StageProgress = None,
) -> Fixing:
    """Write a copy of a dataset in which all is fixed that has one right answer.

    Names of masks, files that are named by another format, colours in place of ids
    (by the palette of dataset.yaml), stretched ids, ids counted from 1, colour tables
    that differ, alpha channels, few or needless bits, and masks that were drawn on a
    photograph before it was turned. Nothing is guessed. `fixes.csv` lists each change.

    Args:
        data: folder of the dataset, which is only read.
        out: a new folder.
        config: the classes of a dataset without a dataset.yaml.
        ignored_colour: red, green and blue of the ignored pixels of coloured masks.
        progress: see `seglib.train`; a function is called with (what is being done,
            files done, all files).

    Raises:
        UsageError: `out` exists, or lies inside of `data`, or the other way round.
        DatasetError: `data` is no dataset.
    """
    root, out = Path(data), Path(out)
    check_places(root, out)
    settings = config or DataConfig()
    colours = _colours(root, settings, ignored_colour)
    with shown_stages(progress, "fixing") as tell:
        try:
            with folder_beside(out) as folder:
                changes = copy_dataset(root, folder, partial(tell, "copying"))
                copied = verify(
                    folder, config=settings, progress=partial(tell, "verifying")
                )
                more, unfixed = _fix_files(
                    copied,
                    num_classes=_stated_classes(root, settings),
                    colours=colours,
                    progress=partial(tell, "fixing"),
                )
                changes = sorted([*changes, *more])
                if not changes:  # the folder goes, and what was found is of the source
                    found = verify(
                        root, config=settings, progress=partial(tell, "verifying")
                    )
                    return Fixing(
                        changes=(), unfixed=tuple(unfixed), verification=found
                    )
                _write_log(folder / LOG, changes)
                folder.rename(out)
        except OSError as error:
            reason = f"the fixed dataset cannot be written ({error})"
            raise SegError(f"{out}: {reason}.") from error
        found = verify(out, config=settings, progress=partial(tell, "verifying again"))
        return Fixing(
            changes=tuple(changes), unfixed=tuple(unfixed), verification=found
        )


def _fix_files(
    verification: Verification,
    *,
    num_classes: int,
    colours: Mapping[Colour, int],
    progress: Callable[[int, int], None],
) -> tuple[list[Fix], list[str]]:
    """Fix the files of a copy in their place."""
    root = verification.dataset.root
    kinds: dict[Path, set[str]] = defaultdict(set)
    for problem in (*verification.problems, *verification.warnings):
        kinds[problem.path].add(problem.kind)
    every = [i for found in verification.inspections.values() for i in found]
    wrong = {p.kind for p in verification.problems if p.severity == PROBLEM}
    masks = MaskFixer.learn(
        verification.dataset,
        every,
        num_classes=num_classes,
        colours=colours,
        wrong_ids=next((kind for kind in _WRONG_IDS if kind in wrong), ""),
    )
    is_shallow = "sixteen-bits" in wrong and _are_of_eight_bits(every)

    def fix_pair(inspection: Inspection) -> tuple[list[Fix], list[str]]:
        changes, unfixed = [], []
        path = inspection.pair.mask
        place = relative_path(path, root)
        try:
            if fixed := masks.fix(inspection, kinds[path]):
                new = _written(path, encode_png(fixed.ids))
                to = relative_path(new, root)
                changes += [Fix(to, place, k, t) for k, t in fixed.told.items()]
        except SegError as error:
            unfixed.append(f"{place}: {error}")
        image = inspection.image
        if is_shallow and image and 0 < image.deepest < _DEEP:
            path = inspection.pair.image
            to = relative_path(_written(path, _in_eight_bits(path)), root)
            source = relative_path(path, root)
            told = "16 bits a sample brought to the 8 that hold them"
            changes.append(Fix(to, source, "sixteen-bits", told))
        return changes, unfixed

    changes, unfixed = [], []
    with ThreadPoolExecutor(_THREADS) as pool:
        for done, (more, left) in enumerate(pool.map(fix_pair, every), start=1):
            changes += more
            unfixed += left
            progress(done, len(every))
    return changes, unfixed


def _written(path: Path, encoded: bytes) -> Path:
    """Put a PNG in the place of a file of any format."""
    new = path.with_suffix(".png")
    write_bytes(new, encoded)
    if new.name != path.name:
        path.unlink()
    return new


def _are_of_eight_bits(inspections: Sequence[Inspection]) -> bool:
    """Whether all images of 16 bits a sample use the values 0 … 255 only."""
    return all(i.image.deepest < _DEEP for i in inspections if i.image)


def _in_eight_bits(path: Path) -> bytes:
    samples = decode_samples(read_file(path), channels=3)
    return encode_png(samples.astype(np.uint8))


def _colours(
    root: Path, config: DataConfig, ignored_colour: Colour | None
) -> dict[Colour, int]:
    """Class id of each colour of dataset.yaml's palette, and of the ignored pixels."""
    description = read_description(root) if root.is_dir() else {}
    palette = [tuple(colour) for colour in description.get("palette") or ()]
    colours = {c: palette.index(c) for c in palette if palette.count(c) == 1}
    if ignored_colour is None:
        return colours
    given = config.ignore_index
    ignored = given if given >= 0 else description.get("ignore_index")
    if ignored is None:
        raise UsageError(
            "A colour of ignored pixels needs their id. Write `ignore_index: 255` into "
            f"{root / DESCRIPTION}, or pass --ignore-index 255."
        )
    return colours | {ignored_colour: ignored}


def _stated_classes(root: Path, config: DataConfig) -> int:
    """The number of classes that a person stated; 0 if none did."""
    description = read_description(root)
    named = len([name for name in config.class_names.split(",") if name.strip()])
    names = named or len(description.get("class_names") or ())
    given = config.num_classes or description.get("num_classes") or names
    return int(given or len(description.get("palette") or ()))


def check_places(root: Path, out: Path) -> None:
    """Raise a UsageError unless `out` is new, and neither folder inside the other."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"{out}: exists. Choose a new folder.")
    inner, outer = out.resolve(), root.resolve()
    if inner.is_relative_to(outer) or outer.is_relative_to(inner):
        raise UsageError(
            f"{out}: one of the two folders lies in the other. Choose a folder beside "
            f"{root}."
        )


def _write_log(path: Path, changes: Sequence[Fix]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["file", "source", "kind", "change"])
    writer.writerows((c.file, c.source, c.kind, c.told) for c in changes)
    write_text(path, text.getvalue())
