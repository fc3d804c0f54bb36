"""What a step, an image, and a validation take on this machine: a few real ones."""

import logging
import resource
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

from seglib.config import Config
from seglib.data.dataset import Dataset
from seglib.data.loader import PairSource, training_batches
from seglib.data.pairs import spread
from seglib.data.views import crop_size
from seglib.distributed.process_group import ProcessGroup
from seglib.errors import SegError
from seglib.evaluation.scoring import BATCH_SIZE, score_pairs
from seglib.hardware import CACHED_BYTES, free_bytes, keep_freed_memory, usable_cores
from seglib.loss_formula import parse_loss
from seglib.models import build_from_config
from seglib.models.model import SegmentationModel
from seglib.planning.fingerprint import Fingerprint
from seglib.planning.rules import Choice
from seglib.training import precision
from seglib.training.learner import Learner
from seglib.training.losses import build_loss

logger = logging.getLogger(__name__)

_SAMPLE = 32  # pairs that the loader is timed with
_LOADED_S = 1.0
_USABLE = 0.6  # of the free memory
_MANY = 10**6  # steps: enough that every number format is worth a trial


@dataclass(frozen=True)
class Measured:
    """Seconds, on this machine, of the parts of a training.

    start_s: until the first step: masks are counted, the network is compiled.
    step_s: a step, its views loaded.
    load_s: of that, what a view costs to load.
    validation_s: all images of the val split; 0 without one.
    batch_size: that fits the memory.
    memory_bytes: the largest that this process has taken, and the decoded images.
    """

    start_s: float
    step_s: float
    load_s: float
    validation_s: float
    batch_size: int
    memory_bytes: int

    def choices(self, draft: Config) -> Iterator[Choice]:
        """The settings that follow from the times of steps and from the memory."""
        if self.batch_size != draft.train.batch_size:
            why = f"{draft.train.batch_size} views do not fit the memory"
            yield Choice("batch_size", self.batch_size, why)


def measure(facts: Fingerprint, config: Config, *, device: str) -> Measured:
    """Train a few steps with a plan, load its views, and score a few images.

    Args:
        config: the plan; its batch is halved until a step fits the free memory.
        device: "cpu" or "gpu".

    Raises:
        SegError: not even a single view fits.
    """
    keep_freed_memory()
    dataset = facts.dataset
    model = build_from_config(config.model, dataset)
    if device == "cpu":
        config = _fitting(model, config)
    timing, chosen = _fastest(model, config)
    batch = config.train.batch_size // chosen.parts
    read_s, view_s = _load(facts, model, config)
    pixels = int(facts.sizes.prod(1).mean()) * (sum(model.contract.inputs.values()) + 1)
    decoded = facts.images("train") * pixels
    missed = max(0.0, 1 - CACHED_BYTES / decoded)
    peak = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    load_s = view_s + missed * read_s / usable_cores()
    # On a CPU loader and step share the cores; beside a GPU they run at once.
    step_s, waits_s = timing.step_s / chosen.parts, batch * load_s
    step_s = step_s + waits_s if device == "cpu" else max(step_s, waits_s)
    return Measured(
        start_s=timing.compile_s + facts.images("train") * read_s,
        step_s=step_s,
        load_s=load_s,
        validation_s=_validation_s(model, dataset),
        batch_size=batch,
        memory_bytes=peak + min(decoded, CACHED_BYTES),
    )


def step_bytes(model: SegmentationModel, view: tuple[int, int]) -> int:
    """What one view of a training step takes of the memory, at most.

    It is the size of all tensors of the forward pass. Steps of `compact` and `fpn` with
    11 and 150 classes were measured to take 0.5 to 0.9 of it: many tensors are freed
    before the gradients are there.
    """
    import tensorflow as tf

    image = tf.TensorSpec((1, *view, model.contract.channels), tf.float32)
    traced = tf.function(lambda x: model.network(x, training=True))
    graph = traced.get_concrete_function(image).graph
    tensors = (t for operation in graph.get_operations() for t in operation.outputs)
    return sum(
        tensor.dtype.size * tensor.shape.num_elements()
        for tensor in tensors
        if tensor.dtype.is_floating and tensor.shape.is_fully_defined()
    )


def _fitting(model: SegmentationModel, config: Config) -> Config:
    """The plan with a batch that fits the free memory; beyond it, processes end."""
    view = crop_size(model.contract.image_size, config.train)
    free, each = free_bytes(), step_bytes(model, view)
    batch = config.train.batch_size
    while free and batch > 1 and batch * each > _USABLE * free:
        batch //= 2
    if free and batch * each > free:
        raise SegError(
            f"A view of {view[0]}×{view[1]} pixels with {model.contract.num_classes} "
            f"classes takes about {each / 1e9:.1f} GB of memory to train. Received: "
            f"{free / 1e9:.1f} GB free. Free some, or take a larger machine."
        )
    return replace(config, train=replace(config.train, batch_size=batch))


def _fastest(
    model: SegmentationModel, config: Config
) -> tuple[precision.Timing, precision.Numerics]:
    """The number format and compiler with the shortest step, and its times."""
    contract = model.contract
    loss = build_loss(
        parse_loss(config.train.loss),
        ignore_index=contract.ignore_index,
        class_weights=[1.0] * contract.num_classes,
    )
    found: dict[precision.Numerics, tuple[precision.Timing, precision.Numerics]] = {}

    def timed(numerics: precision.Numerics) -> precision.Timing:
        learner = Learner(
            model,
            numerics,
            config=config.train,
            loss=loss,
            distillation=None,
            group=ProcessGroup(),
        )
        found[numerics] = learner.time(), learner.numerics
        return found[numerics][0]

    allowed = precision.candidates(config.train, own_layers=False, processes=1)
    if len(allowed) == 1:
        timed(allowed[0])
        return found[allowed[0]]
    return found[precision.choose_numerics(allowed, timed, _MANY)]


def _load(
    facts: Fingerprint, model: SegmentationModel, config: Config
) -> tuple[float, float]:
    """Seconds to read a pair in one thread, and to make a view of it in all threads."""
    contract = model.contract
    pairs = spread(facts.dataset.pairs("train"), _SAMPLE)
    source = PairSource(pairs, inputs=contract.inputs)
    started = time.perf_counter()
    for index in range(len(source)):
        source[index]
    read_s = (time.perf_counter() - started) / len(source)
    batches = iter(
        training_batches(
            source,
            image_size=contract.image_size,
            ignore_index=contract.ignore_index,
            config=config.train,
        )
    )
    next(batches)  # the threads start
    started, views = time.perf_counter(), 0
    while time.perf_counter() - started < _LOADED_S:
        views += len(next(batches)[0])
    return read_s, (time.perf_counter() - started) / views


def _validation_s(model: SegmentationModel, dataset: Dataset) -> float:
    """Seconds that the val split takes, from two of its batches."""
    pairs = dataset.splits.get("val", ())
    if not pairs:
        return 0.0
    some = spread(pairs, BATCH_SIZE)
    for _ in score_pairs(model, some):  # compiles
        pass
    started = time.perf_counter()
    for _ in score_pairs(model, some):
        pass
    return (time.perf_counter() - started) / len(some) * len(pairs)
