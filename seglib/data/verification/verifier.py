"""Verification of a dataset: every file is looked at, every problem has a remedy.

A problem makes a dataset unfit for use, a warning should be looked at, a note is for
information. The dataset is never changed.
"""

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

from seglib.arguments import checked
from seglib.config import DataConfig
from seglib.data.dataset import SPLITS, config_options
from seglib.data.problems import IGNORE, check_kind
from seglib.data.tree import LOCAL, Tree
from seglib.data.verification.joining import join
from seglib.data.verification.parts import look_at_part, make_plan
from seglib.data.verification.stored_tree import open_tree
from seglib.data.verification.verified import Verification
from seglib.progress import Progress, shown


@checked
def verify(
    root: str | Path,
    *,
    config: DataConfig | None = None,
    ignore: Collection[str] = (),
    fresh: bool = False,
    remote: str = "",
    progress: Progress = None,
) -> Verification:
    """Look at every file of a dataset and gather its problems.

    What was found of a file is cached, and a file is read again once it has changed. It
    is one part of one: see `seglib.data.verification.parts` for several.

    Args:
        root: folder in the dataset format; `data.dvc`, the pin of one, whose files are
            read from its remote; or s3://bucket/prefix that holds its folders. Files of
            a store are read into memory, and not kept.
        config: the classes of a folder without a dataset.yaml.
        ignore: kinds of warnings and notes that are left out; see docs/findings.md.
        fresh: read every file, also those that are cached.
        remote: of a pin. Default: that of its DVC repository.
        progress: see `seglib.train`; a function is called with (pairs opened, all
            pairs).

    Raises:
        SegError: the store cannot be reached or refuses.
        DatasetError: there is nothing to verify (no folder, no split), or the
            dataset.yaml cannot be understood.
        UsageError: an unknown kind to ignore, or one of problems.
    """
    options = config_options(config or DataConfig())
    root, tree = open_tree(root, remote)
    with shown(progress, "verifying") as tell:
        return examine(
            root, options, ignore=ignore, fresh=fresh, tree=tree, progress=tell
        )


def examine(
    root: str | Path,
    options: Mapping[str, Any],
    *,
    splits: Collection[str] = SPLITS,
    ignore: Collection[str] = (),
    at_most: int = 0,
    fresh: bool = False,
    tree: Tree = LOCAL,
    progress: Callable[[int, int], None] | None = None,
) -> Verification:
    """Verify a dataset, or some splits of it; see `verify`.

    Args:
        options: of `scan_dataset`.
        splits: to open; "auto" is test if it exists, else val. If the number of
            classes is unknown, train is opened too, to infer it.
        at_most: pairs of a split to open; of more, a random sample, which is the same
            each time. 0: all.
    """
    for kind in ignore:
        check_kind(kind, IGNORE)
    plan = make_plan(root, options, splits=splits, at_most=at_most, tree=tree)
    part = look_at_part(plan, fresh=fresh, progress=progress)
    return join(plan, [part], ignore=ignore)
