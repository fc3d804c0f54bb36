"""Loading of a dataset folder, with the checks of `seglib verify`."""

import logging
from collections.abc import Collection
from pathlib import Path

from seglib.arguments import checked
from seglib.config import DataConfig
from seglib.data.dataset import SPLITS, Dataset
from seglib.data.problems import some_of_each
from seglib.data.verification.verifier import examine
from seglib.progress import Progress, shown

logger = logging.getLogger(__name__)


@checked
def opened(data: Dataset | str | Path, *, splits: Collection[str] = SPLITS) -> Dataset:
    """A dataset, or that of a folder, of which these splits are verified.

    Raises:
        DatasetError: of `load_dataset`.
        UsageError: neither a dataset nor a path.
    """
    if isinstance(data, str | Path):
        return load_dataset(data, splits=splits, progress=None if splits else False)
    return data


@checked
def load_dataset(
    root: str | Path,
    *,
    num_classes: int | None = None,
    ignore_index: int | None = None,
    class_names: tuple[str, ...] = (),
    splits: Collection[str] = SPLITS,
    progress: Progress = None,
) -> Dataset:
    """List a dataset folder, and verify its files.

    A problem of `seglib verify` is an error here, and its warnings are logged. For a
    manifest that is verified already, use `seglib.data.manifest.open_dataset`.

    Args:
        root: folder in the dataset format.
        num_classes: classes, background counted, the ignored id not. Default:
            dataset.yaml, else the largest id in the training masks + 1.
        ignore_index: id of the pixels that are not counted. Default: dataset.yaml.
        class_names: in id order. Default: dataset.yaml, else `class_0`, ….
        splits: to open; all are listed. "auto" is test if it exists, else val. If the
            number of classes is unknown, train is opened too, to infer it.
        progress: see `seglib.train`; a function is called with (pairs opened, all
            pairs).

    Raises:
        DatasetError: all problems at once, one `path: reason` a line.
        UsageError: a number of classes or an id out of range.
    """
    DataConfig(
        num_classes=num_classes or 0,
        ignore_index=-1 if ignore_index is None else ignore_index,
    )
    options = {
        "num_classes": num_classes,
        "ignore_index": ignore_index,
        "class_names": class_names,
    }
    with shown(progress, "verifying") as tell:
        verification = examine(root, options, splits=splits, progress=tell)
        verification.raise_if_bad()
        for line in some_of_each(verification.warnings):
            logger.warning("%s", line)
    return verification.dataset
