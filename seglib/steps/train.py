"""Training: random views, AdamW, cosine decay; the best epoch by val mIoU is kept."""

import logging
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import yaml

from seglib.arguments import checked
from seglib.config import TrainConfig
from seglib.data.dataset import Dataset
from seglib.data.loader import PairSource
from seglib.data.shards import ShardSource
from seglib.data.verification.loading import opened
from seglib.distributed.process_group import ProcessGroup
from seglib.drawing.plots import curves_png
from seglib.errors import SegError, UsageError
from seglib.models.model import SETTINGS, SegmentationModel, opened_model
from seglib.policies import is_function, policy_tree
from seglib.progress import Progress, shown
from seglib.storage.atomic_write import write_text
from seglib.training.checkpoints import Checkpoints
from seglib.training.distillation import Distillation
from seglib.training.history import History
from seglib.training.preview import VIEWS, views_page
from seglib.training.state import Row
from seglib.training.tensorboard import tensorboard_writer
from seglib.training.trainer import Trainer

logger = logging.getLogger(__name__)


@checked
def train(
    model: SegmentationModel | str | Path,
    data: Dataset | str | Path,
    *,
    config: TrainConfig | None = None,
    shards: str | Path | None = None,
    policy: Any = None,
    distillation: Distillation | None = None,
    out: str | Path | None = None,
    overwrite: bool = True,
    checkpoints: Checkpoints | str | Path | None = None,
    processes: ProcessGroup | None = None,
    loader_threads: int = 0,
    on_epoch: Callable[[Row], None] | None = None,
    on_stage: Callable[[str], None] | None = None,
    progress: Progress = None,
    tensorboard: str | Path | None = None,
    now: Callable[[], float] = time.monotonic,
) -> History:
    """Train a model in place, on one device; its best epoch's weights are kept.

    Args:
        model: a model, or the folder of one, from whose weights training goes on; the
            trained one is then in `out` alone.
        data: a dataset, or its folder. Its train split is learnt from (unless `shards`
            is given), its val split decides which epoch is best. Without a val split
            the last epoch is kept.
        shards: folder or s3://bucket/prefix that `seglib augment` or `seglib pack`
            wrote, in place of the train split.
        policy: alters the views, in place of `config.train_policy`; as that of
            `seglib.augment`, masks being uint16. Checkpoints know a function by its
            code.
        distillation: a teacher from which the model learns, beside the masks.
        out: where the artifact goes at the end: network, contract, history.json, .csv,
            curves.png, settings.yaml, and views.html, which shows what training saw.
            Until then the best epoch so far lies beside it, as `NAME.unfinished`, and
            survives an interruption.
        overwrite: whether a finished model at `out` may be replaced by a different
            training; the same one may always.
        checkpoints: where the state of the training is saved meanwhile, a folder or
            s3://bucket/prefix. The same training, started again, resumes from there,
            to the same weights. Any other one starts anew: with other settings, data,
            code or first weights (`keras.utils.set_random_seed` before a model is
            built makes them the same). After SIGTERM the state is written at the end
            of the step, and training ends.
        processes: a group that shares each batch, one device a process, as
            `seglib.distributed.launch` and `seglib.distributed.join` give it; all call
            this with the same arguments. Process 0 alone validates, writes and calls
            back; all return the same. A training that one process began can be resumed
            by several, and the other way round.
        loader_threads: threads that load images; they do not change the result. 0: one
            a core, eight at most.
        on_epoch: called with each row of the history, those of an interrupted part
            included.
        on_stage: called with what begins now, such as "compiling the first step …".
        progress: True shows a bar and a line an epoch, False does not; None does in
            notebooks and on terminals. A function is called after each step with (steps
            done, steps in all) instead.
        tensorboard: folder that gets the history as event files, epoch by epoch.
        now: gives the time in seconds, from which `max_minutes` counts.

    Returns:
        A list, which notebooks show as curves, of one row an epoch: epoch, loss,
        train_miou (on the random views), val_miou (at the original size; NaN where it
        was not measured), learning_rate, duration_s.

    Raises:
        UsageError: a model's folder without `out`; or `out` holds another training,
            and `overwrite` is False.
        SegError: the data do not fit the model, the loss is no longer finite, the
            place of the checkpoints cannot be read, or another process is lost.
        SystemExit: 143, after SIGTERM to any of the processes, where checkpoints are
            kept or there are several processes.
    """
    if not (out or isinstance(model, SegmentationModel)):
        raise UsageError(
            f"The model of {model} is trained in memory, and would be lost. Give "
            "`out`, a folder for it, or a model that `seglib.load_model` opened."
        )
    if isinstance(checkpoints, str | Path):
        checkpoints = Checkpoints(checkpoints)
    data = opened(data, splits=("train", "val"))
    config = config or TrainConfig()
    if policy is not None and not is_function(policy):
        config, policy = replace(config, train_policy=policy), None
    group = processes or ProcessGroup()
    if tensorboard and group.is_first:
        told = on_epoch, tensorboard_writer(Path(tensorboard))

        def on_epoch(row: Row) -> None:
            for tell in filter(None, told):
                tell(row)

    with shown(progress if group.is_first else False, "training") as tell:
        trainer = Trainer(
            model=opened_model(model),
            data=data,
            config=config,
            draw_curves=curves_png,
            shards=str(shards) if shards else None,
            policy=policy,
            distillation=distillation,
            out=Path(out) if out else None,
            overwrite=overwrite,
            checkpoints=checkpoints,
            group=group,
            loader_threads=loader_threads,
            on_epoch=on_epoch,
            on_step=tell,
            on_stage=on_stage,
            now=now,
        )
        history = trainer.run()
    if trainer.out:
        _write_pages(trainer, trainer.out)
    return History(history)


def _write_pages(trainer: Trainer, out: Path) -> None:
    """Write the settings, and the page of what this training sees.

    Without them the model is as good: a failure is a warning.
    """
    contract, balance = trainer.contract, None
    if hasattr(trainer, "images"):  # not where the outcome was taken over
        source, balance = trainer.images.source, trainer.images.balance
    elif trainer.shards:
        source = ShardSource(trainer.shards, inputs=contract.inputs)
    else:
        source = PairSource(trainer.data.pairs("train"), inputs=contract.inputs)
    policy = trainer.policy or trainer.config.train_policy
    settings = asdict(replace(trainer.config, train_policy=""))
    settings["train_policy"] = policy_tree(policy) if policy else ""
    text = yaml.safe_dump({"train": settings}, sort_keys=False, default_flow_style=None)
    try:
        write_text(out / SETTINGS, text)
        page = views_page(
            replace(trainer.data, palette=contract.palette),
            source,
            trainer.config,
            image_size=contract.image_size,
            policy=trainer.policy,
            balance=balance,
        )
        write_text(out / VIEWS, page)
    except SegError as error:
        logger.warning("%s: not written. %s", out / VIEWS, error)
