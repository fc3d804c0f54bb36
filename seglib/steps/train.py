"""Training: random views, AdamW, cosine decay; the best epoch by val mIoU is kept."""

import logging
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path

import keras
import numpy as np

from seglib.config import TrainConfig
from seglib.data.dataset import Dataset
from seglib.data.loader import (
    PairSource,
    ShardSource,
    crop_size,
    training_batches,
)
from seglib.distributed.collectives import synchronize
from seglib.distributed.process_group import Processes
from seglib.distributed.replicas import Replicas
from seglib.errors import SegError, UsageError
from seglib.evaluation.metrics import MeanIoU
from seglib.hardware import keep_freed_memory
from seglib.models import copy_network
from seglib.models.contract import CUSTOM
from seglib.models.model import SegmentationModel
from seglib.training.broadcast import share, share_weights
from seglib.training.checkpoints import Checkpoints, Snapshot, require_state, restore
from seglib.training.checkpoints.key import content_key
from seglib.training.clock import Clock
from seglib.training.distillation import Distillation, Distiller
from seglib.training.losses import CrossEntropy, class_weights
from seglib.training.optimizer import build_optimizer, encoder_of
from seglib.training.precision import (
    Numerics,
    Timing,
    agreed,
    candidates,
    choose_numerics,
    restored,
    time_steps,
)
from seglib.training.preemption import Termination
from seglib.training.watch import Row, Watch, write_outcome

logger = logging.getLogger(__name__)


