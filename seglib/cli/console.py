"""Shared by the commands: what is checked and told before the work, and datasets."""

import dataclasses
import logging
import os
import shlex
import warnings
from collections.abc import Collection
from pathlib import Path
from typing import Any

from rich.text import Text

from seglib.cli.progress import progress_bar
from seglib.cli.terminal import TerminalHandler, console, tell_error
from seglib.config import Config
from seglib.errors import DatasetError, SegError, UsageError
from seglib.hardware import (
    device_and_format,
    has_gpu,
    has_gpu_driver,
    usable_cores,
)
from seglib.noise import LOG_LEVELS, load_backend
from seglib.plain_text import visible

logger = logging.getLogger(__name__)


def set_up_logging() -> None:
    """Show what the package logs, and warnings of others; keep C++ quiet."""
    for name, level in LOG_LEVELS.items():
        os.environ.setdefault(name, level)
    logging.basicConfig(level=logging.WARNING, handlers=[TerminalHandler(console)])
    logging.captureWarnings(True)
    warnings.formatwarning = lambda message, *_: str(message)  # no line of its source
    warnings.filterwarnings("ignore", module="PIL")  # findings say it, with the file
    logging.getLogger("seglib").setLevel(logging.INFO)


def open_dataset(
    data: Path,
    config: Path | None,
    num_classes: int | None,
    ignore_index: int | None,
    *,
    splits: Collection[str],
    model: Path | None = None,
) -> Any:
    """Open a dataset, with the files of these splits verified."""
    from seglib.data.problems import some_of_each
    from seglib.data.verification.verifier import examine

    check_folder(data)
    options = class_options(data, config, num_classes, ignore_index, model)
    with progress_bar("verifying") as progress:
        found = examine(data, options, splits=splits, progress=progress)
    try:
        found.raise_if_bad()
    except DatasetError as error:
        raise SegError("\n".join([str(error), *how_to_fix(found, data)])) from None
    for line in some_of_each(found.warnings):
        logger.warning("%s", line)
    return found.dataset


def how_to_fix(verification: Any, data: object) -> list[str]:
    """The command that fixes what has one right answer; nothing if nothing has."""
    from seglib.data.fixing.fixer import FIXABLE
    from seglib.data.problems import NOTE

    found = {kind for kind, level in verification.findings.told if level != NOTE}
    if not found & FIXABLE:
        return []
    name = Path(str(data)).resolve().name
    command = shlex.join(["seglib", "fix", str(data), "--out", f"{name}-fixed"])
    kinds = ", ".join(sorted(found & FIXABLE))
    return [f"{kinds}: a copy without them, where one answer is right:", f"  {command}"]


def data_config(
    config: Path | None, num_classes: int | None, ignore_index: int | None
) -> Any:
    return override(
        Config.load(config).data, num_classes=num_classes, ignore_index=ignore_index
    )


def class_options(
    data: Path,
    config: Path | None,
    num_classes: int | None,
    ignore_index: int | None,
    model: Path | None = None,
) -> dict[str, Any]:
    """The classes of a folder, as `scan_dataset` takes them.

    A model tells them where neither the options nor a dataset.yaml do.
    """
    from seglib.data.dataset import config_options

    options = config_options(data_config(config, num_classes, ignore_index))
    if model and not (data / "dataset.yaml").exists() and not options["num_classes"]:
        from seglib.models.contract import read_contract

        contract = read_contract(model)
        options = {name: getattr(contract, name) for name in options}
    return options


def override(section: Any, **given: Any) -> Any:
    """The section with the options that were given on the command line."""
    chosen = {name: value for name, value in given.items() if value is not None}
    return dataclasses.replace(section, **chosen)


def check_folder(data: Path) -> None:
    if not data.is_dir():
        raise UsageError(
            f"{data}: no such folder. Expected one that holds train_images/ and "
            "train_segmentation/ (see docs/data-format.md)."
        )
    from seglib.data.conversion.advice import advice
    from seglib.data.dataset import SPLITS
    from seglib.data.pairing import has_split

    if any(has_split(data, split) for split in SPLITS):
        return
    if told := advice(data):
        raise UsageError(
            f"{data}: no split found: expected train_images/ and train_segmentation/. "
            f"{told}"
        )


def check_model(model: Path) -> None:
    if not model.is_dir():
        raise UsageError(
            f"{model}: no such folder. Expected a model that `seglib train` wrote."
        )


def check_out(
    out: Path, marker: str = "", *, is_file: bool = False, overwrite: bool = False
) -> None:
    """Check before the work that its output can be written, and destroys nothing.

    The rule of all commands: what an earlier one wrote is replaced with --overwrite
    alone, and what it did not write is never replaced.

    Args:
        out: a new place, or an empty folder.
        marker: a file in the folder that such an output is; "": nothing may be there.
        is_file: whether the output is a file.
        overwrite: whether an earlier output may be replaced.
    """
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        held = sorted(out.iterdir()) if out.is_dir() else []
    except OSError as error:
        raise SegError(f"{out}: cannot be written ({error.strerror}).") from error
    if not os.access(out if out.exists() else out.parent, os.W_OK):
        raise SegError(f"{out}: cannot be written. Choose another folder with --out.")
    if out.exists() and out.is_dir() == is_file:
        kinds = ("folder", "file") if is_file else ("file", "folder")
        raise UsageError("{}: is a {}. Expected the name of a {}.".format(out, *kinds))
    if held and out / marker not in held:
        raise UsageError(
            f"{out}: holds something else, such as {held[0].name}. Choose a new folder "
            "with --out."
        )
    if not overwrite and (held or (is_file and out.exists())):
        raise UsageError(
            f"{out}: is there already. Choose another with --out, or replace it with "
            "--overwrite."
        )


def load_framework() -> None:
    """Import Keras and TensorFlow, which takes seconds."""
    with console.status("loading TensorFlow …"):
        load_backend()
    if has_gpu_driver() and not has_gpu():
        logger.warning(
            "TensorFlow cannot use the GPU of this machine, and works on %d CPU cores. "
            "Its libraries for CUDA: pip install 'seglib[gpu]'.",
            usable_cores(),
        )


def tell_device(precision: str = "float32") -> None:
    """Say what computes, and in which number format, if that is known."""
    console.print(device_and_format(precision))


def folders_by_name(given: list[str]) -> dict[str, Path]:
    """The folders of `--input NAME=FOLDER`."""
    folders = {}
    for text in given:
        name, equals, folder = text.partition("=")
        if not equals or not folder:
            raise UsageError(
                f"`--input` expects NAME=FOLDER, such as depth=shots/depth. "
                f"Received: {text}."
            )
        folders[name] = Path(folder)
    return folders


def tell_findings(verification: Any, *, notes: bool = False) -> None:
    try:
        verification.raise_if_bad()
    except SegError as error:
        tell_error(error)  # before the warnings
    for warning in verification.warnings:
        console.print(Text.assemble(("warning:", "yellow"), f" {visible(warning)}"))
    for note in verification.notes if notes else ():
        console.print(Text.assemble(("note:", "cyan"), f" {visible(note)}"))
    if verification.ok:
        dataset = verification.dataset
        counts = ", ".join(f"{len(p)} {split}" for split, p in dataset.splits.items())
        told = f" {counts} pairs, {dataset.num_classes} classes"
        console.print(Text.assemble(("clean:", "green"), told))
