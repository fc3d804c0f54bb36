"""Shared by the commands: options, messages, progress, and opening of datasets."""

import dataclasses
import logging
import os
import shlex
import threading
import time
import warnings
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from rich.filesize import decimal
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from seglib.cli.terminal import Terminal, TerminalHandler, tell_error
from seglib.config import Config
from seglib.errors import DatasetError, SegError, UsageError
from seglib.hardware import (
    cpu_half_format,
    device_name,
    has_gpu,
    has_gpu_driver,
    usable_cores,
)
from seglib.noise import LOG_LEVELS, load_backend
from seglib.plain_text import visible

logger = logging.getLogger(__name__)

console = Terminal()
errors = Terminal(stderr=True)


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

    found = {p.kind for p in (*verification.problems, *verification.warnings)}
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


def check_out(out: Path, marker: str = "", *, overwrite: bool = False) -> None:
    """Check before the work that its output can be written, and destroys nothing.

    The rule of all commands: what an earlier one wrote is replaced with --overwrite
    alone, and what it did not write is never replaced.

    Args:
        out: a file or a folder, new or empty.
        marker: a file that such an output holds; "": `out` is a file itself.
        overwrite: whether an earlier output may be replaced.
    """
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        held = sorted(out.iterdir()) if out.is_dir() and marker else []
    except OSError as error:
        raise SegError(f"{out}: cannot be written ({error.strerror}).") from error
    if not os.access(out if out.exists() else out.parent, os.W_OK):
        raise SegError(f"{out}: cannot be written. Choose another folder with --out.")
    if out.exists() and out.is_dir() != bool(marker):
        kind = "folder, and a file" if out.is_dir() else "file, and a folder"
        raise UsageError(f"{out}: is a {kind} is to be written. Choose another --out.")
    if held and out / marker not in held:
        raise UsageError(
            f"{out}: holds something else, such as {held[0].name}. Choose a new folder "
            "with --out."
        )
    if not overwrite and (held or (out.exists() and not marker)):
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
    if precision == "auto" and has_gpu_driver():
        precision = "number format by trial"
    elif precision == "auto":
        precision = " or ".join(filter(None, ("float32", cpu_half_format())))
    console.print(f"{device_name()}, {precision}")


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


@contextmanager
def progress_bar(text: str) -> Iterator[Callable[[int, int], None]]:
    with stage_bar(text) as update:
        yield partial(update, text)


@contextmanager
def stage_bar(text: str) -> Iterator[Callable[[str, int, int | None], None]]:
    """A bar of several stages: it is told the name of each, done and total."""
    columns = (
        _title(),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with _progress(*columns) as progress:
        task = progress.add_task(visible(text), total=None)

        def update(stage: str, done: int, total: int | None) -> None:
            shown = visible(stage)
            progress.update(task, description=shown, completed=done, total=total)

        yield update


class TransferBar:
    """Counts the files and bytes that `transfer_bar` shows."""

    def __init__(self, progress: Progress, task: TaskID):
        self._progress, self._task = progress, task
        self._bytes, self._started = 0, time.monotonic()
        self._counting = threading.Lock()

    def files(self, done: int, total: int) -> None:
        """Update the bar; called by the waiting thread."""
        speed = self._bytes / max(time.monotonic() - self._started, 0.1)
        moved = f"{decimal(self._bytes)}, {decimal(int(speed))}/s"
        self._progress.update(self._task, completed=done, total=total, moved=moved)

    def moved(self, count: int) -> None:
        """Count bytes; called by any thread."""
        with self._counting:
            self._bytes += count


@contextmanager
def transfer_bar(text: str) -> Iterator[TransferBar]:
    columns = (
        _title(),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[moved]}"),
        TimeRemainingColumn(),
    )
    with _progress(*columns) as progress:
        yield TransferBar(
            progress, progress.add_task(visible(text), total=None, moved="")
        )


def _progress(*columns: ProgressColumn) -> Progress:
    """A progress bar that leaves no output behind."""
    silent = not console.is_terminal
    return Progress(*columns, console=console, transient=True, disable=silent)


def _title() -> ProgressColumn:
    """The task's text, without markup and without fields in braces."""
    return TextColumn("{task.description}", markup=False)