def train(
    model: SegmentationModel,
    data: Dataset,
    *,
    config: TrainConfig | None = None,
    shards: Path | None = None,
    distillation: Distillation | None = None,
    out: Path | None = None,
    checkpoints: Checkpoints | str | Path | None = None,
    devices: Sequence[str] | None = None,
    processes: Processes | None = None,
    loader_threads: int = 0,
    on_epoch: Callable[[Row], None] | None = None,
    on_step: Callable[[int, int], None] | None = None,
    now: Callable[[], float] = time.monotonic,
) -> list[Row]:
    """Train a model in place; it ends with the weights of its best epoch.

    Args:
        data: its train split is learnt from (unless `shards` is given), its val split
            decides which epoch is best. Without a val split the last epoch is kept.
        shards: folder that `seglib augment` wrote, in place of the train split.
        distillation: a teacher from which the model learns, beside the masks.
        out: where the artifact goes once training is through: network, contract,
            history.json and curves.png. Until then the best epoch so far lies beside
            it, as `NAME.unfinished`, and survives an interruption.
        checkpoints: where the state of the training is kept meanwhile, a folder or
            s3://bucket/prefix. The same training, started again, goes on from there,
            to the same weights. Any other one starts anew: with other settings, data,
            code or first weights (`keras.utils.set_random_seed` before a model is
            built makes them the same). On SIGTERM the state is written after the step
            that is being taken, and training ends.
        devices: what shares each batch, such as GPU:0 and GPU:1. Default: all GPUs,
            else the CPU.
        processes: those that share each batch; all call this with the same arguments.
            The first alone validates, writes and calls back; all return the same. What
            one process has begun several can go on with, and the other way round.
        on_epoch: called with each row of the history, those of an interrupted part
            included.
        on_step: called after each step with (steps done, steps in all).
        now: gives the time in seconds, from which `max_minutes` counts.

    Returns:
        One row an epoch: epoch, loss, train_miou (on the random views), val_miou (at
        the original size; NaN where it was not measured), learning_rate, duration_s.

    Raises:
        SegError: the data do not fit the model, the loss is no longer finite, the
            place of the checkpoints cannot be read, or another process is lost.
        SystemExit: 143, after SIGTERM to any of the processes, where checkpoints are
            kept or there are several processes.
    """
    config = config or TrainConfig()
    clock = Clock(config.max_minutes, now)
    processes = processes or Processes()
    if not processes.is_first:
        out = checkpoints = on_epoch = on_step = None
    replicas = Replicas(devices, batch_size=config.batch_size, processes=processes)
    if distillation and replicas.count > 1:
        raise UsageError(
            f"A teacher teaches on one device. Received: {replicas.count}. Name one by "
            "`devices`, or by the environment variable CUDA_VISIBLE_DEVICES."
        )
    model.adopt_classes(data)
    contract = model.contract
    keep_freed_memory()
    source = (
        ShardSource(shards, inputs=contract.inputs)
        if shards
        else PairSource(data.pairs("train"), inputs=contract.inputs)
    )
    if isinstance(checkpoints, str | Path):
        checkpoints = Checkpoints(checkpoints)
    snapshot = None
    if checkpoints or processes.count > 1:
        share_weights(model, processes)
        key = content_key(
            model, data, config=config, shards=shards, distillation=distillation
        )
        processes.require_same(key)
        fits = partial(require_state, network=model.network)
        snapshot = checkpoints.open(key, check=fits) if checkpoints else None
        snapshot = share(snapshot, processes)
    if snapshot and snapshot.is_outcome:
        if checkpoints:
            logger.info("trained before; the model is from %s", checkpoints.place)
        _tell(snapshot, on_epoch)
        return write_outcome(snapshot, model, out=out, checkpoints=checkpoints)
    one_pass = max(1, len(source) // config.batch_size)
    steps_per_epoch = config.steps_per_epoch or one_pass
    total_steps = steps_per_epoch * config.epochs
    pixels = _class_pixels(source, contract.num_classes, contract.ignore_index)
    weights = class_weights(pixels, config.class_weight_power).tolist()

    def learner(numerics: Numerics) -> tuple[keras.Model, keras.Model]:
        network = copy_network(model, precision=numerics.precision)
        if replicas.count > 1:
            synchronize(network)
        return network, Distiller(network, distillation) if distillation else network

    def prepare(
        trainee: keras.Model, network: keras.Model, miou: MeanIoU, numerics: Numerics
    ) -> None:
        trainee.compile(
            optimizer=build_optimizer(config, network),
            loss=CrossEntropy(
                ignore_index=contract.ignore_index, class_weights=weights
            ),
            metrics=[miou],
            jit_compile=numerics.xla,
        )

    def measure(numerics: Numerics) -> Timing:
        network, trainee = learner(numerics)
        miou = MeanIoU(contract.num_classes, contract.ignore_index)
        prepare(trainee, network, miou, numerics)
        views = config.batch_size // replicas.count
        shape = (views, *crop_size(contract.image_size, config))
        return time_steps(trainee, shape, contract.channels)

    numerics = Numerics()
    own_layers = contract.architecture == CUSTOM
    allowed = candidates(config, own_layers=own_layers, devices=replicas.count)
    if snapshot:
        numerics = restored(snapshot.facts["numerics"], devices=replicas.count)
    elif processes.is_first:
        limit_s = 60 * config.max_minutes
        numerics = choose_numerics(allowed, measure, total_steps, limit_s=limit_s)
    numerics = agreed(numerics, processes)
    keras.utils.set_random_seed(config.train_seed)  # whatever was tried before
    with replicas.scope():
        network, trainee = learner(numerics)
    say = logger.info if processes.is_first else logger.debug
    say(
        "training %s on %s: %d images, %d epochs of %d steps, %s, %s parameters%s",
        contract.architecture,
        contract.encoder,
        len(source),
        config.epochs,
        steps_per_epoch,
        numerics,
        f"{network.count_params():,}",
        replicas.described,
    )
    termination = Termination()
    with replicas.scope():  # it counts on every device
        watch = Watch(
            model,
            network,
            val=data.splits.get("val", ()) if processes.is_first else (),
            config=config,
            steps_per_epoch=steps_per_epoch,
            clock=clock,
            numerics=numerics,
            out=out,
            checkpoints=checkpoints,
            termination=termination,
            processes=processes,
            on_epoch=on_epoch,
            on_step=on_step,
        )
    if snapshot:
        watch.go_on(snapshot)
        if checkpoints:
            logger.info(
                "going on after step %d of %d, from the checkpoint in %s",
                watch.steps,
                total_steps,
                checkpoints.place,
            )
        _tell(snapshot, on_epoch)
    processes.set_apart(network)
    ends_softly = checkpoints or processes.count > 1
    with (
        checkpoints or nullcontext(),
        termination if ends_softly else nullcontext(),
        processes.losing_none(),
    ):
        for first, last in _phases(config):
            if watch.steps >= last * steps_per_epoch:
                continue
            if config.freeze_epochs:
                encoder_of(network).trainable = first >= config.freeze_epochs
                say(
                    "epochs %d-%d: the encoder %s",
                    first + 1,
                    last,
                    "learns, too" if first else "keeps its weights",
                )
            with replicas.scope():
                prepare(trainee, network, watch.miou, numerics)
            processes.bind(trainee)
            if snapshot and watch.steps > first * steps_per_epoch:
                restore(trainee.optimizer.variables, snapshot.arrays["optimizer"])
            snapshot = None  # it is four times the size of the network
            while watch.steps < last * steps_per_epoch and not watch.is_over:
                # An epoch that was interrupted is finished first, by itself.
                epoch, done = divmod(watch.steps, steps_per_epoch)
                trainee.fit(
                    training_batches(
                        source,
                        image_size=contract.image_size,
                        ignore_index=contract.ignore_index,
                        config=config,
                        first_step=watch.steps,
                        share=(processes.index, processes.count),
                        num_threads=loader_threads,
                    ),
                    initial_epoch=epoch,
                    epochs=epoch + 1 if done else last,
                    steps_per_epoch=steps_per_epoch - done,
                    callbacks=[watch],
                    shuffle=False,  # the batches are shuffled already
                    verbose=0,
                )
            if watch.is_over:
                break
        return watch.finish()


def _tell(snapshot: Snapshot, on_epoch: Callable[[Row], None] | None) -> None:
    """Tell the epochs of before: who listens now may have been another then."""
    if on_epoch:
        for row in snapshot.facts["history"]:
            on_epoch(row)


def _phases(config: TrainConfig) -> list[tuple[int, int]]:
    """First epoch, and the one after the last, of each phase."""
    if not config.freeze_epochs:
        return [(0, config.epochs)]
    frozen = min(config.freeze_epochs, config.epochs)
    return [(0, frozen), (frozen, config.epochs)][: 1 + (frozen < config.epochs)]


def _class_pixels(
    source: PairSource, num_classes: int, ignore_index: int | None
) -> np.ndarray:
    """Counted pixels of each class; fills the source's cache on the way."""
    pixels = np.zeros(num_classes, np.int64)
    for index in range(len(source)):
        counts = np.bincount(source[index][1].reshape(-1))
        if ignore_index is not None and ignore_index < counts.size:
            counts[ignore_index] = 0
        wrong = np.flatnonzero(counts[num_classes:])
        if wrong.size:
            raise SegError(
                f"A training mask holds the id {num_classes + int(wrong[0])}. "
                f"Expected: ids below num_classes={num_classes}, or "
                f"ignore_index={ignore_index}. "
                "Run `seglib verify`, which names the file."
            )
        pixels[: min(num_classes, counts.size)] += counts[:num_classes]
    return pixels
