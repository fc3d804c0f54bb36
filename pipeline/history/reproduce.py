"""Reproduction of a run, with its data, settings and seeds, by the same code."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.dag.inputs import (
    Data,
    code_version,
    find_data,
    git_commit,
    parse_setting,
)
from seglib.config import Config
from seglib.errors import SegError
from seglib.tracking.queries import RunFacts


@dataclass(frozen=True)
class Recipe:
    """Data and configuration of a run."""

    data: Data
    config: Config


def recipe(row: RunFacts, *, folder: Path | None = None, any_code: bool) -> Recipe:
    """The data and configuration of a tracked run; checks that both are available.

    Args:
        row: the run's row in MLflow.
        folder: of the data. Default: the place that the row names.
        any_code: accept another version of the code.
    """
    from seglib.storage.listings import missing_files

    missing = [name for name in ("data_md5", "data_remote") if name not in row.tags]
    if missing or not row.parameters:
        raise SegError(
            f"{row.name}: its row does not say how it was made (no "
            f"{', '.join(missing) or 'parameters'}). Runs of older versions do not."
        )
    _check_code(row.tags, any_code=any_code)
    data_md5, remote = row.tags["data_md5"], row.tags["data_remote"]
    if folder:
        data = find_data(folder)
        if data.data_md5 != data_md5:
            raise SegError(
                f"{folder}: not the data of {row.name}. Expected {data_md5}. "
                f"Received: {data.data_md5}."
            )
    else:
        data = Data(data_md5=data_md5, remote=remote, title=f"as in {row.name}")
        if absent := missing_files(data_md5, remote):
            raise SegError(
                f"{remote}: {len(absent)} file(s) of {data_md5} are not there, such as "
                f"{absent[0]}. Bring them back, or name the dataset's folder with "
                "--data."
            )
    return Recipe(data, Config.from_flat(_settings(row.parameters)))


def difference(row: RunFacts, scores: Mapping[str, Any]) -> tuple[float, float]:
    """The mIoU of the row, and the new mIoU minus that."""
    if "miou" not in row.metrics:
        raise SegError(f"{row.name} ended without a score: {row.status}.")
    return row.metrics["miou"], float(scores["miou"]) - row.metrics["miou"]


def _check_code(tags: Mapping[str, str], *, any_code: bool) -> None:
    """Equal sources and libraries are equal code, whatever the commit is called."""
    version, here = tags.get("code_version", ""), code_version()
    if any_code or version == here:
        return
    commit = tags.get("git_commit", "")
    clean = commit.removesuffix("-dirty")
    if not commit:
        remedy = "Its commit is not known"
    elif clean == git_commit():
        remedy = "The commit is the same, but libraries or the image differ"
    else:
        remedy = f"Check it out: git checkout {clean}"
    if commit.endswith("-dirty"):
        remedy += " (files differed from that commit)"
    raise SegError(
        f"The code is another. Expected: version {version}, commit "
        f"{commit or 'unknown'}. Received: version {here}, commit {git_commit()}. "
        f"{remedy}; or go on with this code: --any-code."
    )


def _settings(parameters: Mapping[str, str]) -> dict[str, Any]:
    """A row's parameters, which are texts, as the configuration's types."""
    defaults = Config().flat()
    if unknown := sorted(parameters.keys() - defaults.keys()):
        raise SegError(
            f"The row has settings that this code does not know: {', '.join(unknown)}. "
            "Check out the code of the run."
        )
    return {k: parse_setting(text, like=defaults[k]) for k, text in parameters.items()}
