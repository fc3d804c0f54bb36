"""The inputs of a run: dataset, settings, version of the code."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seglib.code_version import code_digest
from seglib.code_version import git_commit as commit_of
from seglib.config import Config
from seglib.environment import GIT_COMMIT
from seglib.errors import DatasetError, SegError, UsageError
from seglib.storage.documents import parse_yaml

REPOSITORY = Path(__file__).resolve().parents[2]
PIN = "data.dvc"
# Rooms that record what a step does, and change nothing of its output.
_RECORDING = {"seglib.delivery", "seglib.registry", "seglib.tracking"}
# Their pages and pictures lie beside what a training reads and gives: another colour is
# no reason to train again.
_PAGES = {"seglib.drawing", "seglib.report"}
_PAGES_DO_NOT_COUNT = ("verify", "augment", "train")


@dataclass(frozen=True, kw_only=True)
class Data:
    """A dataset: its hash, and where its files are."""

    data_md5: str
    remote: str
    title: str  # as a person calls it

    def __post_init__(self) -> None:
        refuse_placeholders(data_md5=self.data_md5, remote=self.remote)


def find_data(folder: Path | None) -> Data:
    """The dataset of a run.

    Args:
        folder: in the dataset format; it is hashed as DVC would. Default: what the
            repository's data.dvc pins, from the repository's own DVC remote.

    """
    from seglib.storage.hashes import hash_folder
    from seglib.storage.pins import default_remote, read_pin

    if folder is None:
        place = next((p for p in (Path.cwd(), REPOSITORY) if (p / PIN).exists()), None)
        if place is None:
            raise SegError(
                f"No {PIN} in {Path.cwd()}. Run in a clone of the repository, or name "
                "a dataset's folder with --data."
            )
        data_md5, remote = read_pin(place / PIN), default_remote(place)
        return Data(data_md5=data_md5, remote=remote, title=f"pinned by {PIN}")
    root = folder.resolve()
    if not root.is_dir() or not any(root.iterdir()):
        problem = "the folder is empty" if root.is_dir() else "no such folder"
        raise SegError(
            f"{folder}: {problem}. Expected one that holds train_images/ and "
            "train_segmentation/ (see docs/data-format.md)."
        )
    return Data(data_md5=hash_folder(root), remote=str(root), title=str(folder))


def require_splits(data: Data, config: Config, *, sweep: bool = False) -> None:
    """Check that the data have the splits that a run needs.

    Data that cannot be listed from here are checked by the step that fetches them.

    Args:
        sweep: the run chooses among trials, by the val split.

    Raises:
        DatasetError: a split is missing; names it, its use and the present splits.
    """
    try:
        splits = _splits(data)
    except SegError:
        return
    split: str = config.evaluate.split
    needs = {"train": "which models learn from"}
    if split != "auto":
        needs[split] = f"which the model is scored on, as `split: {split}` says"
    elif "test" not in splits:
        needs["val"] = "which the model is scored on where there is no test split"
    if sweep:
        needs["val"] = "by which a sweep chooses among its trials"
    for split, use in needs.items():
        if split not in splits:
            raise DatasetError(
                f"{data.title}: no {split} split, {use}. Received: "
                f"{', '.join(splits) or 'no split'}. Add {split}_images/ and "
                f"{split}_segmentation/."
            )


def find_settings(file: Path | None, changes: Iterable[str] = ()) -> Config:
    """The configuration of a run.

    Args:
        file: YAML; `None` gives the defaults.
        changes: "name=value" each, on top of the file.

    Raises:
        UsageError: an unknown name (the nearest is named), an unfit value, or a
            placeholder.
    """
    flat: dict[str, Any] = Config.load(file).flat()
    for change in changes:
        name, equals, text = change.partition("=")
        if not equals:
            raise UsageError(
                f"Expected name=value. Received: {change!r}. Try --set epochs=5."
            )
        flat[name.strip()] = parse_setting(text.strip(), like=flat.get(name.strip()))
    config = Config.from_flat(flat)
    refuse_placeholders(**config.flat())
    return config


def refuse_placeholders(**values: Any) -> None:
    """Raise a UsageError for a text that Kubeflow Pipelines or Argo would fill in.

    They replace `{{$…}}` and `{{workflow.…}}` in whatever a step is given.
    """
    for name, value in values.items():
        if isinstance(value, str) and "{{" in value:
            raise UsageError(
                f"`{name}` must be a text without {{{{, which Kubeflow Pipelines "
                f"fills in when the step runs. Received: {name}={value!r}. Write the "
                "value itself."
            )


def check_publication(
    config: Config, *, docker: bool = False, elsewhere: bool = False
) -> None:
    """Check that a run's export can be published, before anything is trained.

    Args:
        docker: the steps run in containers.
        elsewhere: they run on a cluster, whose folders are not looked for here.
    """
    from seglib.registry.release import absolute
    from seglib.storage.publishing import check_place

    place = config.export.publish_to
    if docker and place and "://" not in place:
        raise SegError(
            f"`publish_to` is a folder of this machine, which a container does not "
            f"see. Expected s3://bucket/prefix. Received: publish_to={place!r}."
        )
    if place and not (elsewhere and "://" not in place):
        check_place(absolute(place), config.export.publish_name)


def code_version() -> str:
    """A digest of what computes: components, what they import, and libraries.

    It is a parameter of every cached step: KFP's cache knows nothing of these files,
    and would reuse what older code made.
    """
    names = sorted(path.stem for path in (REPOSITORY / "components").glob("*.py"))
    modules = [f"components.{name}" for name in names]
    return code_digest(*modules, without=_RECORDING, root=REPOSITORY)[:16]


def step_code_version(component: str, *, step: str) -> str:
    """The same for one step of a local run, by the module of its component."""
    pages = _PAGES if step in _PAGES_DO_NOT_COUNT else set()
    return code_digest(component, without=_RECORDING | pages, root=REPOSITORY)[:16]


def git_commit() -> str:
    """The commit of the code, "-dirty" where files differ from it; empty if unknown."""
    return commit_of(REPOSITORY) or os.environ.get(GIT_COMMIT, "")


def _splits(data: Data) -> tuple[str, ...]:
    """The splits that hold images, by the folder or by the listing of its remote."""
    from seglib.data.dataset import SPLITS
    from seglib.storage.listings import manifest_entries

    root = Path(data.remote)
    found = {path.parent.name for path in root.glob("*_images/*")}
    if not found:
        entries = manifest_entries(data.data_md5, data.remote)
        found = {entry.path.partition("/")[0] for entry in entries}
    return tuple(split for split in SPLITS if f"{split}_images" in found)


def parse_setting(text: str, *, like: Any) -> Any:
    """The value of a setting that is given as text, of the type of `like`."""
    if isinstance(like, str):
        return text
    try:
        return float(text) if isinstance(like, float) else parse_yaml(text, name="")
    except ValueError:
        return text  # the check of its type will say what is wrong
